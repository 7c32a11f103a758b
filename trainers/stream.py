"""What a model reads in training: the whole of it as one data set, each item a pure function of its number."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from .shards import Blocks, TokenFacts
from .validate import first_items

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

Row = dict[str, Any]
_IGNORED = -100  # the label of a position that is not asked about
_HIDDEN, _CHANGED = 0.8, 0.1  # BERT's shares of the tokens asked about; the others stay as they are
# What a stream of random numbers is for, so that no two are the same.
_ORDER, _MASKS, _FIXED_MASKS = 0, 1, 2


class TrainStream(Dataset[Row]):
    """All samples of a training, one behind the other, epoch by epoch.

    Item ``i`` is a block of epoch ``i // len(blocks)``, in that epoch's order. Order and masks are drawn from the seed
    and the item's number alone, so that neither resuming nor the number of processes changes anything.

    Args:
        blocks: Packed training text.
        samples: Number of items.
        seed: Of order and masks.
        mask_share: The part of a masked model's tokens that is asked about.

    Attributes:
        words_after_each: Words that were seen when item ``i`` has been, of shape (samples,).
    """

    def __init__(self, blocks: Blocks, samples: int, seed: int, mask_share: float = 0.15) -> None:
        self._blocks = blocks
        self._samples = samples
        self._seed = seed
        self._share = mask_share
        self._order = lru_cache(maxsize=2)(self._draw_order)
        epochs = -(-samples // len(blocks))
        words = [blocks.words[self._draw_order(epoch)].astype(np.int64) for epoch in range(epochs)]
        self.words_after_each = np.cumsum(np.concatenate([*words, np.zeros(0, np.int64)])[:samples])

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, index: int) -> Row:
        epoch, block = self.place(index)
        return _row(self._blocks, block, self._share, (_MASKS, self._seed, epoch, block))

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_order"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._order = lru_cache(maxsize=2)(self._draw_order)

    def place(self, index: int) -> tuple[int, int]:
        """The epoch and the block of an item."""
        if not 0 <= index < self._samples:
            raise IndexError(index)
        epoch, position = divmod(index, len(self._blocks))
        return epoch, int(self._order(epoch)[position])

    def words_after(self, samples: int) -> int:
        """Words seen after the first ``samples`` items."""
        return int(self.words_after_each[samples - 1]) if samples else 0

    def tokens_after(self, samples: int) -> int:
        """Tokens seen after the first ``samples`` items, padding left out."""
        epochs, rest = divmod(samples, len(self._blocks))
        shorter = len(self._blocks) - 1  # the only block that may be
        seen = epochs + (bool((self._order(epochs)[:rest] == shorter).any()) if rest else 0)
        return samples * self._blocks.length - seen * (len(self._blocks) * self._blocks.length - self._blocks.n_tokens)

    def _draw_order(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng((_ORDER, self._seed, epoch)).permutation(len(self._blocks))


class BlockData(Dataset[Row]):
    """Blocks in their own order, with masks that never change: for validation.

    Args:
        blocks: Packed text.
        mask_share: The part of a masked model's tokens that is asked about.
        most_words: Only the first blocks, up to so many words but at least one; None: all.

    Attributes:
        words: Words in these blocks.
    """

    def __init__(self, blocks: Blocks, mask_share: float = 0.15, most_words: int | None = None) -> None:
        self._blocks = blocks
        self._share = mask_share
        words = blocks.words.tolist()
        self._samples = first_items(words, most_words)
        self.words = sum(words[: self._samples])

    def __len__(self) -> int:
        return self._samples

    def __getitem__(self, index: int) -> Row:
        if not 0 <= index < self._samples:
            raise IndexError(index)
        return _row(self._blocks, index, self._share, (_FIXED_MASKS, index))


def _row(blocks: Blocks, block: int, share: float, seed: tuple[int, ...]) -> Row:
    """A block as arrays of its full length; padding is a piece of its own, which nothing is asked about."""
    facts, ids, starts = blocks.facts, blocks.tokens(block), blocks.starts(block)
    if facts.causal:
        inputs, labels = ids, ids.copy()
        labels[starts] = _IGNORED  # would be predicted from another document
    else:
        inputs, labels = mask_tokens(ids, facts, share, np.random.default_rng(seed))
    missing = blocks.length - len(ids)
    if missing:
        starts = np.append(starts, len(ids))
        inputs = np.pad(inputs, (0, missing), constant_values=facts.pad)
        labels = np.pad(labels, (0, missing), constant_values=_IGNORED)
    lengths = np.diff(starts, append=len(inputs))
    positions = np.arange(len(inputs)) - np.repeat(starts, lengths)
    return {"input_ids": inputs, "labels": labels, "position_ids": positions, "pad": facts.pad}


def mask_tokens(
    ids: NDArray[np.int64], facts: TokenFacts, share: float, draw: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Chooses what a masked model is asked about, as BERT does (Devlin et al. 2019, section 3.1).

    Of the tokens that are text, ``share`` are chosen: that many in expectation and within one in each block, and at
    least one. Each is hidden behind the mask with probability 0.8, becomes a random token of text with 0.1, and stays
    as it is with 0.1.

    Args:
        ids: Token ids, of shape (tokens,).
        facts: About the token ids.
        share: The part that is chosen.
        draw: Random numbers.

    Returns:
        The ids that the model sees, and the labels: the chosen tokens' ids, -100 elsewhere.
    """
    text = np.flatnonzero(~np.isin(ids, facts.special))
    count = min(len(text), max(1, int(len(text) * share + draw.random())))
    chosen = np.sort(draw.choice(text, count, replace=False)) if count else text
    labels = np.full_like(ids, _IGNORED)
    labels[chosen] = ids[chosen]
    fate = draw.random(count)
    others = _text_ids(facts)[draw.integers(len(_text_ids(facts)), size=count)]
    inputs = ids.copy()
    inputs[chosen] = np.where(fate < _HIDDEN, facts.mask or 0, np.where(fate < _HIDDEN + _CHANGED, others, ids[chosen]))
    return inputs, labels


@lru_cache(maxsize=4)
def _text_ids(facts: TokenFacts) -> NDArray[np.int64]:
    return np.setdiff1d(np.arange(facts.vocab_size), facts.special)


def collate(rows: Sequence[Row], architecture: str, attention: str) -> dict[str, Any]:
    """Makes model inputs of rows, such that no token attends to another document's, and positions restart with each.

    Llama and GPT-2 build the mask themselves from positions that restart, as long as they get no attention mask and
    keep no cache. BERT and RoBERTa do not look at positions: they get the mask. Flash attention takes neither, but
    lengths of pieces over the whole batch.

    Args:
        rows: Items of `TrainStream` or `BlockData`.
        architecture: ``llama``, ``gpt2``, ``bert`` or ``roberta``.
        attention: What the model uses: ``sdpa`` (as ``auto``), ``eager``, ``flex_attention``, ``flash_attention_2``.

    Returns:
        Keyword arguments of the model; tensors of shape (rows, tokens), masks of (rows, 1, tokens, tokens).
    """
    positions = torch.from_numpy(np.stack([row["position_ids"] for row in rows]))
    batch: dict[str, Any] = {
        "input_ids": torch.from_numpy(np.stack([row["input_ids"] for row in rows])),
        "labels": torch.from_numpy(np.stack([row["labels"] for row in rows])),
        "position_ids": positions,
    }
    causal = architecture in ("llama", "gpt2")
    if causal:
        batch["use_cache"] = False
    if architecture == "roberta":
        batch["position_ids"] = positions + int(rows[0]["pad"]) + 1
    if attention.startswith("flash"):
        return batch | _piece_lengths(positions)
    if not causal and int((positions == 0).sum()) > len(rows):  # else nothing needs hiding, and kernels without a mask are faster
        batch["attention_mask"] = _piece_mask(positions, attention)
    return batch


def _piece_lengths(positions: torch.Tensor) -> dict[str, Any]:
    """Flash attention's description of pieces, over the rows of the batch as one sequence."""
    flat = positions.flatten()
    ends = torch.cat([torch.nonzero(flat == 0).flatten(), torch.tensor([len(flat)])]).to(torch.int32)
    longest = int(ends.diff().max())
    return {"cu_seq_lens_q": ends, "cu_seq_lens_k": ends, "max_length_q": longest, "max_length_k": longest}


def _piece_mask(positions: torch.Tensor, attention: str) -> torch.Tensor:
    """Which tokens see each other: a Boolean mask, or what is added to scores where the library adds it."""
    pieces = (positions == 0).cumsum(-1)
    same = (pieces[:, :, None] == pieces[:, None, :])[:, None]
    if attention in ("sdpa", "auto"):
        return same
    return torch.zeros(same.shape).masked_fill_(~same, torch.finfo(torch.bfloat16).min)  # finite in every dtype
