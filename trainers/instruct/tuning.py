"""Instruction tuning: a curriculum's runs one behind the other, each from the weights that the one before has left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.models.naming import counted
from babyeval.progress import Reporter

from ..checks import row_length
from ..pretrain import STATES, Outcome, ended, guarded, prepare_model
from ..recipe import TuningRecipe
from ..saving import choose_state, clean_states, read_facts
from ..schedule import BatchShape, plan_checkpoints
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
        valid: Validation part of each set.
        runs: The curriculum laid out.
    """

    train: dict[str, EncodedSet]
    valid: dict[str, EncodedSet]
    runs: list[Run]

    def column(self, name: str) -> list[Any]:
        """A column of all training rows."""
        return [value for part in self.train.values() for value in getattr(part, name)]


def encode_sets(job: TuningJob, tokenizer: Any) -> Material:
    """Encodes all sets and lays out the curriculum.

    Raises:
        UsageError: A chat template loses replies, all are cut away, or a stage fills no batch.
    """
    tuning, length = job.recipe.tuning, row_length(job.recipe, job.parent.window)
    parts = {
        part: {name: encode_set(name, made.rows(part), tokenizer, length) for name, made in job.sets.items()}
        for part in ("train", "valid")
    }
    sizes = {name: len(encoded) for name, encoded in parts["train"].items()}
    runs = plan_runs(tuning.curriculum, sizes, tuning.batch_size, job.recipe.seed, tuning.max_steps)
    return Material(parts["train"], parts["valid"], runs)


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
    schedule = plan_checkpoints(job.recipe.checkpoints, run.updates, exposure.words, exposure.before)
    state, said = choose_state(job.states(run))
    step = 0 if state is None else int(state.name.rpartition("-")[2])
    if state is not None:
        said.append(f"The training goes on from {state}.")
    for remark in said or [*_what_comes(job, material, run), *schedule.remarks()]:
        reporter.note(remark)
    set_seed(job.recipe.seed)
    model = prepare_model(_parent_model(job, run), job.recipe)
    parameters = sum(weight.numel() for weight in model.parameters())
    milestones = _milestones(job, material, schedule, exposure, reporter)
    title = "Training" if len(material.runs) == 1 else f"Training, {run.stages[0].name}"
    bar = reporter.bar(title, exposure.words(run.updates) - exposure.words(step), "words")
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


def exposure_of(job: TuningJob, material: Material, run: Run) -> Exposure:
    """What a run has seen after each update, earlier runs and the parent counted as well."""
    import numpy as np

    from ..callbacks import Exposure

    batch = job.shape.size
    words, tokens = (np.array(material.column(name), dtype=np.int64) for name in ("words", "tokens"))
    earlier = [one.order for one in material.runs[: run.number - 1]]
    words_before, tokens_before = (sum(int(column[order].sum()) for order in earlier) for column in (words, tokens))
    words_after = np.concatenate([[0], words[run.order].cumsum()])
    tokens_after = np.concatenate([[0], tokens[run.order].cumsum()])
    parents = job.parent.words_seen or 0
    return Exposure(
        words=lambda step: int(words_after[step * batch]),
        tokens=lambda step: tokens_before + int(tokens_after[step * batch]),
        epochs=lambda step: run.epochs(step, batch),
        before=parents + words_before,
        updates_before=sum(one.updates for one in material.runs[: run.number - 1]),
        tuned_from=parents,
        stage=lambda step: run.stage_of(max(step, 1)).name,
    )


def _milestones(job: TuningJob, material: Material, schedule: Any, exposure: Exposure, reporter: Reporter) -> Milestones:
    from ..milestones import Milestones
    from ..validate import ValidationSet

    sets, limit = {}, job.recipe.logging.valid_words
    for name, part in material.valid.items():
        items: list[dict[str, list[int]]] = []
        words = 0
        for ids, labels, count in zip(part.input_ids, part.labels, part.words, strict=True):
            if limit is not None and items and words + count > limit:
                break
            items.append({"input_ids": ids, "labels": labels})
            words += count
        sets[name] = ValidationSet(items, sum(part.reply_words[: len(items)]))  # what is predicted, for bits per word
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

    from ..callbacks import Before, Due, Progress, report_callbacks
    from ..history import LOG_FILE, cut_back
    from .trainer import InstructionTrainer, tuning_settings

    tuning, log = job.recipe.tuning, job.folder / LOG_FILE
    settings = tuning_settings(job.recipe, job.states(run), job.shape, run.updates, job.deepspeed)
    callbacks: list[Any] = [Due(milestones.due)]
    exposure = milestones.exposure
    done = exposure.updates_before + (0 if state is None else int(state.name.rpartition("-")[2]))
    if settings.process_index == 0:
        cut_back(log, done or -1)
        callbacks.append(Progress(exposure, advance, log))
        callbacks += report_callbacks(job.recipe.logging.report_to, job.folder, done)
    rows = Dataset.from_dict({name: material.column(name) for name in ("input_ids", "labels")}).select(run.order)
    trainer = InstructionTrainer(
        model, rows, load_tokenizer(job.tokenizer), settings=settings, schedule=milestones.schedule, states=job.states(run),
        callbacks=callbacks, periods=[stage.updates for stage in run.stages] if tuning.curriculum.restart == "schedule" else [run.updates],
    )  # fmt: skip
    trainer.milestone = lambda step: milestones.reach(trainer, step)
    if not done:
        trainer.add_callback(Before(lambda: milestones.begin(trainer)))
    trainer.accelerator.wait_for_everyone()  # all have chosen the state before others are removed
    if settings.process_index == 0:
        clean_states(job.states(run), state)
    return trainer


def _what_comes(job: TuningJob, material: Material, run: Run) -> list[str]:
    said = []
    for stage in run.stages:
        left = f"; {counted(stage.left_over, 'row')} at the end fill no batch and are left out" if stage.left_over else ""
        said.append(
            f"{stage.name}: {counted(stage.updates, 'update')} of {counted(job.shape.size, 'row')}, "
            f"{stage.updates * job.shape.size / stage.rows:.2f} passes over {counted(stage.rows, 'row')}{left}."
        )
    return said
