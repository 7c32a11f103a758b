"""Rows as tokens: rendered by the tokenizer's chat template, with the tokens of the reply as the only labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Any

from babyeval.errors import UsageError, raise_interrupt
from babyeval.models.naming import counted

from ..corpus.types import Part
from .rows import Row

if TYPE_CHECKING:
    import numpy as np

IGNORED = -100
_AT_ONCE = 1000
_PART_NAMES: dict[Part, str] = {"train": "training", "valid": "validation"}
# Two replies that differ in their first character, and that no template trims, folds or escapes.
_PROBES = ("0", "1")


@dataclass(frozen=True, slots=True)
class Rendering:
    """A row as one text.

    Attributes:
        text: All of it, to the end of the reply and whatever ends a reply.
        reply: Where the reply begins, in characters.
    """

    text: str
    reply: int


@dataclass(slots=True)
class EncodedSet:
    """The tokens of one part of a set.

    Attributes:
        name: The set's.
        part: Of the set.
        input_ids: Of each row.
        labels: The same where the reply stands, else -100.
        words: Of each row, those that are shown: of prompt and history, and what is left of its reply.
        reply_words: Of what is left of each row's reply.
        cut: Rows whose reply was cut.
        left_out: Rows that give no token to learn from, by reason.
    """

    name: str
    part: Part = "train"
    input_ids: list[list[int]] = field(default_factory=list)
    labels: list[list[int]] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    reply_words: list[int] = field(default_factory=list)
    cut: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.words)

    @property
    def tokens(self) -> np.ndarray:
        """Tokens of each row."""
        import numpy as np

        return np.array([len(ids) for ids in self.input_ids], dtype=np.int64)

    def remarks(self) -> list[str]:
        """What has to be said of rows that were cut or left out."""
        said, where = [], f"Set {self.name}, {_PART_NAMES[self.part]}"
        if self.cut:
            said.append(f"{where}: of {counted(len(self), 'row')} {self.cut:,} have a reply that is cut (max_length).")
        for reason, count in sorted(self.left_out.items()):
            said.append(f"{where}: {counted(count, 'row')} left out, since {reason}.")
        if not len(self):
            said.append(f"{where}: no row is left, so there is no validation of this set.")
        return said


def encode_set(name: str, rows: Iterable[Row], tokenizer: Any, max_length: int, part: Part = "train") -> EncodedSet:
    """Encodes rows, cut to a length from their beginning.

    Of the validation part nothing may be left: a training needs none.

    Args:
        name: The set's, for messages.
        rows: In their order.
        tokenizer: A fast one; its chat template is used if it has one.
        max_length: The most tokens of a row.
        part: Which part of the set the rows are.

    Raises:
        UsageError: Of the training part the chat template loses the first row's reply, or no row's reply begins within
            `max_length`.
    """
    made = EncodedSet(name, part)
    needed: list[int] = []
    left = iter(rows)
    while group := list(islice(left, _AT_ONCE)):
        kept = list(_rendered(group, tokenizer, made))
        for (row, _), (ids, reply) in zip(kept, encode([one for _, one in kept], tokenizer), strict=True):
            if reply >= min(len(ids), max_length):
                made.left_out["the prompt alone fills max_length"] += 1
                needed.append(len(ids))
                continue
            made.cut += len(ids) > max_length
            shown = ids[:max_length]
            words = words_left(tokenizer, row.reply, ids[reply:], shown[reply:])
            made.input_ids.append(shown)
            made.labels.append([IGNORED] * reply + shown[reply:])
            made.words.append(row.prompt_words + words)
            made.reply_words.append(words)
    if not made.words and part == "train":
        raise UsageError(
            f"No reply of the training part of the set '{name}' begins within {max_length:,} tokens, so there is nothing to learn.",
            where="max_length",
            hint=f"The shortest row needs {min(needed):,} tokens, the longest {max(needed):,}."
            if needed
            else "The chat template renders none of them.",
        )
    return made


def words_left(tokenizer: Any, reply: str, whole: Sequence[int], left: Sequence[int]) -> int:
    """Words of a reply that are shown: of one that is cut, those of its remaining text; part of a word is one.

    Args:
        tokenizer: Made the tokens.
        reply: The whole reply.
        whole: Its tokens.
        left: Those that are left.
    """
    words = len(reply.split())
    if len(left) == len(whole):
        return words
    return min(words, len(str(tokenizer.decode(left, skip_special_tokens=True)).split()))


def _rendered(rows: Iterable[Row], tokenizer: Any, made: EncodedSet) -> Iterator[tuple[Row, Rendering]]:
    for place, row in enumerate(rows):
        try:
            yield row, render(row, tokenizer)
        except UsageError:
            if made.part == "train" and not (place or made.words or made.left_out):  # the first: the template is at fault
                raise
            made.left_out["the chat template loses its reply"] += 1


def render(row: Row, tokenizer: Any) -> Rendering:
    """A row as text: by the tokenizer's chat template, or else as prompt, a space, and reply.

    Raises:
        UsageError: The template cannot render it, or what it renders does not hold the reply.
    """
    if not tokenizer.chat_template:
        prompt = "\n".join(message["content"].strip() for message in row.messages)
        return Rendering(f"{prompt} {row.reply.strip()}", len(prompt))
    reply = row.reply.strip()
    whole, one, other = (
        _apply(tokenizer, [*row.messages, {"role": "assistant", "content": text}], False) for text in (row.reply, *_PROBES)
    )
    begin = _same(one, other)  # where the content stands: looking for the reply's text could find it in a header
    if whole[:begin] != one[:begin] or not whole[begin:].lstrip().startswith(reply):
        raise UsageError(
            f"The chat template loses the reply: of '{_short(reply)}' nothing stands behind the prompt in what it renders, "
            f"which is '{_short(whole)}'.",
            where="the tokenizer's chat_template",
            hint="It must render messages of the role 'assistant' with their whole content, behind the user's.",
        )
    asked = min(begin, _same(whole, _apply(tokenizer, row.messages, True)))
    if not whole[asked:begin].strip():
        begin = asked  # a space behind the prompt has to be written by the model too
    return Rendering(whole.rstrip(), begin)  # a line end behind the reply's end is no part of it


def _apply(tokenizer: Any, messages: list[dict[str, str]], prompt: bool) -> str:
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt))
    except Exception as error:  # of any kind: a template is a program of somebody's
        raise_interrupt(error)
        raise UsageError(
            f"The chat template cannot render a conversation of {' and '.join(message['role'] for message in messages)}: "
            f"{' '.join(str(error).split())}",
            where="the tokenizer's chat_template",
        ) from error


def _same(one: str, other: str) -> int:
    """Characters that two texts have in common at their beginning."""
    return next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _short(text: str) -> str:
    return text if len(text) <= 80 else f"{text[:77]}..."


def encode(renderings: list[Rendering], tokenizer: Any) -> Iterator[tuple[list[int], int]]:
    """Yields each text's tokens, and the index of the reply's first one.

    A token belongs to the reply if any of its characters does. BOS comes from the template, or without one from the
    tokenizer; what ends the reply is the template's last token if that is a special one, else a single EOS (D10).
    """
    if not renderings:
        return
    by_template = bool(tokenizer.chat_template)
    texts = [one.text for one in renderings]
    batch = tokenizer(texts, add_special_tokens=not by_template, return_offsets_mapping=True, verbose=False)
    end, special = tokenizer.eos_token_id, {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    for one, ids, offsets in zip(renderings, batch["input_ids"], batch["offset_mapping"], strict=True):
        ids = list(ids)
        while not by_template and ids and ids[-1] in special and offsets[len(ids) - 1][0] == offsets[len(ids) - 1][1]:
            ids.pop()  # what the tokenizer itself puts behind a text
        reply = next((i for i in range(len(ids)) if offsets[i][1] > one.reply), len(ids))
        if end is not None and not (by_template and ids and ids[-1] in special):
            ids.append(end)
        yield ids, reply


def reply_ends(tokenizer: Any) -> list[int]:
    """The tokens at which a model that was tuned stops: the one that ends each reply it has learnt, and EOS."""
    end = tokenizer.eos_token_id
    try:
        ids, _ = next(encode([render(Row("What?", "That.", "", ""), tokenizer)], tokenizer))
    except UsageError:  # a template that renders only longer conversations
        ids = []
    special = {*tokenizer.all_special_ids, *tokenizer.added_tokens_decoder}
    return list(dict.fromkeys(one for one in (end, *ids[-1:]) if one is not None and one in {end, *special}))
