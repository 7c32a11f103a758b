"""From the texts of an example to token ids: one frame for all pairs, truncation by rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from babyeval.errors import DataError, UsageError
from babyeval.fit.types import Cut, Example, Hyper

_PROBE = "The cat sat."


@dataclass(frozen=True, slots=True)
class EncodedExample:
    """What the model reads.

    Attributes:
        input_ids: Token ids, special ones included, without padding.
        token_types: Segment of each token, where the tokenizer's model reads segments.
        label: Index of the right label.
        cut: True if a text lost tokens.
    """

    input_ids: tuple[int, ...]
    token_types: tuple[int, ...] | None
    label: int
    cut: bool


@dataclass(frozen=True, slots=True)
class Frame:
    """The special ids around two texts, with their segments; `between` and the second text are left out where there is one."""

    before: tuple[int, ...]
    between: tuple[int, ...]
    after: tuple[int, ...]
    types: tuple[int, int, int, int, int] = (0, 0, 0, 1, 1)

    def __len__(self) -> int:
        return len(self.before) + len(self.between) + len(self.after)


def encode(tokenizer: Any, examples: Sequence[Example], hyper: Hyper) -> list[EncodedExample]:
    """Tokenises examples, each with the tokenizer's own special tokens.

    Two texts are joined by the tokenizer's pair template. Many tokenizers of causal models have none, or one that puts
    nothing between the texts, so that "... bark?The dog ..." run into each other: this is what the official protocols
    reproduce. Under ``robust`` such texts stand in the template of a single text, divided by SEP, else EOS, which
    pretraining puts between documents, else a line feed.

    Args:
        tokenizer: A fast tokenizer.
        examples: What to encode.
        hyper: Says how many tokens there may be, and which text loses those too many, at its end.

    Raises:
        DataError: An example has no token.
        UsageError: The tokens allowed are fewer than the special ones.
    """
    if not examples:
        return []  # of which the tokenizers make an error
    frames = {paired: _frame(tokenizer, paired, separate=not hyper.official) for paired in (False, True)}
    typed = "token_type_ids" in tokenizer.model_input_names
    first = _tokens(tokenizer, [example.text_a for example in examples])
    second = _tokens(tokenizer, [example.text_b or "" for example in examples])
    return [
        _encoded(example, a, b, frames[example.text_b is not None], typed, hyper)
        for example, a, b in zip(examples, first, second, strict=True)
    ]


def _encoded(example: Example, a: list[int], b: list[int], frame: Frame, typed: bool, hyper: Hyper) -> EncodedExample:
    if not a and not b:
        raise DataError(
            "An example has no text that the tokenizer makes tokens of.",
            where=f"{example.place} ({example.id})",
            hint="Look at that line: are its texts empty?",
        )
    room = hyper.max_length - len(frame)
    if room < 1:
        raise UsageError(
            f"{hyper.max_length} tokens do not hold the {len(frame)} special ones that the tokenizer adds, and a text.",
            hint="Is the model's window, or max_length of the task's card, that short?",
        )
    kept_a, kept_b = kept(len(a), len(b), room, hyper.cut)
    parts = (frame.before, a[:kept_a], frame.between, b[:kept_b], frame.after)
    types = tuple(kind for kind, part in zip(frame.types, parts, strict=True) for _ in part) if typed else None
    cut = kept_a + kept_b < len(a) + len(b)
    return EncodedExample(tuple(token for part in parts for token in part), types, example.label, cut)


def kept(a: int, b: int, room: int, cut: Cut) -> tuple[int, int]:
    """How many tokens of two texts stay.

    Args:
        a: Tokens of the first text.
        b: Tokens of the second.
        room: Tokens of both that may stay.
        cut: ``a`` or ``b`` loses tokens, the other one only if nothing else is left; ``longest``: the longer one down
            to the length of the other, then both, as the tokenizers' ``longest_first``.

    Example:
        >>> kept(3, 20, 10, "longest"), kept(20, 20, 11, "longest"), kept(6, 20, 10, "a"), kept(6, 20, 10, "b")
        ((3, 7), (5, 6), (0, 10), (6, 4))
    """
    if a + b <= room:
        return a, b
    if cut == "a":
        b = min(b, room)
        return room - b, b
    if cut == "b":
        a = min(a, room)
        return a, room - a
    short = min(a, b, room // 2)
    return (room - short, short) if a > b else (short, room - short)


def _tokens(tokenizer: Any, texts: Iterable[str]) -> list[list[int]]:
    found: list[list[int]] = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return found


def _frame(tokenizer: Any, paired: bool, separate: bool) -> Frame:
    """What the tokenizer puts around one or two texts, read off a probe.

    Args:
        tokenizer: A fast tokenizer.
        paired: Whether there are two texts.
        separate: Whether something has to stand between them.
    """
    encoded = tokenizer(_PROBE, _PROBE if paired else None, return_token_type_ids=True)
    ids, kinds, owners = encoded["input_ids"], encoded["token_type_ids"], encoded.sequence_ids()
    places = [[i for i, owner in enumerate(owners) if owner == text] for text in (0, 1)]
    begin, end = places[0][0], places[0][-1] + 1
    if not paired:
        return Frame(tuple(ids[:begin]), (), tuple(ids[end:]), (kinds[0], kinds[begin], 0, 0, kinds[-1]))
    begin_b, end_b = places[1][0], places[1][-1] + 1
    types = (kinds[0], kinds[begin], kinds[min(end, len(kinds) - 1)], kinds[begin_b], kinds[-1])
    if begin_b > end or not separate:
        return Frame(tuple(ids[:begin]), tuple(ids[end:begin_b]), tuple(ids[end_b:]), types)
    single = _frame(tokenizer, paired=False, separate=False)
    return Frame(single.before, _separator(tokenizer), single.after)


def _separator(tokenizer: Any) -> tuple[int, ...]:
    for token in (tokenizer.sep_token_id, tokenizer.eos_token_id):
        if token is not None:
            return (token,)
    return tuple(tokenizer("\n", add_special_tokens=False)["input_ids"])
