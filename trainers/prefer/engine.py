"""The trainer of preference tuning: TRL's loss and metrics, this package's order, states and checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedTokenizerBase, TrainerCallback
from trl import DPOConfig, DPOTrainer

from ..engine import LanguageTrainer, training_settings
from ..instruct.trainer import Quiet
from ..recipe import TuningRecipe
from ..schedule import BatchShape, Schedule
from .pairs import Pairs
from .references import PairSet, References, rows


class PreferenceTrainer(Quiet, LanguageTrainer, DPOTrainer):  # type: ignore[misc]
    """Tunes a model by direct preference optimisation (Rafailov et al. 2023, equation 7) against the model it began as.

    The pairs are tokenised already, and the data set holds the whole training, one pair after the other. The
    parent's log-probabilities of each pair are computed before the first update and kept on disk: a training that goes
    on takes the same ones.

    Args:
        model: The parent's weights.
        tokenizer: The parent's.
        pairs: All training pairs.
        order: The pair of each sample of the training.
        references: Where the parent's log-probabilities lie.
        settings: Of the library's trainer.
        schedule: What is saved when.
        states: Folder of the states to go on from.
        callbacks: What happens besides.
    """

    section = "prefer"

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        pairs: Pairs,
        order: Any,
        references: References,
        *,
        settings: DPOConfig,
        schedule: Schedule,
        states: Path,
        callbacks: list[TrainerCallback],
    ) -> None:
        self._pairs, self._order, self._references = pairs, order, references
        _switch_off_attention_dropout(model)
        super().__init__(
            model, Dataset.from_list(rows(pairs.pairs)), None, settings=settings, schedule=schedule, states=states,
            callbacks=callbacks, processing_class=tokenizer,
        )  # fmt: skip
        self.processing_class = None  # checkpoints get the tokenizer's files as they are

    def _prepare_dataset(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        return dataset

    def _precompute_ref_logps(self, dataset: Dataset, *_: Any, **__: Any) -> Dataset:
        """The training's samples in order, each with the parent's log-probabilities."""
        known = rows(self._pairs.pairs, self._log_probabilities(self._pairs))
        return Dataset.from_list(known).select(self._order)

    def validation_set(self, pairs: Pairs) -> PairSet:
        """Pairs with the parent's log-probabilities; only before the first update is the model the parent."""
        tokens = sum(len(pair.chosen) + len(pair.rejected) for pair in pairs.pairs)
        return PairSet(rows(pairs.pairs, self._log_probabilities(pairs)), sum(pair.words for pair in pairs.pairs), tokens)

    def _log_probabilities(self, pairs: Pairs) -> Any:
        self.model.to(self.args.device).eval()  # DeepSpeed would move it later
        found = self._references.of(pairs, self.data_collator, lambda batch: self.log_probabilities(self._prepare_inputs(batch)))
        self.model.train()
        return found

    def log_probabilities(self, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Of the preferred replies of a batch and of the others, each of shape (pairs,), in the training's arithmetic."""
        with torch.autocast(self.args.device.type, torch.bfloat16, enabled=self._references.arithmetic == "bfloat16"):
            chosen, rejected = self.compute_ref_log_probs(self.model, batch)
        return chosen, rejected


def _switch_off_attention_dropout(model: Any) -> None:
    """Does for a Llama's attention what TRL does for dropout that is a module: the reference has none, so neither has it."""
    for module in model.modules():
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = 0.0


def preference_settings(
    recipe: TuningRecipe, states: Path, shape: BatchShape, updates: int, deepspeed: dict[str, Any] | None
) -> DPOConfig:
    """TRL's settings: pairs come as tokens, cut and in order, so that it neither cuts, drops nor shuffles any."""
    tuning = recipe.preference
    return training_settings(
        recipe, states, shape, updates, deepspeed, kind=DPOConfig, max_length=None, gradient_checkpointing=False,
        beta=tuning.beta, loss_type=[tuning.loss], precompute_ref_log_probs=True,
    )  # fmt: skip
