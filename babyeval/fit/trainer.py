"""The training of one fit: ``transformers.Trainer`` with this suite's batches, schedule and way to run out of memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from babyeval.errors import MemoryMissing
from babyeval.fit.batches import UNLIMITED, Collator, EpochBatches, passes, prediction_batches, training_positions
from babyeval.fit.classifier import PooledClassifier
from babyeval.fit.encode import EncodedExample
from babyeval.fit.types import Hyper
from babyeval.quiet import quiet_deepspeed
from babyeval.scoring.batching import Work, out_of_memory, position_budget, run_batch


class Diverged(Exception):
    """The loss is not a number any more; the text says since when."""


def learning_rate_factor(step: int, total: int, hyper: Hyper) -> float:
    """The share of the highest learning rate after so many updates (protocol.md, section 6).

    It rises from 0 during the first ``int(warmup_share * total)`` updates, then falls along half a cosine to `final_share`.
    """
    warm = int(hyper.warmup_share * total)
    if step < warm:
        return step / warm
    share = min(1.0, (step - warm) / max(1, total - warm))
    return hyper.final_share + (1 - hyper.final_share) * (1 + math.cos(math.pi * share)) / 2


class FitTrainer(Trainer):  # type: ignore[misc]
    """Trains a `PooledClassifier`.

    An update's gradient is that of the mean loss of its examples, however they are divided into forward passes: of like
    lengths, which saves padding, and of fewer examples each time memory runs out. Where padding shifts positions (D13) the
    official batch decides: it is filled up to its own width even where it is divided, and evaluation takes the file's order.

    Args:
        model: The classifier.
        collator: Makes its inputs.
        batches: Which examples make an update.
        rows: The training examples.
        hyper: How to train.
        total: Updates of the whole fit, a resumed part included.
        most: The most examples of a forward pass.
        settings: Of the library's trainer.
        callbacks: What happens between epochs.

    Attributes:
        most: As given, less after memory ran out.
        epoch_loss: Sum of the losses of the epoch's updates so far.
    """

    optimizer: Any
    lr_scheduler: Any

    def __init__(
        self,
        model: PooledClassifier,
        collator: Collator,
        batches: EpochBatches,
        rows: list[EncodedExample],
        hyper: Hyper,
        *,
        total: int,
        most: int,
        settings: TrainingArguments,
        callbacks: list[TrainerCallback],
    ) -> None:
        settings._n_gpu = min(settings.n_gpu, 1)  # one whole model per fit, never one spread over several GPUs
        super().__init__(model=model, args=settings, train_dataset=rows, callbacks=callbacks)
        self.remove_callback(PrinterCallback)
        self.collator, self.batches, self.hyper, self.total, self.most = collator, batches, hyper, total, most
        self.epoch_loss = torch.zeros((), device=settings.device)

    def get_train_dataloader(self) -> DataLoader[EncodedExample]:
        return self._loader(self.train_dataset, self.batches)

    def get_test_dataloader(self, test_dataset: Any) -> DataLoader[EncodedExample]:
        lengths = [len(row.input_ids) for row in test_dataset]
        if self.collator.shifts:
            size = self.hyper.random_eval_batch
            order = [list(range(i, min(i + size, len(lengths)))) for i in range(0, len(lengths), size)]
        else:
            order = prediction_batches(lengths, position_budget(self.args.device))
        return self._loader(test_dataset, order)

    @staticmethod
    def _loader(rows: Any, order: Iterable[list[int]]) -> DataLoader[EncodedExample]:
        # A generator of its own: opening a loader draws a number, which dropout would otherwise miss.
        return DataLoader(rows, batch_sampler=order, collate_fn=list, generator=torch.Generator())

    def create_optimizer(self, model: nn.Module | None = None) -> Any:
        if self.optimizer is None:
            weights = list((model or self.model).parameters())
            decay = [weight for weight in weights if self.hyper.decay_all or weight.ndim > 1]
            rest = [weight for weight in weights if not (self.hyper.decay_all or weight.ndim > 1)]
            groups = [{"params": decay, "weight_decay": self.hyper.weight_decay}, {"params": rest, "weight_decay": 0.0}]
            groups = [group for group in groups if group["params"]]
            self.optimizer = torch.optim.AdamW(groups, lr=self.hyper.learning_rate, betas=(0.9, 0.999), eps=1e-8, fused=True)
        return self.optimizer

    def create_scheduler(self, num_training_steps: int, optimizer: Any = None) -> Any:
        if self.lr_scheduler is None:
            factor = lambda step: learning_rate_factor(step, self.total, self.hyper)  # noqa: E731
            self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer or self.optimizer, factor)
        return self.lr_scheduler

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        """One update's gradient; a forward pass that does not fit into memory is halved, and the update begun again."""
        rows: list[EncodedExample] = inputs
        while True:
            parts = passes(rows, UNLIMITED if self.collator.shifts else training_positions(self.args.device), self.most)
            done = 0
            try:
                loss = torch.zeros((), device=self.args.device)
                for part in parts:
                    loss += super().training_step(model, self._inputs(part, rows) | {"of": len(rows)})
                    done += 1
                break
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if len(parts[done]) == 1:
                    raise _too_large() from error
                self.most = len(parts[done]) // 2
            model.zero_grad()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
        if not torch.isfinite(loss):
            step = self.total - self.state.max_steps + self.state.global_step + 1
            raise Diverged(f"the training loss is {loss.item()} at update {step} of {self.total}")
        self.epoch_loss += loss
        return loss

    def compute_loss(self, model: nn.Module, inputs: Any, *_: Any, **__: Any) -> Tensor:
        """A forward pass's part of the mean loss of its update."""
        labels, of = inputs.pop("labels"), inputs.pop("of")
        loss: Tensor = nn.functional.cross_entropy(model(**inputs), labels, reduction="sum") / of
        return loss

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        return grad_norm  # nothing reads the norm of what is not clipped

    def prediction_step(
        self, model: nn.Module, inputs: Any, prediction_loss_only: bool, ignore_keys: Any = None
    ) -> tuple[None, Tensor, None]:
        """The logits of a batch, in as many passes as memory needs."""
        rows: list[EncodedExample] = inputs

        @torch.no_grad()
        def compute(part: Sequence[EncodedExample]) -> list[Tensor]:
            batch = self._prepare_inputs(self._inputs(part, rows))
            del batch["labels"]
            return list(model(**batch))

        return None, torch.stack(run_batch(compute, rows, Work())), None

    def logits(self, rows: list[EncodedExample]) -> NDArray[np.float32]:
        """Logits of examples under the current weights, shape (examples, labels), in the given order.

        Raises:
            MemoryMissing: A single example does not fit into memory.
        """
        loader = self.get_test_dataloader(rows)
        order = [i for batch in loader.batch_sampler for i in batch]  # type: ignore[union-attr]
        found = np.empty((len(rows), self.model.head[-1].out_features), np.float32)
        found[order] = self.predict(rows).predictions
        return found

    def _inputs(self, part: Sequence[EncodedExample], whole: Sequence[EncodedExample]) -> dict[str, Any]:
        return self.collator(part, max(len(row.input_ids) for row in whole) if self.collator.shifts else None)


def trainer_settings(folder: Path, hyper: Hyper, seed: int, *, epochs: int, dtype: str, device: torch.device) -> Any:
    """The library's settings of a fit: nothing is logged, reported or saved by itself."""
    quiet_deepspeed()
    return TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=epochs,
        per_device_train_batch_size=hyper.batch_size,
        max_grad_norm=hyper.clip or 0.0,
        seed=seed,
        use_cpu=device.type == "cpu",
        bf16=dtype == "bfloat16",
        report_to=[],
        disable_tqdm=True,
        eval_strategy="no",
        save_strategy="no",
        logging_strategy="no",
        logging_nan_inf_filter=False,
        remove_unused_columns=False,
        dataloader_pin_memory=False,
    )


class Between(TrainerCallback):  # type: ignore[misc]
    """Calls what a fit does at the beginning, before and after each epoch, and after each update."""

    def __init__(
        self, *, begin: Callable[[], None], before: Callable[[], None], after: Callable[[], None], update: Callable[[], None]
    ) -> None:
        self._begin, self._before, self._after, self._update = begin, before, after, update

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self._begin()

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        self._before()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        self._after()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self._update()


def _too_large() -> MemoryMissing:
    return MemoryMissing(
        "Fine-tuning on a single example does not fit into memory.",
        hint="Use --device cpu, a larger device, or --dtype bfloat16.",
    )
