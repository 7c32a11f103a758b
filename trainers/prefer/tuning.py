"""Preference tuning: pairs and the parent put together, and run."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.errors import UsageError
from babyeval.models.naming import counted
from babyeval.progress import Reporter

from ..checks import row_length
from ..pretrain import STATES, Outcome, ended, guarded, prepare_model
from ..recipe import Preference, TuningRecipe
from ..saving import steps_done
from ..schedule import BatchShape, Schedule, in_words, plan_checkpoints, warm_up_remarks
from .pairs import Pairs, encode_pairs, training_order

if TYPE_CHECKING:
    from babyeval.models.checkpoint import Checkpoint

    from ..callbacks import Exposure
    from ..instruct.sets import InstructionSet
    from ..milestones import Milestones, Origin
    from .engine import PreferenceTrainer

# What TRL calls what it measures, and what the log calls it.
_MEASURED = {
    "rewards/margins": "margin",
    "rewards/accuracies": "accuracy",
    "rewards/chosen": "chosen_reward",
    "rewards/rejected": "rejected_reward",
}


@dataclass(frozen=True, slots=True)
class PreferenceJob:
    """A preference tuning that is about to begin or to go on.

    Attributes:
        recipe: What is trained.
        out: Folder of all runs, where the parent's log-probabilities are kept.
        folder: The run's folder.
        tokenizer: Folder of the parent's tokenizer.
        sets: Sets of pairs, by name.
        origin: Where it all comes from.
        parent: The checkpoint whose weights it begins with, and against which it is tuned.
        state: The state from which it goes on; None at the beginning.
        shape: How a batch is divided.
        deepspeed: DeepSpeed's configuration; None for plain PyTorch.
    """

    recipe: TuningRecipe
    out: Path
    folder: Path
    tokenizer: Path
    sets: dict[str, InstructionSet]
    origin: Origin
    parent: Checkpoint
    state: Path | None
    shape: BatchShape
    deepspeed: dict[str, Any] | None

    @property
    def states(self) -> Path:
        """Folder of the states to go on from."""
        return self.folder / STATES

    @property
    def step(self) -> int:
        """Updates done before."""
        return steps_done(self.state)


@dataclass(frozen=True, slots=True)
class Material:
    """The pairs of a tuning as tokens.

    Attributes:
        train: The training parts of all sets, one behind the other.
        valid: The validation part of each set; it may be empty.
        order: The pair of each sample; as many as updates times the batch.
        left_over: Pairs of the last epoch that fill no batch.
    """

    train: Pairs
    valid: dict[str, Pairs]
    order: Any
    left_over: int

    def updates(self, batch: int) -> int:
        """Of the whole training."""
        return len(self.order) // batch


def require_pairs(tuning: Preference, sets: Mapping[str, InstructionSet]) -> int:
    """Updates of a tuning if all rows can be used.

    Raises:
        UsageError: A set has no rejected replies, or the pairs fill no batch.
    """
    for name, made in sets.items():
        if not made.manifest.preference:
            raise UsageError(
                f"The set '{name}' has no rejected replies, so nothing is preferred to anything.",
                where=f"sets.{name}: {made.manifest.source}",
                hint="Preference rows have the fields chosen and rejected; other rows are for 'babyeval train instruct'.",
            )
    return count_updates(tuning, sum(made.manifest.parts["train"].rows for made in sets.values()))


def count_updates(tuning: Preference, pairs: int) -> int:
    """Updates of a tuning on so many pairs: whole batches of its epochs, or the recipe's `max_steps`.

    Raises:
        UsageError: They fill no batch.
    """
    updates = tuning.max_steps or tuning.epochs * pairs // tuning.batch_size
    if not updates:
        raise UsageError(
            f"{counted(tuning.epochs, 'epoch')} of {counted(pairs, 'pair')} fill no batch of {tuning.batch_size}.",
            where="prefer.batch_size",
            hint="Take smaller batches, more epochs or more rows.",
        )
    return updates


def encode_sets(job: PreferenceJob, tokenizer: Any) -> Material:
    """Encodes all sets, and lays out the training.

    Raises:
        UsageError: A chat template loses replies, all are cut away, or the pairs fill no batch.
    """
    tuning = job.recipe.preference
    length = row_length(job.recipe, job.parent.window)
    train = encode_pairs(tokenizer, (row for made in job.sets.values() for row in made.rows("train")), length)
    valid = {name: encode_pairs(tokenizer, made.rows("valid"), length, "valid") for name, made in job.sets.items()}
    samples = count_updates(tuning, len(train.pairs)) * tuning.batch_size
    left = 0 if tuning.max_steps else tuning.epochs * len(train.pairs) - samples
    return Material(train, valid, training_order(len(train.pairs), samples, job.recipe.seed), left)


def prefer(job: PreferenceJob, start: Callable[[], None], reporter: Reporter) -> Outcome:
    """Tunes from the beginning, or from a state, to the end.

    Args:
        job: What to do.
        start: Called when nothing is left that would be refused: notes in the folder that a training has begun.
        reporter: Where it speaks; silent in all processes but the first.

    Raises:
        ModelError: The training diverged; what was kept before stays.
        MissingError: The disk is full, memory runs out, or a library is missing.
        UsageError: The pairs cannot be used, or fill no batch.
    """
    from transformers import AutoModelForCausalLM, set_seed

    from babyeval.models.load import load_as
    from babyeval.models.tokenizer import load_tokenizer

    from ..callbacks import no_bars_of_the_library

    tokenizer = load_tokenizer(job.tokenizer)
    material = encode_sets(job, tokenizer)
    start()
    updates = material.updates(job.shape.size)
    exposure = _exposure(job, material)
    schedule = plan_checkpoints(job.recipe.checkpoints, updates, exposure.words, job.parent.words_seen)
    for remark in [*_what_comes(job, material, updates), *schedule.remarks()] if job.state is None else []:
        reporter.note(remark)
    set_seed(job.recipe.seed)
    model = prepare_model(load_as(AutoModelForCausalLM, job.parent), job.recipe)
    parameters = sum(weight.numel() for weight in model.parameters())
    milestones = _milestones(job, schedule, exposure, reporter)
    bar = reporter.bar("Training", exposure.words(updates) - exposure.words(job.step), "words")
    with no_bars_of_the_library(), warnings.catch_warnings(), bar as advance:
        warnings.filterwarnings("ignore", r".*gradient_checkpointing", FutureWarning)  # TRL's way to ask for it
        trainer = guarded(lambda: _trainer(job, material, model, tokenizer, milestones, advance), job.recipe, job.shape)
        guarded(lambda: trainer.go_on(job.state), job.recipe, job.shape)
        milestones.finish(trainer, updates)
    return ended(trainer, job.states, milestones, parameters)


def _exposure(job: PreferenceJob, material: Material) -> Exposure:
    import numpy as np

    from ..callbacks import Exposure

    batch, pairs = job.shape.size, material.train.pairs
    words, tokens = (
        np.concatenate([[0], np.array([getattr(pair, name) for pair in pairs], np.int64)[material.order].cumsum()])
        for name in ("words", "tokens")
    )
    before = job.parent.words_seen or 0
    return Exposure(
        words=lambda step: int(words[step * batch]),
        tokens=lambda step: int(tokens[step * batch]),
        epochs=lambda step: step * batch / len(pairs),
        before=before,
        tuned_from=before,
        known=job.parent.words_seen is not None,
    )


def _milestones(job: PreferenceJob, schedule: Schedule, exposure: Exposure, reporter: Reporter) -> Milestones:
    from ..milestones import Milestones

    return Milestones(
        recipe=job.recipe, folder=job.folder, tokenizer=job.tokenizer, schedule=schedule, exposure=exposure,
        origin=job.origin, sets={}, reporter=reporter,
    )  # fmt: skip


def _trainer(
    job: PreferenceJob, material: Material, model: Any, tokenizer: Any, milestones: Milestones, advance: Callable[[int], None]
) -> PreferenceTrainer:
    """The library's trainer, the parent's log-probabilities, and what is measured with them."""
    from .engine import PreferenceTrainer, preference_settings
    from .references import References, measure

    settings = preference_settings(job.recipe, job.states, job.shape, milestones.schedule.updates, job.deepspeed)
    references = References(job.out, job.parent.digest, job.recipe.preference.dtype, job.shape.micro, milestones.reporter)
    trainer = PreferenceTrainer(
        model, tokenizer, material.train, material.order, references, settings=settings, schedule=milestones.schedule,
        states=job.states, callbacks=milestones.callbacks(advance, job.state, main=settings.process_index == 0, more=_MEASURED),
    )  # fmt: skip
    limit = job.recipe.logging.valid_words
    sets = {name: trainer.validation_set(_limited(pairs, limit)) for name, pairs in material.valid.items() if pairs.pairs}
    milestones.sets = sets
    milestones.measure = partial(measure, sets=sets)
    milestones.attach(trainer, job.state)
    return trainer


def _limited(pairs: Pairs, words: int | None) -> Pairs:
    """The first pairs, up to so many words but at least one."""
    from ..validate import first_items

    return replace(pairs, pairs=pairs.pairs[: first_items((pair.words for pair in pairs.pairs), words)])


def _what_comes(job: PreferenceJob, material: Material, updates: int) -> list[str]:
    return [
        f"Training: {material.train.in_words()}.",
        *(
            f"Validation, {name}: {valid.in_words()}." + ("" if valid.pairs else " There is no validation of this set.")
            for name, valid in material.valid.items()
        ),
        in_words(updates, job.shape.size, len(material.train.pairs), material.left_over, "pair"),
        *warm_up_remarks(job.recipe.training.warmup_steps, updates),
    ]
