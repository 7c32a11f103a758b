"""TRL's trainer for prompts and replies, with the fixed order of data, the states and the checkpoints of all trainings here."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import nn
from transformers import TrainerCallback, get_scheduler
from trl import SFTConfig, SFTTrainer

from ..engine import LanguageTrainer, training_settings
from ..recipe import TuningRecipe
from ..schedule import BatchShape, Schedule


class Quiet:
    """Keeps TRL from reporting its use over the network, and from writing a card beside each state."""

    def _send_telemetry(self) -> None:
        pass

    def create_model_card(self, *_: Any, **__: Any) -> None:
        pass


class InstructionTrainer(Quiet, LanguageTrainer, SFTTrainer):  # type: ignore[misc]
    """Trains on replies.

    Args:
        model: The model.
        rows: All items in order, with ``input_ids`` and ``labels``; as many as updates times the batch.
        tokenizer: Says what pads.
        settings: Of the library's trainer.
        schedule: What is saved when.
        states: Folder of the states to go on from.
        callbacks: What happens besides.
        periods: Updates of each period of the learning rate's schedule; more than one: it begins anew with each.
    """

    section = "instruct"
    lr_scheduler: Any

    def __init__(
        self,
        model: nn.Module,
        rows: Dataset,
        tokenizer: Any,
        *,
        settings: SFTConfig,
        schedule: Schedule,
        states: Path,
        callbacks: list[TrainerCallback],
        periods: list[int],
    ) -> None:
        self._periods = periods
        super().__init__(
            model, rows, None, settings=settings, schedule=schedule, states=states, callbacks=callbacks,
            processing_class=tokenizer,
        )  # fmt: skip
        self.processing_class = None  # checkpoints get the parent's tokenizer, file by file

    def create_scheduler(self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None) -> Any:
        if len(self._periods) == 1:
            return super().create_scheduler(num_training_steps, optimizer)
        if self.lr_scheduler is None:
            factor = restarting(self.args, self._periods)
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
        return self.lr_scheduler


def restarting(settings: Any, periods: list[int]) -> Callable[[int], float]:
    """The schedule's factor of the learning rate after an update, where it begins anew with each period.

    Args:
        settings: Of the library's trainer.
        periods: Updates of each.
    """
    factors = []
    for updates in periods:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=settings.learning_rate)
        one = get_scheduler(
            settings.lr_scheduler_type, optimizer, settings.warmup_steps, updates,
            scheduler_specific_kwargs=dict(settings.lr_scheduler_kwargs or {}),
        )  # fmt: skip
        factors.append(one.lr_lambdas[0])

    def factor(update: int) -> float:
        for updates, one in zip(periods[:-1], factors, strict=False):
            if update < updates:
                return float(one(update))
            update -= updates
        return float(factors[-1](update))

    return factor


def tuning_settings(recipe: TuningRecipe, states: Path, shape: BatchShape, updates: int, deepspeed: dict[str, Any] | None) -> Any:
    """TRL's settings: rows come encoded and in order, so that it neither cuts, drops nor shuffles any."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # TRL sets what transformers has given another name
        return training_settings(
            recipe,
            states,
            shape,
            updates,
            deepspeed,
            kind=SFTConfig,
            max_length=None,
            packing=False,
            gradient_checkpointing=False,
        )
