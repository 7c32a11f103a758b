"""The fits of a plan: seed after seed, each with a record of its own, and the record over all seeds."""

from __future__ import annotations

import contextlib
import datetime
import platform
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.cache import cache_root
from babyeval.data.verify import departures
from babyeval.errors import BabyevalError, MemoryMissing
from babyeval.fit import FIT_VERSION
from babyeval.fit.metrics import MetricMissing, get_metric
from babyeval.fit.plan import fit_backend, hyper_digest, kept_seeds, state_name
from babyeval.fit.summary import Predicted, fit_scores
from babyeval.lock import alone
from babyeval.progress import Advance, Reporter, Share
from babyeval.records import Counts, DataInfo, FileInfo, FitInfo, Provenance, SeedFit, TaskResult, Timing
from babyeval.run.execute import not_run, record_failure
from babyeval.run.kept import same_model
from babyeval.run.plan import Plan, unexpected
from babyeval.run.planned import PlannedFit
from babyeval.run.provenance import library_versions
from babyeval.store import ITEMS_FILE

if TYPE_CHECKING:
    import pandas as pd

    from babyeval.fit.classifier import Body
    from babyeval.fit.types import FitOutcome


def execute_fits(plan: Plan, reporter: Reporter) -> list[TaskResult]:
    """Makes the missing fits of a plan, and the records.

    A task whose fit fails does not stop the others; a diverged fit is recorded as such and stops nothing.

    Args:
        plan: Its fits.
        reporter: Shows progress over all tasks and seeds.

    Returns:
        One result per task and protocol, in the plan's order: over its seeds.

    Raises:
        MissingError: Something that all tasks need is missing: disk space, a permission.
    """
    running = [planned for planned in plan.fits if planned.state == "run"]
    total = sum(_passes(planned) * len(planned.todo) for planned in running)
    progress = _Progress(reporter, total)
    body = cache(partial(_open_body, plan))
    results = {}
    with progress.opened() if total else contextlib.nullcontext():
        for planned in plan.fits:
            _say_of_the_model(plan, planned)
        for planned in running:
            results[id(planned)] = _run_task(plan, planned, progress, body)
    return [results.get(id(planned)) or not_run(plan, planned, fit_backend(plan)) for planned in plan.fits]


def _say_of_the_model(plan: Plan, planned: PlannedFit) -> None:
    """Puts into kept records what is said of the same weights now, such as their condition: no fit depends on it."""

    def told(old: TaskResult) -> TaskResult:
        new = old.model_copy(update={"model": plan.model})
        return new if same_model(old.model, plan.model) else plan.store.write(new, None)

    planned.kept = {seed: told(old) for seed, old in planned.kept.items()}
    planned.result = told(planned.result) if planned.result is not None else None


def _open_body(plan: Plan) -> Body:
    from babyeval.fit.classifier import open_body
    from babyeval.models.load import torch_device

    return open_body(plan.checkpoint, torch_device(plan.config.device))


def _run_task(plan: Plan, planned: PlannedFit, progress: _Progress, body: Callable[[], Body]) -> TaskResult:
    """All seeds of one task under one protocol; they may fail together, and alone of all tasks."""
    start = time.monotonic()
    left = _passes(planned) * len(planned.todo)
    try:
        _try_metrics(planned)
        for seed in planned.todo:
            planned.kept[seed] = _run_seed(plan, planned, seed, progress, body())
            left -= _passes(planned)
        return _summary(plan, planned, time.monotonic() - start)
    except (MemoryMissing, MetricMissing) as error:  # another task's texts may be shorter, and its metrics others
        return record_failure(plan, planned, BabyevalError(error.what, where=error.where, hint=error.hint), fit_backend(plan))
    except BabyevalError as error:
        return record_failure(plan, planned, error, fit_backend(plan))
    except Exception as error:  # a model's own code may fail in any way
        return record_failure(plan, planned, unexpected(planned.task.card.name, error), fit_backend(plan))
    finally:
        progress.skip(left)


def _try_metrics(planned: PlannedFit) -> None:
    """Finds out before hours of work whether all metrics can be had."""
    assert planned.hyper is not None
    labels = list(range(len(planned.task.spec.labels)))
    for metric in (*planned.task.metrics, get_metric(planned.hyper.select_on)):
        metric(labels, labels)


def _run_seed(plan: Plan, planned: PlannedFit, seed: int, progress: _Progress, body: Body) -> TaskResult:
    """Makes one fit, or goes on with it where a run was broken off, and writes its record."""
    assert planned.source is not None
    name = f"{planned.task.card.name}, seed {seed}"
    folder = cache_root() / "fits" / plan.model.digest[:32] / state_name(planned, planned.source, seed, plan.config.dtype)
    with alone(folder, lambda: progress.reporter.note(f"{name}: another process is making this fit; waiting for it.")):
        made = kept_seeds(plan, planned).get(seed)  # by another process, since the plan was made
        if made is None:
            made = _make_seed(plan, planned, seed, progress, body, folder)
        else:
            progress.skip(_passes(planned))
        shutil.rmtree(folder, ignore_errors=True)  # only now: until then the next run would go on from it
    return made


def _make_seed(plan: Plan, planned: PlannedFit, seed: int, progress: _Progress, body: Body, folder: Path) -> TaskResult:
    from babyeval.fit.engine import fit
    from babyeval.fit.state import STATE_FILE

    assert planned.hyper is not None
    config, card = plan.config, planned.task.card
    if config.fresh:
        (folder / STATE_FILE).unlink(missing_ok=True)
    of = f" of {len(planned.seeds)}" if len(planned.seeds) > 1 else ""
    progress.reporter.note(f"{plan.model.name}: {card.name} ({planned.protocol.name}), seed {seed}{of}")
    with progress.fit(_passes(planned)) as shown:
        outcome = fit(
            plan.checkpoint, planned.train, planned.reported, card, planned.hyper, seed,
            dtype=config.dtype, folder=folder, reporter=shown, body=body,
        )  # fmt: skip
    result, table = _seed_record(plan, planned, seed, outcome)
    written = plan.store.write(result, table)
    if outcome.diverged:
        progress.reporter.note(f"{card.name}, seed {seed}: diverged, {outcome.diverged}; other seeds go on.")
    return written


def _seed_record(plan: Plan, planned: PlannedFit, seed: int, outcome: FitOutcome) -> tuple[TaskResult, pd.DataFrame | None]:
    gold = [example.label for example in planned.reported]
    labels: list[int] = outcome.logits.argmax(axis=1).tolist()
    clusters = [example.cluster for example in planned.reported]
    about: dict[str, Any] = {"status": "failed", "error": f"The fit diverged: {outcome.diverged}"}
    table = value = None
    if outcome.diverged is None:
        table = _seed_table(planned, outcome, labels)
        scores, _ = fit_scores(planned.task, Predicted(gold, clusters, {seed: labels}), _remarks(planned))
        value = scores[0].value
        about = {"status": "done", "scores": tuple(scores), "headlines": (scores[0],)}
    one = SeedFit(
        seed=seed,
        value=value,
        diverged=outcome.diverged,
        constant=None if outcome.diverged else len(set(labels)) == 1,
        best_epoch=outcome.best_epoch,
        losses=outcome.losses,
        selection=outcome.selection,
        updates=outcome.updates,
        truncated=outcome.truncated,
        batch_size=outcome.batch_size,
        accumulation=outcome.accumulation,
        seconds=outcome.seconds,
    )
    return TaskResult(
        **_identity(plan, planned),
        **about,
        counts=Counts(items=len(gold), ties=0, nan=0, truncated=outcome.truncated, unscored=0),
        provenance=_provenance(plan, planned),
        timing=_timing(outcome.seconds),
        fit=_fit_info(planned, (one,), seed=seed),
    ), table


def _seed_table(planned: PlannedFit, outcome: FitOutcome, labels: Sequence[int]) -> pd.DataFrame:
    """One line per reported example; it holds no text of the benchmark."""
    import pandas as pd

    examples = planned.reported
    return pd.DataFrame(
        {
            "item_id": [example.id for example in examples],
            "place": [example.place for example in examples],
            "cluster": [example.cluster for example in examples],
            "gold": [example.label for example in examples],
            "value": [float(example.label == label) for example, label in zip(examples, labels, strict=True)],
            "prediction": labels,
            "logits": outcome.logits.tolist(),
        }
    )


def _summary(plan: Plan, planned: PlannedFit, seconds: float) -> TaskResult:
    """The record over all seeds, made of their records alone."""
    import numpy as np
    import pandas as pd

    parts = [planned.kept[seed] for seed in planned.seeds]
    fits = tuple(one for part in parts if part.fit is not None for one in part.fit.fits)
    counted = [part for part in parts if part.status == "done"]
    info = _fit_info(planned, fits)
    if not counted:
        error = BabyevalError(
            f"All {len(fits)} fits diverged: {fits[0].diverged}",
            hint="See 'babyeval check': are the weights finite? A single record of each seed holds its losses.",
        )
        return record_failure(plan, planned, error, fit_backend(plan), fit=info)
    tables = [pd.read_parquet(plan.store.folder_of(part) / ITEMS_FILE) for part in counted]
    first = tables[0]
    predictions = np.stack([table["prediction"].to_numpy() for table in tables], axis=1)
    seeds = [part.fit.seed for part in counted if part.fit is not None and part.fit.seed is not None]
    predicted = Predicted(
        first["gold"].tolist(),
        first["cluster"].tolist(),
        {seed: predictions[:, k].tolist() for k, seed in enumerate(seeds)},
        [one.seed for one in fits if one.diverged is not None],
    )
    scores, mde = fit_scores(planned.task, predicted, _remarks(planned))
    table = first[["item_id", "place", "cluster", "gold"]].assign(
        value=(predictions == first["gold"].to_numpy()[:, None]).mean(axis=1), predictions=predictions.tolist()
    )
    result = TaskResult(
        **_identity(plan, planned),
        status="done",
        headlines=(scores[0],),
        scores=tuple(scores),
        counts=Counts(items=len(first), ties=0, nan=0, truncated=max(one.truncated for one in fits), unscored=0),
        provenance=_provenance(plan, planned),
        timing=_timing(seconds),
        fit=info.model_copy(update={"mde": mde}),
    )
    return plan.store.write(result, table)


def _remarks(planned: PlannedFit) -> list[str]:
    """What makes the number another one than it seems."""
    remarks = []
    if planned.split_valid:
        remarks.append("learnt from a part of the reported file (--allow-split-valid): no number of the benchmark")
    if planned.hyper is not None and planned.hyper.selection == "reported":
        remarks.append("the epoch was chosen on the reported file, which flatters (D15)")
    return remarks


def _identity(plan: Plan, planned: PlannedFit) -> dict[str, Any]:
    assert planned.source is not None
    files = tuple(FileInfo(name=file.name, sha256=file.sha256, size=file.size) for file in planned.source.files)
    return {
        "task": planned.task.card,
        "model": plan.model,
        "protocol": planned.protocol.name,
        "split": planned.split,
        "backend": fit_backend(plan),
        "data": DataInfo(
            split=planned.source.split,
            digest=planned.source.digest,
            files=files,
            departs=departures(planned.task, planned.source),
        ),
    }


def _fit_info(planned: PlannedFit, fits: Sequence[SeedFit], seed: int | None = None) -> FitInfo:
    assert planned.hyper is not None
    assert planned.task.card.fit is not None
    labels = range(len(planned.task.card.fit.labels))
    train, reported = ([example.label for example in examples] for examples in (planned.train, planned.reported))
    return FitInfo(
        seed=seed,
        fits=tuple(fits),
        hyper=asdict(planned.hyper),
        hyper_digest=hyper_digest(planned.hyper),
        train_labels=tuple(map(train.count, labels)),
        reported_labels=tuple(map(reported.count, labels)),
        split_valid=planned.split_valid,
    )


def _provenance(plan: Plan, planned: PlannedFit) -> Provenance:
    from babyeval.models.load import torch_device

    assert planned.hyper is not None
    return Provenance(
        babyeval=version("babyeval"),
        task_code=planned.task.code_digest,
        protocol_version=planned.protocol.version,
        scoring_version=FIT_VERSION,
        dtype=plan.config.dtype,
        masking="none",
        device=str(torch_device(plan.config.device)),
        attention=None,
        tf32=False,  # fit/engine.py switches it off
        path="fit",
        split_head=None,
        window=plan.checkpoint.window,
        truncation={"longest": "the longer text", "a": "the first text", "b": "the second text"}[planned.hyper.cut],
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.machine()}",
        libraries=library_versions(),
        finished=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )


def _timing(seconds: float) -> Timing:
    return Timing(seconds=seconds, rows_computed=0, rows_cached=0, positions=0, trie_nodes=0)


def _passes(planned: PlannedFit) -> int:
    """Examples that one fit goes through, the unit of progress."""
    assert planned.hyper is not None
    return planned.hyper.epochs * len(planned.train)


class _Progress:
    """One bar over all tasks and seeds; what a single fit shows moves it on in proportion."""

    def __init__(self, reporter: Reporter, total: int) -> None:
        self.reporter = reporter
        self._total = total
        self._advance: Advance = lambda _: None

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        with self.reporter.bar("fine-tuning", self._total, "examples") as advance:
            self._advance = advance
            yield

    def skip(self, passes: int) -> None:
        """Moves on by what will not be done."""
        if passes:
            self._advance(passes)

    @contextlib.contextmanager
    def fit(self, passes: int) -> Iterator[_OneFit]:
        shown = _OneFit(self.reporter, self._advance, passes)
        yield shown
        self.skip(passes - shown.done)


class _OneFit:
    """The reporter of one fit: its first bar is a part of the bar over all."""

    def __init__(self, reporter: Reporter, advance: Advance, passes: int) -> None:
        self._reporter = reporter
        self._advance = advance
        self._passes = passes
        self.done = 0

    @contextlib.contextmanager
    def bar(self, label: str, total: int, unit: str = "rows", share: Share | None = None) -> Iterator[Advance]:
        seen = 0

        def advance(count: int) -> None:
            nonlocal seen
            seen += count
            now = min(self._passes, self._passes * seen // max(1, total))
            if now > self.done:
                self._advance(now - self.done)
                self.done = now

        yield advance

    def note(self, text: str) -> None:
        self._reporter.note(text)
