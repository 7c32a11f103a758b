"""Instruction tuning: a curriculum's runs one behind the other, each from the weights that the one before has left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.progress import Reporter

from ..checks import row_length
from ..corpus.types import Part
from ..pretrain import STATES, Outcome, ended, guarded, prepare_model
from ..recipe import TuningRecipe
from ..saving import choose_state, read_facts, steps_done
from ..schedule import BatchShape, Schedule, in_words, plan_checkpoints, warm_up_remarks
from .encode import EncodedSet, encode_set
from .order import Run, plan_runs
from .sets import InstructionSet

if TYPE_CHECKING:
    from babyeval.models.checkpoint import Checkpoint

    from ..callbacks import Exposure
    from ..milestones import Milestones, Origin


@dataclass(frozen=True, slots=True)
class TuningJob:
    """A tuning that is about to begin or to go on.

    Attributes:
        recipe: What is trained.
        folder: The run's folder.
        tokenizer: Folder of the parent's tokenizer.
        sets: The sets of the curriculum, in its order.
        origin: Where it all comes from.
        parent: The checkpoint whose weights it begins with.
        shape: How a batch is divided.
        deepspeed: DeepSpeed's configuration; None for plain PyTorch.
    """

    recipe: TuningRecipe
    folder: Path
    tokenizer: Path
    sets: dict[str, InstructionSet]
    origin: Origin
    parent: Checkpoint
    shape: BatchShape
    deepspeed: dict[str, Any] | None

    def states(self, run: Run) -> Path:
        """Folder of a run's states to go on from."""
        return self.folder / STATES / f"stage_{run.number}"

    def kept(self, run: Run) -> Path:
        """The checkpoint that a run before the last one leaves."""
        return self.folder / f"stage_{run.number}"


@dataclass(frozen=True, slots=True)
class Material:
    """The rows of a tuning as tokens.

    Attributes:
        train: Training part of each set, in the order that numbers the rows.
        valid: Validation part of each set; it may be empty.
        runs: The curriculum laid out.
    """

    train: dict[str, EncodedSet]
    valid: dict[str, EncodedSet]
    runs: list[Run]

    def column(self, name: str) -> list[Any]:
        """A column of all training rows."""
        return [value for part in self.train.values() for value in getattr(part, name)]

    def sums(self, name: str) -> Any:
        """Sums of a column over the items of the whole tuning: before the first one, after it, and so on."""
        import numpy as np

        order = np.concatenate([run.order for run in self.runs])
        return np.concatenate([[0], np.array(self.column(name), dtype=np.int64)[order].cumsum()])

    def updates_before(self, run: Run) -> int:
        """Updates of earlier runs."""
        return sum(one.updates for one in self.runs[: run.number - 1])


def encode_sets(job: TuningJob, tokenizer: Any) -> Material:
    """Encodes all sets and lays out the curriculum.

    Raises:
        UsageError: A chat template loses replies, all are cut away, or a stage fills no batch.
    """
    length = row_length(job.recipe, job.parent.window)

    def encoded(part: Part) -> dict[str, EncodedSet]:
        return {name: encode_set(name, made.rows(part), tokenizer, length, part) for name, made in job.sets.items()}

    train, valid = encoded("train"), encoded("valid")
    runs = lay_out(job.recipe, {name: len(rows) for name, rows in train.items()})
    return Material(train, valid, runs)


def lay_out(recipe: TuningRecipe, sizes: dict[str, int]) -> list[Run]:
    """Lays out a recipe's curriculum for sets of so many rows.

    Raises:
        UsageError: A stage fills no batch.
    """
    tuning = recipe.tuning
    return plan_runs(tuning.curriculum, sizes, tuning.batch_size, recipe.seed, tuning.max_steps)


def instruct(job: TuningJob, start: Callable[[], None], reporter: Reporter) -> Outcome:
    """Tunes from the beginning, or from where an interrupted tuning was, to the end.

    Args:
        job: What to do.
        start: Called when nothing speaks against it, before anything is written into the run's folder.
        reporter: Where it speaks; silent in all processes but the first.

    Raises:
        ModelError: The training diverged; what was kept before stays.
        MissingError: The disk is full, memory runs out, or a library is missing.
        UsageError: The rows cannot be used, or fill no batch.
    """
    from babyeval.models.tokenizer import load_tokenizer

    material = encode_sets(job, load_tokenizer(job.tokenizer))
    start()
    for remark in (remark for part in (material.train, material.valid) for one in part.values() for remark in one.remarks()):
        reporter.note(remark)
    runs = material.runs
    done = next((i for i, run in enumerate(runs) if run is runs[-1] or read_facts(job.kept(run)) is None), 0)
    if done:
        reporter.note(f"Done before: {', '.join(stage.name for run in runs[:done] for stage in run.stages)}.")
    outcomes = [_run(job, material, run, reporter) for run in runs[done:]]
    return replace(outcomes[-1], kept=tuple(name for one in outcomes for name in one.kept))


def _run(job: TuningJob, material: Material, run: Run, reporter: Reporter) -> Outcome:
    """Trains one run.

    Raises:
        KeyboardInterrupt: A signal came during its last update, and another run would follow.
    """
    from transformers import set_seed

    from ..callbacks import no_bars_of_the_library
    from ..milestones import FINAL

    exposure = exposure_of(job, material, run)
    whole = schedule_of(job, material)
    schedule = whole.part(exposure.updates_before, run.updates)
    state, said = choose_state(job.states(run))
    if state is not None:
        said.append(f"The training goes on from {state}.")
    for remark in said or [*_what_comes(job, run), *(whole.remarks() if run.number == 1 else [])]:
        reporter.note(remark)
    set_seed(job.recipe.seed)
    model = prepare_model(_parent_model(job, run), job.recipe)
    parameters = sum(weight.numel() for weight in model.parameters())
    milestones = _milestones(job, material, schedule, exposure, reporter)
    title = "Training" if len(material.runs) == 1 else f"Training, {run.stages[0].name}"
    bar = reporter.bar(title, exposure.words(run.updates) - exposure.words(steps_done(state)), "words")
    with no_bars_of_the_library(), bar as advance:
        trainer = _trainer(job, material, run, model, milestones, advance, state)
        guarded(lambda: trainer.go_on(state), job.recipe, job.shape)
        last = run is material.runs[-1]
        milestones.finish(trainer, run.updates, FINAL if last else job.kept(run).name)
    outcome = ended(trainer, job.folder / STATES if last else job.states(run), milestones, parameters)
    if trainer.asked_to_stop and not last:
        raise KeyboardInterrupt
    return outcome


def _parent_model(job: TuningJob, run: Run) -> Any:
    """The weights to begin with: the parent's, or those that the run before has left, as they lie on disk."""
    from transformers import AutoModelForCausalLM

    from babyeval.models.checkpoint import open_checkpoint
    from babyeval.models.load import load_as
    from babyeval.models.naming import parse_model

    parent = job.parent
    if run.number > 1:
        parent = open_checkpoint(parse_model(str(job.folder / f"stage_{run.number - 1}")))
    return load_as(AutoModelForCausalLM, parent)


def schedule_of(job: TuningJob, material: Material) -> Schedule:
    """The checkpoints of all runs together, so that none gets a name which another has."""
    words, batch = material.sums("words"), job.shape.size
    updates = sum(run.updates for run in material.runs)
    return plan_checkpoints(job.recipe.checkpoints, updates, lambda update: int(words[update * batch]), job.parent.words_seen)


def exposure_of(job: TuningJob, material: Material, run: Run) -> Exposure:
    """What a run has seen after each update, earlier runs and the parent counted as well."""
    from ..callbacks import Exposure

    words, tokens = material.sums("words"), material.sums("tokens")
    before, batch = material.updates_before(run), job.shape.size
    first, parents = before * batch, job.parent.words_seen or 0
    return Exposure(
        words=lambda step: int(words[first + step * batch] - words[first]),
        tokens=lambda step: int(tokens[first + step * batch]),
        epochs=lambda step: run.epochs(step, batch),
        before=parents + int(words[first]),
        updates_before=before,
        tuned_from=parents,
        stage=lambda step: run.stage_of(max(step, 1)).name,
        known=job.parent.words_seen is not None,
    )


def _milestones(job: TuningJob, material: Material, schedule: Schedule, exposure: Exposure, reporter: Reporter) -> Milestones:
    from ..milestones import Milestones
    from ..validate import ValidationSet, first_items

    sets, limit = {}, job.recipe.logging.valid_words
    for name, part in material.valid.items():
        if not len(part):  # said at the start
            continue
        taken = slice(first_items(part.words, limit))
        pairs = zip(part.input_ids[taken], part.labels[taken], strict=True)
        items = [{"input_ids": ids, "labels": labels} for ids, labels in pairs]
        sets[name] = ValidationSet(items, sum(part.reply_words[taken]))  # what is predicted, for bits per word
    return Milestones(
        recipe=job.recipe, folder=job.folder, tokenizer=job.tokenizer, schedule=schedule, exposure=exposure,
        origin=job.origin, sets=sets, reporter=reporter,
    )  # fmt: skip


def _trainer(
    job: TuningJob, material: Material, run: Run, model: Any, milestones: Milestones, advance: Callable[[int], None],
    state: Path | None,
) -> Any:  # fmt: skip
    from datasets import Dataset

    from babyeval.models.tokenizer import load_tokenizer

    from .trainer import InstructionTrainer, tuning_settings

    settings = tuning_settings(job.recipe, job.states(run), job.shape, run.updates, job.deepspeed)
    stagewise = job.recipe.tuning.curriculum.restart == "schedule"
    rows = Dataset.from_dict({name: material.column(name) for name in ("input_ids", "labels")}).select(run.order)
    trainer = InstructionTrainer(
        model, rows, load_tokenizer(job.tokenizer), settings=settings, schedule=milestones.schedule, states=job.states(run),
        callbacks=milestones.callbacks(advance, state, main=settings.process_index == 0),
        periods=[stage.updates for stage in run.stages] if stagewise else [run.updates],
    )  # fmt: skip
    milestones.attach(trainer, state)
    return trainer


def _what_comes(job: TuningJob, run: Run) -> list[str]:
    return [
        *(f"{stage.name}: {in_words(stage.updates, job.shape.size, stage.rows, stage.left_over, 'row')}" for stage in run.stages),
        *warm_up_remarks(job.recipe.training.warmup_steps, sum(stage.updates for stage in run.stages)),
    ]
