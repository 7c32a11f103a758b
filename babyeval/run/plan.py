"""The plan of a run: what will be computed, what is there already, and what cannot be done and why."""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field

from babyeval.config import RunConfig
from babyeval.data.archive import require_known_tasks
from babyeval.data.lookup import resolved_split
from babyeval.errors import BabyevalError, DataError, DataMissing, MissingError, UsageError, raise_interrupt
from babyeval.families import SpanTask, Task
from babyeval.fit.plan import find_fits
from babyeval.fit.task import FitTask
from babyeval.models.checkpoint import Checkpoint
from babyeval.models.kind import MASKED_BACKENDS, kind_of
from babyeval.progress import Reporter
from babyeval.protocols import EncodingPolicy, get_protocols
from babyeval.records import ModelInfo, TaskResult
from babyeval.registry import resolve_tasks
from babyeval.run.kept import Wanted, same_model, sweep_holds
from babyeval.run.planned import Planned, PlannedFit, State
from babyeval.run.planned import PlannedTask as PlannedTask  # a part of the plan, taken from here
from babyeval.run.prepared import Prepared, Shared, limited
from babyeval.run.questions import Questions
from babyeval.scoring.encode import Encoder
from babyeval.scoring.engine import Dtype, Engine
from babyeval.scoring.word_end import WordEnd, WordEnds, word_ends
from babyeval.store import ResultStore


@dataclass(slots=True)
class Plan:
    """Everything a run will do with one model.

    Attributes:
        config: What was asked.
        checkpoint: The model, its weights not loaded.
        model: How records describe it.
        backend: The backend's label in results; another masking than the default is part of it (see `planned_backend`).
        store: Where results go.
        engine: Answers the questions.
        prepared: The items, read once for all checkpoints.
        shared: What checkpoints share that turn texts into the same questions.
        ends: Ids that end a word, if word ends are corrected for.
        tasks: One entry per task about spans and protocol.
        fits: One entry per task to be fine-tuned on and protocol.
    """

    config: RunConfig
    checkpoint: Checkpoint
    model: ModelInfo
    backend: str
    store: ResultStore
    engine: Engine
    prepared: Prepared
    shared: Shared
    ends: WordEnds | None = None
    tasks: list[PlannedTask] = field(default_factory=list)
    fits: list[PlannedFit] = field(default_factory=list)

    @property
    def questions(self) -> Questions:
        """The questions of its tasks, among them those of checkpoints before it."""
        return self.shared.questions

    def running(self) -> list[PlannedTask]:
        """The tasks about spans that have to be run."""
        return [planned for planned in self.tasks if planned.state == "run"]


def make_plan(config: RunConfig, checkpoint: Checkpoint, reporter: Reporter, prepared: Prepared | None = None) -> Plan:
    """Finds out everything that can be known without loading weights.

    Args:
        config: What to do.
        checkpoint: The model.
        reporter: Shows progress.
        prepared: What was prepared for other checkpoints under this configuration.

    Raises:
        UsageError: A task is unknown, options contradict each other, or the model's name is
            taken by another one in the results folder.
        MissingError: The results folder cannot be written.
    """
    tasks = resolve_tasks(list(config.tasks))
    require_known_tasks(config.passwords)
    if config.seeds is not None and config.protocol not in ("robust", "all") and any(isinstance(task, FitTask) for task in tasks):
        reporter.note("--seeds has no effect here: the official protocols fine-tune with seed 42 alone; 'robust' takes several.")
    if config.masking != "pll" and checkpoint.backend not in MASKED_BACKENDS:
        raise UsageError(
            f"--masking {config.masking} is for masked models, and '{checkpoint.name}' is scored as {checkpoint.backend}.",
            hint="Leave it out, or choose --backend mlm.",
        )
    ends = word_ends(checkpoint) if config.word_end == "corrected" else None
    store = ResultStore(config.out)
    if not config.dry_run:
        store.require_writable()
    model = describe_model(config, checkpoint)
    store.require_same_model(model)
    prepared = prepared or Prepared(config)
    engine = Engine(checkpoint, device=config.device, fresh=config.fresh, reporter=reporter)
    shared = prepared.shared_by(checkpoint, engine.salt)
    engine.tries = shared.tries
    label = checkpoint.backend + ("" if config.masking == "pll" else f"-{config.masking}")
    plan = Plan(config, checkpoint, model, label, store, engine, prepared, shared, ends)
    for task in tasks:
        plan.tasks.extend(_plan_task(plan, task))
    if ends is not None and all(planned_word_end(plan, planned) == "none" for planned in plan.tasks):
        prepared.note_once(
            reporter, "--word-end corrected adds nothing here: it is for tasks on surprisals of words (reading) under robust."
        )
    return plan


def describe_model(config: RunConfig, checkpoint: Checkpoint) -> ModelInfo:
    """The model as records show it; options override what the trainers wrote."""
    training = checkpoint.training
    return ModelInfo(
        name=checkpoint.name,
        source=checkpoint.source,
        revision=checkpoint.revision,
        commit=checkpoint.commit,
        digest=checkpoint.digest,
        weights=checkpoint.weights,
        parameters=checkpoint.parameters,
        kind=kind_of(checkpoint.backend),
        condition=config.condition if config.condition is not None else training.get("condition"),
        train_seed=config.train_seed if config.train_seed is not None else training.get("seed"),
        words_seen=checkpoint.words_seen,
        parent_digest=training.get("parent_digest"),
    )


def _plan_task(plan: Plan, task: Task) -> list[PlannedTask]:
    """Plans a task under each protocol; whatever goes wrong concerns this task alone. Fits are added to the plan's."""
    config = plan.config
    label = config.split + (f"@{config.limit}" if config.limit else "")
    tasks: list[PlannedTask] = []
    fits: list[PlannedFit] = []
    for protocol in get_protocols(config.protocol):
        if isinstance(task, FitTask):
            fits.append(PlannedFit(task, protocol, "run", label))
        elif isinstance(task, SpanTask):
            tasks.append(PlannedTask(task, protocol, "run", label))
    plan.fits += fits
    planned: list[Planned] = [*tasks, *fits]
    for one in planned:
        if one.protocol.name not in task.card.protocols:
            one.state, one.error = "not_applicable", UsageError(f"'{task.card.name}' is not part of {one.protocol.name}.")
        elif config.split == "fast" and "fast" not in task.card.data and not task.card.fast_falls_back:
            hint = "Take the full one: --split full."
            one.state, one.error = "not_applicable", UsageError(f"'{task.card.name}' has no fast set.", hint=hint)
    _find(plan, task, [one for one in tasks if one.state == "run"], [one for one in fits if one.state == "run"])
    return tasks


def _find(plan: Plan, task: Task, tasks: list[PlannedTask], fits: list[PlannedFit]) -> None:
    """Finds a task's data and what has to be done with it."""
    wanted: list[Planned] = [*tasks, *fits]
    try:
        if tasks:
            _find_and_ask(plan, tasks[0].task, tasks)
        if fits:
            find_fits(plan, fits[0].task, fits)
    except DataMissing as error:
        _settle(wanted, "skipped", error)
    except MissingError:
        raise  # a full disk or an unusable cache concerns all tasks
    except BabyevalError as error:
        _settle(wanted, "failed", error)
    except OSError as error:
        message = f"A data file cannot be read: {error.strerror}."
        _settle(wanted, "skipped", DataMissing(message, where=str(error.filename), hint="Is it there, and may you read it?"))
    except Exception as error:  # a plug-in's own code may fail in any way
        _settle(wanted, "failed", unexpected(task.card.name, error))


def _find_and_ask(plan: Plan, task: SpanTask, wanted: list[PlannedTask]) -> None:
    config = plan.config
    for planned in wanted:  # fast may mean full
        planned.split = resolved_split(task.card, config.split) + (f"@{config.limit}" if config.limit else "")
    if task.across and config.revisions is None:
        for planned in wanted:
            _look_for_sweep(plan, planned)
        return
    source = plan.prepared.source(task)
    for planned in wanted:
        planned.source = source
        kept = _kept_record(plan, planned)
        if kept is not None:
            planned.state, planned.result = "kept", kept
    todo = [planned for planned in wanted if planned.state == "run"]
    if not todo:
        return
    items = plan.prepared.items(task)
    asked = plan.shared.asked.setdefault(task.card.name, {})
    for planned in todo:
        planned.items = limited([item for item in items if task.keeps(item, planned.protocol)], config.limit)
        if not planned.items:
            places = ", ".join(str(file.path) for file in source.files)
            _settle([planned], "failed", DataError(f"The files hold no items of {planned.protocol.name}.", where=places))
            continue
        policy = planned.protocol.encoding
        known = asked.setdefault(policy, {})
        new = [item for item in planned.items if item.id not in known]
        known.update(zip((item.id for item in new), plan.questions.ask(task.encode(new, _encoder(plan, policy))), strict=True))
        planned.asked = [known[item.id] for item in planned.items]


def _look_for_sweep(plan: Plan, planned: PlannedTask) -> None:
    """One checkpoint has no such number; an earlier sweep over the model's checkpoints may have.

    Raises:
        DataMissing: There is a sweep, and no data that it could be held to.
    """
    task, model, store = planned.task, plan.model, plan.store
    name, backend = task.card.name, planned_backend(plan, planned)
    there = [] if plan.config.fresh else store.over_checkpoints(model.name, name, planned.split, backend, planned.protocol.name)
    where = None
    if there:
        planned.source = plan.prepared.source(task)
        wanted = Wanted(task, planned.protocol, planned.source.digest, planned_dtype(plan, planned))
        sound = [record for record in there if sweep_holds(store, record, wanted)]
        planned.result = next((record for record in sound if _is_of(record, model)), None)
        if planned.result is not None:
            planned.state = "kept"
            return
        old = (sound or there)[0]
        where = f"a sweep under this name ('{old.model.revision}') " + (
            f"is there from another source, {old.model.source}: this model is none of its checkpoints"
            if sound
            else "is there, and is not what its checkpoints would give now"
        )
    planned.state = "not_applicable"
    planned.error = UsageError(
        f"'{name}' needs several checkpoints of one training run.",
        where=where,
        hint=f"Name them by a glob, such as --tasks {name} --revisions 'chck_*'.",
    )


def _is_of(record: TaskResult, model: ModelInfo) -> bool:
    """Whether a sweep is of the training run that a model comes from."""
    weights = model.weights is not None and model.weights in [one.weights for one in record.checkpoints]
    return weights or model.digest in [one.digest for one in record.checkpoints] or model.source == record.model.source


def _encoder(plan: Plan, policy: EncodingPolicy) -> Encoder:
    checkpoint = plan.checkpoint
    return Encoder(
        checkpoint.tokenizer, checkpoint.facts, checkpoint.backend, policy, checkpoint.window, plan.config.masking, plan.ends
    )  # fmt: skip


def planned_dtype(plan: Plan, planned: PlannedTask) -> Dtype:
    """The precision of a task's rows: values are always computed in float32, decisions may be rounded and checked."""
    return plan.config.dtype if planned.task.decides else "float32"


def planned_word_end(plan: Plan, planned: PlannedTask) -> WordEnd:
    """Whether a task's record holds values corrected for the word's end; the official protocols know no such thing."""
    return plan.config.word_end if planned.task.corrects_word_end and planned.protocol.name == "robust" else "none"


def planned_backend(plan: Plan, planned: PlannedTask) -> str:
    """The backend's label in a task's record; what an option of scoring adds lies apart from what is without it."""
    return plan.backend + ("-corrected" if planned_word_end(plan, planned) == "corrected" else "")


def _kept_record(plan: Plan, planned: PlannedTask) -> TaskResult | None:
    """An earlier record, if it says what this run would say."""
    if plan.config.fresh or planned.source is None:
        return None
    backend, protocol = planned_backend(plan, planned), planned.protocol
    old = plan.store.find(plan.model, planned.task.card.name, planned.split, backend, protocol.name)
    wanted = Wanted(planned.task, protocol, planned.source.digest, planned_dtype(plan, planned))
    if old is None or not same_model(old.model, plan.model) or not wanted.made(old) or not plan.store.items_whole(old):
        return None
    return old.model_copy(update={"model": plan.model})  # it may have been made where the model lay before


def _settle(wanted: Sequence[Planned], state: State, error: BabyevalError) -> None:
    for planned in wanted:
        if planned.state == "run":
            planned.state, planned.error = state, error


def unexpected(name: str, error: Exception) -> BabyevalError:
    """An error that a task's own code did not foresee, with the line it came from."""
    raise_interrupt(error)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return BabyevalError(
        f"The task '{name}' failed: {type(error).__name__}: {error}.",
        where=f"{frame.filename}, line {frame.lineno}",
        hint="This is a bug of the task: tell its authors.",
    )
