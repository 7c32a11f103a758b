"""The training itself: ``transformers.Trainer`` with a fixed order of data, and with its own way to save and to stop."""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from babyeval.errors import ModelError

from .interrupt import Stop
from .recipe import AnyRecipe
from .saving import seal_state, state_draft, state_folder, writing
from .schedule import BatchShape, Schedule


class LanguageTrainer(Trainer):  # type: ignore[misc]
    """Trains a language model on a data set that holds the whole training, one item after the other.

    The library sees a single epoch: which document comes when is the data set's business, so that the words seen
    after an update are known beforehand, and skipping the first items is all that going on takes.

    Args:
        model: The model.
        stream: All items in order; as many as updates times the batch.
        collate: Makes a model's inputs of items.
        settings: Of the library's trainer.
        schedule: What is saved when.
        states: Folder of the states to go on from.
        callbacks: What happens besides.
        causal: Whether the model predicts the next token, and not masked ones.
        library: What a trainer of another library between this one and `Trainer` takes besides.

    Attributes:
        section: The recipe's section that says how to train.
        milestone: Called by all processes, with the update's number, where anything is to be kept or measured.
    """

    section = "pretrain"

    def __init__(
        self,
        model: nn.Module,
        stream: Any,
        collate: Callable[[list[Any]], dict[str, Tensor]] | None,
        *,
        settings: TrainingArguments,
        schedule: Schedule,
        states: Path,
        callbacks: list[TrainerCallback],
        causal: bool = True,
        **library: Any,
    ) -> None:
        settings._n_gpu = min(settings.n_gpu, 1)  # several devices take several processes
        self._draft: Path | None = None
        self._flops_per_token = flops_per_token(model)
        config: Any = model.config
        cache = getattr(config, "use_cache", None)
        if not causal:
            library["compute_loss_func"] = summed_loss
        super().__init__(
            model=model, args=settings, data_collator=collate, train_dataset=stream, callbacks=callbacks, **library
        )  # fmt: skip
        config.use_cache = cache  # training makes none, but whoever generates with the checkpoint wants one
        self.remove_callback(PrinterCallback)
        self._stop = Stop()
        self.add_callback(self._stop)
        self.schedule, self.states = schedule, states
        self.milestone: Callable[[int], None] = lambda _: None
        self._diverged = torch.zeros((), dtype=torch.bool, device=settings.device)

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """Predicted tokens of an update; at least one, since of a few masked tokens there may be none at all."""
        count = super()._get_num_items_in_batch(batch_samples, device)
        return count.clamp(min=1) if torch.is_tensor(count) else count

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Tensor:
        loss: Tensor = super().training_step(model, inputs, num_items_in_batch)
        self._diverged |= ~torch.isfinite(loss)  # looked at only now and then: each look waits for the device
        return loss

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        norm = super()._get_grad_norm(model, grad_norm)
        if torch.is_tensor(norm):
            self._diverged |= ~torch.isfinite(norm).to(self._diverged.device)
        elif norm is not None and not math.isfinite(norm):
            self._diverged.fill_(True)
        return norm

    @property
    def asked_to_stop(self) -> bool:
        """Whether a signal has come."""
        return self._stop.asked

    def go_on(self, state: Path | None) -> None:
        """Trains to the end, from a state or from the beginning.

        Raises:
            KeyboardInterrupt: A signal asked to stop; the state after the update in which it came is saved.
        """
        with self._stop.listening(self.args.world_size):
            self.train(resume_from_checkpoint=None if state is None else str(state))

    def require_finite(self) -> None:
        """Stops a training whose loss or gradient has become NaN or infinite, before anything is written of it.

        Raises:
            ModelError: It has, in any of the processes.
        """
        if int(self.accelerator.reduce(self._diverged.int(), reduction="sum")):
            raise ModelError(
                f"The training has diverged: loss or gradient is not a finite number any more, by update {self.state.global_step:,}.",
                where=str(self.states.parent),
                hint="What was kept before is good. Lower learning_rate, warm up longer (warmup_steps) or clip the gradient (clip) "
                f"in the section {self.section}, under another condition's name or with another --out.",
            )

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        self.require_finite()
        super().log(logs, start_time)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        self.require_finite()
        step = self.state.global_step
        self.milestone(step)
        if self.schedule.state_at(step) or self._stop.asked:
            self._save_state(model, trial, step)
        if self._stop.asked and step < self.state.max_steps:
            raise KeyboardInterrupt

    def _save_state(self, model: nn.Module, trial: Any, step: int) -> None:
        """Lets the library write weights, optimiser, schedule and random generators into a draft, then seals it."""
        self._draft = state_draft(self.states, step)
        try:
            with writing(self.states):
                if self.args.should_save:
                    shutil.rmtree(self._draft, ignore_errors=True)
                    self._draft.mkdir(parents=True)
                self.accelerator.wait_for_everyone()
                super()._save_checkpoint(model, trial)
                self.accelerator.wait_for_everyone()
                if self.args.should_save:
                    seal_state(self._draft / f"checkpoint-{step}", state_folder(self.states, step))
        finally:
            if self.args.should_save:
                shutil.rmtree(self._draft, ignore_errors=True)
            self._draft = None

    def _get_output_dir(self, trial: Any) -> str:
        return str(self._draft or self.states)

    def write_weights(self, folder: Path) -> None:
        """Writes weights and configuration; all processes must call it, since they may each hold a part of the weights."""
        self.save_model(str(folder), _internal_call=True)

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        ids = inputs["input_ids"]
        return int(ids.numel() * self._flops_per_token(ids.shape[-1]))


def summed_loss(outputs: Any, labels: Tensor, num_items_in_batch: Any = 1) -> Tensor:
    """The losses of a masked model's tokens, divided by those of the whole update.

    Its own loss is the mean over the tokens of one forward pass, and does not know of the others of an update, in other
    passes or on other devices: fewer masked tokens would each count more.

    Args:
        outputs: Of the model, with ``logits`` of shape (sequences, tokens, vocabulary).
        labels: Of shape (sequences, tokens); -100 where nothing is predicted.
        num_items_in_batch: Predicted tokens of the update.
    """
    logits = outputs.logits.flatten(0, 1).float()
    loss: Tensor = nn.functional.cross_entropy(logits, labels.flatten(), reduction="sum") / num_items_in_batch
    return loss


def flops_per_token(model: nn.Module) -> Callable[[int], int]:
    """Floating-point operations of training on one token, as a function of the sequence's length.

    Six for each weight that multiplies (twice in the forward, four times in the backward pass), the vocabulary head
    included and tables that are looked up left out, and 12 * layers * width * length for attention, as counted by
    Chowdhery et al. 2022 (PaLM), appendix B; what a causal mask or packing leaves out is not subtracted.
    """
    config: Any = model.config
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    weights = sum(weight.numel() for weight in model.parameters() if id(weight) not in tables)
    head: Any = model.get_output_embeddings()  # type: ignore[operator]
    if head is not None and id(head.weight) in tables:
        weights += head.weight.numel()
    attention = 12 * int(config.num_hidden_layers) * int(config.hidden_size)
    return lambda length: 6 * weights + attention * length


def release(trainer: LanguageTrainer) -> None:
    """Frees what a trainer that has ended holds, so that this process can train again."""
    from accelerate.state import AcceleratorState

    trainer.accelerator.free_memory()
    if trainer.is_deepspeed_enabled:
        from transformers.integrations.deepspeed import unset_hf_deepspeed_config

        unset_hf_deepspeed_config()
    AcceleratorState._reset_state()


def training_settings(
    recipe: AnyRecipe,
    states: Path,
    shape: BatchShape,
    updates: int,
    deepspeed: dict[str, Any] | None,
    kind: type[TrainingArguments] = TrainingArguments,
    **more: Any,
) -> Any:
    """The library's settings: what it would log, report and save by itself is switched off.

    Args:
        recipe: How to train.
        states: Folder of the states to go on from.
        shape: How the batch is divided.
        updates: Of the whole training.
        deepspeed: DeepSpeed's configuration; None for plain PyTorch.
        kind: Their class.
        more: Settings of that class.
    """
    training, gpu = recipe.training, torch.cuda.is_available()
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return kind(
        output_dir=str(states),
        max_steps=updates,
        per_device_train_batch_size=shape.micro,
        gradient_accumulation_steps=shape.accumulation,
        train_sampling_strategy="sequential",
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.schedule,
        lr_scheduler_kwargs=dict(training.schedule_options),
        warmup_steps=training.warmup_steps,
        optim="adamw_torch_fused",
        weight_decay=training.weight_decay,
        adam_beta1=training.betas[0],
        adam_beta2=training.betas[1],
        adam_epsilon=training.epsilon,
        max_grad_norm=training.clip,
        bf16=training.dtype == "bfloat16" and "torch_autocast" not in (deepspeed or {}),
        torch_compile=training.compile,
        seed=recipe.seed,
        use_cpu=not gpu,
        ddp_backend="gloo" if distributed and not gpu else None,
        ddp_find_unused_parameters=False,
        average_tokens_across_devices=True,
        deepspeed=deepspeed,
        logging_steps=recipe.logging.steps,
        logging_nan_inf_filter=False,
        report_to=[],
        disable_tqdm=True,
        eval_strategy="no",
        save_strategy="no",
        remove_unused_columns=False,
        dataloader_pin_memory=gpu,
        dataloader_num_workers=2 if gpu else 0,
        **more,
    )
