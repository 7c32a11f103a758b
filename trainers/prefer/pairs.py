"""Pairs of replies as tokens: which are left when they are cut to a length, and in which order training takes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from babyeval.errors import UsageError

from ..corpus.types import Part
from ..folders import content_key
from ..instruct.encode import encode, render, words_left
from ..instruct.rows import Row

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from transformers import PreTrainedTokenizerBase

_ORDER = 2  # tells this stream of random numbers from those of pre-training


@dataclass(frozen=True, slots=True)
class Pair:
    """A prompt with two replies, as tokens.

    Attributes:
        prompt: What both have in common at their beginning.
        chosen: The rest of prompt and preferred reply.
        rejected: The rest of prompt and the other reply.
        words: Words of prompt, history and both replies, each text counted once; of a reply that is cut, those left.
    """

    prompt: tuple[int, ...]
    chosen: tuple[int, ...]
    rejected: tuple[int, ...]
    words: int

    @property
    def tokens(self) -> int:
        """Tokens that the model reads: the prompt is read with either reply."""
        return 2 * len(self.prompt) + len(self.chosen) + len(self.rejected)


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs of one part of a set.

    Attributes:
        pairs: In the order of the rows.
        cut: Pairs of which at least one reply was cut, but something of both is left.
        lost: Rows that gave no pair, by reason.
    """

    pairs: tuple[Pair, ...]
    cut: int
    lost: dict[str, int]

    @property
    def digest(self) -> str:
        """Of all tokens, in order."""
        return content_key([(pair.prompt, pair.chosen, pair.rejected) for pair in self.pairs])

    def in_words(self) -> str:
        """What became of the rows, in one line."""
        lost = "".join(f"; {count:,} left out ({reason})" for reason, count in self.lost.items())
        return f"{len(self.pairs):,} pairs, {self.cut:,} of them with a reply cut to fit{lost}"


def encode_pairs(tokenizer: PreTrainedTokenizerBase, rows: Iterable[Row], length: int, part: Part = "train") -> Pairs:
    """Tokenises preference rows and cuts each side to a length, at the end.

    Left out and counted are rows of which nothing of a reply would be left, and rows whose sides do not differ:
    in their tokens, or in what is left of them. Such a pair says nothing. Of the validation part nothing may be left.

    Args:
        tokenizer: The parent's.
        rows: Rows with a rejected reply.
        length: The most tokens of a prompt with one reply.
        part: Which part of a set the rows are.

    Raises:
        UsageError: Of the training part no pair is left, the text says which length would be needed; or the chat
            template loses a reply of the first row.
    """
    found: list[Pair] = []
    lost: Counter[str] = Counter()
    cut, needed = 0, list[int]()
    for row in rows:
        try:
            prompt, chosen, rejected = _sides(tokenizer, row)
        except UsageError:
            if part == "train" and not (found or lost):  # the first: the template is at fault
                raise
            lost["the chat template loses a reply"] += 1
            continue
        if chosen == rejected:
            lost["equal sides"] += 1
            continue
        needed.append(len(prompt) + _common(chosen, rejected) + 1)
        room = max(0, length - len(prompt))
        left = chosen[:room], rejected[:room]
        if not all(left) or left[0] == left[1]:
            lost["equal when cut" if room else "replies cut away"] += 1
            continue
        cut += left != (chosen, rejected)
        replies = zip((row.reply, row.rejected or ""), (chosen, rejected), left, strict=True)
        words = row.prompt_words + sum(words_left(tokenizer, *reply) for reply in replies)
        found.append(Pair(prompt, *left, words))
    if not found and part == "train":
        raise UsageError(
            f"No training pair can be used with sequences of {length} tokens ({_counted(lost)}).",
            where="prefer.max_length",
            hint=f"At least {min(needed)} tokens are needed for the first of them." if needed else "Are both sides the same?",
        )
    return Pairs(tuple(found), cut, dict(lost))


def _sides(tokenizer: PreTrainedTokenizerBase, row: Row) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """What both sides have in common before their replies begin, and the rest of each."""
    texts = [render(row, tokenizer), render(replace(row, reply=row.rejected or ""), tokenizer)]
    (one, begins), (other, other_begins) = encode(texts, tokenizer)
    same = min(begins, other_begins, _common(one, other))
    return tuple(one[:same]), tuple(one[same:]), tuple(other[same:])


def _common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens two sequences have in common at their beginning."""
    differs = (place for place, (left, right) in enumerate(zip(one, other, strict=False)) if left != right)
    return next(differs, min(len(one), len(other)))


def _counted(lost: Counter[str]) -> str:
    return ", ".join(f"{reason}: {count:,}" for reason, count in lost.items()) or "there are none"


def training_order(pairs: int, samples: int, seed: int) -> NDArray[np.int64]:
    """The pair of each sample of a training: all of them once in each epoch, in an order drawn from seed and epoch.

    Example:
        >>> order = training_order(pairs=3, samples=7, seed=0)
        >>> sorted(order[:3].tolist()), sorted(order[3:6].tolist()), len(order)
        ([0, 1, 2], [0, 1, 2], 7)
    """
    import numpy as np

    epochs = -(-samples // pairs)
    drawn = [np.random.default_rng((_ORDER, seed, epoch)).permutation(pairs) for epoch in range(epochs)]
    return np.concatenate(drawn)[:samples]
