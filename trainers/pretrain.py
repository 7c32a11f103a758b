"""Pre-training: everything that a recipe and its data need put together, and run."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from babyeval.errors import MemoryMissing, UsageError
from babyeval.models.naming import counted
from babyeval.progress import Reporter

from .recipe import AnyRecipe, Recipe
from .saving import steps_done
from .schedule import BatchShape, in_words, plan_checkpoints

if TYPE_CHECKING:
    from babyeval.models.checkpoint import Checkpoint

    from .callbacks import Exposure
    from .engine import LanguageTrainer
    from .milestones import Milestones, Origin
    from .shards import Shards
    from .validate import DomainLoss, ValidationSet

STATES = "state"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Job:
    """A training that is about to begin or to go on.

    Attributes:
        recipe: What is trained; with a parent, as `parent.as_parent` completes it.
        folder: The run's folder.
        tokenizer: Folder of the tokenizer.
        shards: The packed corpus.
        origin: Where it all comes from.
        parent: The checkpoint whose weights it begins with.
        state: The state from which it goes on; None at the beginning.
        shape: How a batch is divided.
        deepspeed: DeepSpeed's configuration; None for plain PyTorch.
    """

    recipe: Recipe
    folder: Path
    tokenizer: Path
    shards: Shards
    origin: Origin
    parent: Checkpoint | None
    state: Path | None
    shape: BatchShape
    deepspeed: dict[str, Any] | None

    @property
    def states(self) -> Path:
        """Folder of the states to go on from."""
        return self.folder / STATES


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a training has come to.

    Attributes:
        steps: Updates.
        words_seen: Words of all training, the parent's included; None if nobody knows these.
        words_tuned: Of a tuning, words seen in it.
        tokens_seen: Tokens of this training.
        parameters: Of the model.
        kept: Names of the checkpoints written by this process.
        losses: On the validation part.
    """

    steps: int
    words_seen: int | None
    words_tuned: int | None
    tokens_seen: int
    parameters: int
    kept: tuple[str, ...]
    losses: dict[str, DomainLoss]


def count_updates(recipe: Recipe, blocks: int) -> int:
    """Updates of a training: as many whole batches as the epochs' blocks fill, or the recipe's `max_steps`.

    Raises:
        UsageError: They do not fill a single batch.

    Example:
        >>> from babyeval.trainers.recipe import load_recipe
        >>> count_updates(load_recipe("tiny", ("pretrain.epochs=3", "pretrain.batch_size=32")), blocks=100)
        9
    """
    training = recipe.pretrain
    if not blocks:
        raise UsageError("The training part holds no text.", where="data", hint="Is data.words or data.valid_share right?")
    updates = training.max_steps or training.epochs * blocks // training.batch_size
    if not updates:
        raise UsageError(
            f"{counted(training.epochs, 'epoch')} of {counted(blocks, 'sequence')} fill no batch of {training.batch_size}.",
            where="pretrain.batch_size",
            hint="Take smaller batches, shorter sequences, more epochs or a larger corpus.",
        )
    return updates


def pretrain(job: Job, reporter: Reporter) -> Outcome:
    """Trains from the beginning or from a state to the end.

    Args:
        job: What to do.
        reporter: Where it speaks; silent in all processes but the first.

    Raises:
        ModelError: The training diverged; what was kept before stays.
        MissingError: The disk is full, memory runs out, or a library is missing.
        UsageError: The data fill no batch, or the parent's weights cannot be used.
    """
    from transformers import set_seed

    from .callbacks import no_bars_of_the_library
    from .stream import TrainStream

    recipe, batch = job.recipe, job.shape.size
    updates = count_updates(recipe, len(job.shards.train))
    stream = TrainStream(job.shards.train, updates * batch, recipe.seed, recipe.pretrain.mask_share)
    exposure = _exposure(job, stream)
    schedule = plan_checkpoints(recipe.checkpoints, updates, exposure.words, exposure.before if exposure.known else None)
    first = steps_done(job.state)
    if not first:
        _say_what_comes(job, updates, schedule.remarks(), reporter)
    set_seed(recipe.seed)
    model = make_model(job)
    parameters = sum(weight.numel() for weight in model.parameters())
    milestones = _milestones(job, schedule, exposure, _validation_sets(job), reporter)
    bar = reporter.bar("Training", exposure.words(updates) - exposure.words(first), "words")
    with no_bars_of_the_library(), bar as advance:
        trainer = _trainer(job, model, stream, milestones, advance)
        guarded(lambda: trainer.go_on(job.state), recipe, job.shape)
        milestones.finish(trainer, updates)
    return ended(trainer, job.states, milestones, parameters)


def ended(trainer: LanguageTrainer, states: Path, milestones: Milestones, parameters: int) -> Outcome:
    """What a finished training has come to; its states are removed, and what the library holds is let go."""
    from .engine import release

    if trainer.is_world_process_zero():
        shutil.rmtree(states, ignore_errors=True)
    release(trainer)
    exposure, updates = milestones.exposure, milestones.schedule.updates
    return Outcome(
        steps=exposure.updates_before + updates,
        words_seen=exposure.words_seen(updates) if exposure.known else None,
        words_tuned=exposure.words_tuned(updates),
        tokens_seen=exposure.tokens(updates),
        parameters=parameters,
        kept=tuple(milestones.kept),
        losses=milestones.losses,
    )


def make_model(job: Job) -> Any:
    """The model to begin with: of fresh weights, or the parent's.

    Raises:
        UsageError: It cannot be made, or the parent's weights do not fit its configuration.
    """
    from babyeval.models.tokenizer import load_tokenizer

    from .model import new_model

    recipe = job.recipe
    tokenizer = load_tokenizer(job.tokenizer)
    model = new_model(recipe, tokenizer) if job.parent is None else _parents_model(recipe, job.parent)
    return prepare_model(model, recipe)


def prepare_model(model: Any, recipe: AnyRecipe) -> Any:
    """Switches on what the recipe asks of the model itself: an attention, and computing activations twice."""
    if recipe.training.attention != "auto":
        model.set_attn_implementation(recipe.training.attention)
    if recipe.training.gradient_checkpointing:
        options = {"use_reentrant": False}
        if hasattr(model, "activation_checkpointing_enable"):  # its name since transformers 5.20
            model.activation_checkpointing_enable(activation_checkpointing_kwargs=options)
        else:
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)
    return model


def _parents_model(recipe: Recipe, parent: Checkpoint) -> Any:
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    from babyeval.models.load import load_as

    return load_as(AutoModelForCausalLM if recipe.model.causal else AutoModelForMaskedLM, parent)


def _exposure(job: Job, stream: Any) -> Exposure:
    from .callbacks import Exposure

    batch, blocks = job.shape.size, len(job.shards.train)
    return Exposure(
        words=lambda step: int(stream.words_after(step * batch)),
        tokens=lambda step: int(stream.tokens_after(step * batch)),
        epochs=lambda step: step * batch / blocks,
        before=(job.parent.words_seen or 0) if job.parent is not None else 0,
        known=job.parent is None or job.parent.words_seen is not None,
    )


def _validation_sets(job: Job) -> dict[str, ValidationSet]:
    """The domains that have a validation part, each as much of it as the recipe says."""
    from .stream import BlockData
    from .validate import ValidationSet

    sets = {}
    for domain, blocks in job.shards.valid.items():
        if len(blocks):
            data = BlockData(blocks, job.recipe.pretrain.mask_share, job.recipe.logging.valid_words)
            sets[domain] = ValidationSet(data, data.words)  # type: ignore[arg-type]
    return sets


def _milestones(job: Job, schedule: Any, exposure: Exposure, sets: dict[str, ValidationSet], reporter: Reporter) -> Milestones:
    from .milestones import Milestones

    return Milestones(
        recipe=job.recipe, folder=job.folder, tokenizer=job.tokenizer, schedule=schedule, exposure=exposure,
        origin=job.origin, sets=sets, reporter=reporter,
    )  # fmt: skip


def _trainer(job: Job, model: Any, stream: Any, milestones: Milestones, advance: Callable[[int], None]) -> LanguageTrainer:
    from .engine import LanguageTrainer, training_settings
    from .stream import collate

    settings = training_settings(job.recipe, job.states, job.shape, milestones.schedule.updates, job.deepspeed)
    if settings.dataloader_num_workers:  # forked after tokenizers were used, which would warn
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    attention = getattr(model.config, "_attn_implementation", None) or job.recipe.pretrain.attention
    trainer = LanguageTrainer(
        model,
        stream,
        partial(collate, architecture=job.recipe.model.architecture, attention=attention),
        settings=settings,
        schedule=milestones.schedule,
        states=job.states,
        callbacks=milestones.callbacks(advance, job.state, main=settings.process_index == 0),
        causal=job.recipe.model.causal,
    )
    milestones.attach(trainer, job.state)
    return trainer


def guarded(train: Callable[[], T], recipe: AnyRecipe, shape: BatchShape) -> T:
    """Does what needs much memory, and says in words that it has run out.

    Raises:
        MemoryMissing: It has.
    """
    import torch

    from babyeval.scoring.batching import out_of_memory

    try:
        return train()
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        section = recipe.section
        raise MemoryMissing(
            f"Training on {counted(shape.micro, 'sequence')} at once does not fit into memory.",
            where=f"{section}.micro_batch_size",
            hint=f"Take a smaller one (--set {section}.micro_batch_size={max(1, shape.micro // 2)}), which changes nothing "
            f"else, or {section}.gradient_checkpointing=true; if a checkpoint or state is kept, with another condition or --out.",
        ) from error


def _say_what_comes(job: Job, updates: int, remarks: list[str], reporter: Reporter) -> None:
    training, blocks = job.recipe.pretrain, len(job.shards.train)
    left = 0 if training.max_steps else training.epochs * blocks - updates * training.batch_size
    for remark in [in_words(updates, training.batch_size, blocks, left, "sequence"), *remarks]:
        reporter.note(remark)
    if job.parent is not None and job.parent.words_seen is None:
        reporter.note(f"Nothing says how many words {job.recipe.parent} has seen: only those of this training are counted.")
