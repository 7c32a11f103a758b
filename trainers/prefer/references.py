"""The parent's log-probabilities of all replies, computed once and kept, and what a model prefers against them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.progress import Reporter

from ..folders import MANIFEST_FILE, built, content_key, data_folder
from ..validate import ALL, DomainLoss, summed
from .pairs import Pair, Pairs

if TYPE_CHECKING:
    import numpy as np
    import torch
    from numpy.typing import NDArray

    from .engine import PreferenceTrainer

    Batch = dict[str, torch.Tensor]
    Sides = tuple[torch.Tensor, torch.Tensor]

_FILE = "references.npy"
_RULES = 1


@dataclass(frozen=True, slots=True)
class References:
    """Where the log-probabilities of a parent lie.

    Attributes:
        out: Folder of all runs.
        parent: Digest of the parent's weights and tokenizer.
        arithmetic: In which they are computed: ``float32`` or ``bfloat16``.
        batch: Pairs of one forward pass.
        reporter: Is told of the progress.
    """

    out: Path
    parent: str
    arithmetic: str
    batch: int
    reporter: Reporter

    def of(self, pairs: Pairs, collate: Callable[[list[Any]], Batch], compute: Callable[[Batch], Sides]) -> NDArray[np.float32]:
        """The log-probability of each pair's replies: sums over the tokens behind the prompt, in nats.

        They are computed by the first process unless they are there already.

        Args:
            pairs: The pairs.
            collate: Makes a batch of pairs as `rows` gives them.
            compute: The parent's log-probabilities of a batch, preferred replies and others.

        Returns:
            Array of shape (2, pairs): of the preferred replies, and of the others.
        """
        import numpy as np

        from ..devices import main_first

        about = {"parent": self.parent, "pairs": pairs.digest, "arithmetic": self.arithmetic}
        folder = data_folder(self.out, "references", content_key(_RULES, about))
        with main_first():
            if not (folder / MANIFEST_FILE).is_file():
                values = self._computed(pairs, collate, compute)
                with built(folder) as draft:
                    np.save(draft / _FILE, values, allow_pickle=False)
                    (draft / MANIFEST_FILE).write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        kept: NDArray[np.float32] = np.load(folder / _FILE, allow_pickle=False)
        return kept

    def _computed(self, pairs: Pairs, collate: Callable[[list[Any]], Batch], compute: Callable[[Batch], Sides]) -> Any:
        import torch

        items = rows(pairs.pairs)
        found = []
        with self.reporter.bar("Reference", len(items), "pairs") as advance:
            for start in range(0, len(items), self.batch):
                batch = items[start : start + self.batch]
                found.append(torch.stack(compute(collate(batch))).float().cpu())
                advance(len(batch))
        return torch.cat(found, dim=1).numpy()


def rows(pairs: tuple[Pair, ...], references: NDArray[np.float32] | None = None) -> list[dict[str, Any]]:
    """Pairs as TRL's collator takes them, with the parent's log-probabilities if they are known."""
    items: list[dict[str, Any]] = [
        {"prompt_ids": list(pair.prompt), "chosen_ids": list(pair.chosen), "rejected_ids": list(pair.rejected)} for pair in pairs
    ]
    if references is not None:
        for item, chosen, rejected in zip(items, *references.tolist(), strict=True):
            item["ref_chosen_logps"], item["ref_rejected_logps"] = chosen, rejected
    return items


@dataclass(frozen=True, slots=True)
class PairSet:
    """The validation part of a set.

    Attributes:
        items: As `rows` gives them, with references.
        words: Words in them.
        tokens: Tokens of the replies.
    """

    items: list[dict[str, Any]]
    words: int
    tokens: int


def measure(trainer: PreferenceTrainer, sets: Mapping[str, PairSet]) -> dict[str, DomainLoss]:
    """Loss, margin and accuracy on the validation part of each set, and under ``all`` on all pairs together.

    The mean is taken over pairs: sums are gathered over processes before anything is divided. The margin is beta times
    the difference of the log-ratios of the two replies; the accuracy is the share of pairs whose margin is positive,
    and one of exactly 0 counts half.

    Args:
        trainer: Its model is asked as it is now.
        sets: By name.
    """
    import torch

    trainer.model.eval()
    try:
        with torch.no_grad():
            sums = {name: _sums(trainer, part.items) for name, part in sets.items()}
    finally:
        trainer.model.train()
    sizes = {name: (part.words, part.tokens) for name, part in sets.items()}
    if len(sets) > 1:
        sums[ALL] = torch.stack(list(sums.values())).sum(0)
        sizes[ALL] = tuple(map(sum, zip(*sizes.values(), strict=True)))  # type: ignore[assignment]
    found = {}
    for name, (loss, margin, right, pairs) in sums.items():
        words, tokens = sizes[name]
        found[name] = DomainLoss(
            loss=float(loss / pairs), perplexity=None, bits_per_word=None, tokens=tokens, words=words,
            margin=float(margin / pairs), accuracy=float(right / pairs),
        )  # fmt: skip
    return found


def _sums(trainer: PreferenceTrainer, items: list[dict[str, Any]]) -> torch.Tensor:
    """Sums of loss, margin and right ones, and the number of pairs, over all processes."""
    import torch

    def measured(batch: Batch) -> list[torch.Tensor]:
        chosen, rejected = trainer.log_probabilities(batch)
        ratios = (chosen - batch["ref_chosen_logps"]) - (rejected - batch["ref_rejected_logps"])
        margin = (trainer.beta * ratios).double()
        right = (margin > 0).double() + 0.5 * (margin == 0).double()
        parts = (pair_loss(trainer.loss_types[0], margin), margin, right, torch.ones_like(margin))
        return [part.sum() for part in parts]

    return summed(trainer, items, 4, measured)


def pair_loss(kind: str, margin: torch.Tensor) -> torch.Tensor:
    """The loss of each pair: of ``sigmoid``, equation 7 of Rafailov et al. 2023; of ``hinge``, Zhao et al. 2023.

    Args:
        kind: The recipe's `prefer.loss`.
        margin: Beta times the difference of the log-ratios, of shape (pairs,).
    """
    from torch.nn import functional

    return functional.relu(1 - margin) if kind == "hinge" else -functional.logsigmoid(margin)
