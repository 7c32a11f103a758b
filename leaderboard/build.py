"""From chosen records to the payload: columns, models, scores, averages and curves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Literal

from babyeval.comparison.pairs import ENOUGH_SUBSETS, own_headlines
from babyeval.models.kind import MASKED_BACKENDS
from babyeval.protocols import PROTOCOLS
from babyeval.records import ModelInfo, Score, TaskResult
from babyeval.run.groups import group_headlines

from . import payload as page
from .about import how_scored, name_of, recipe_of, source_of, without_root
from .conditions import make_conditions
from .curves import curves_of, lines_of
from .pairs import best_models, pair_columns
from .read import Board, Row

_GROUPS = {"finetune": "Fine-tuning", "zero-shot": "Zero-shot", "reading": "Reading", "instruct": "Instruction following"}


def make_payload(board: Board, title: str) -> page.Payload:
    """Everything on the page but its figures.

    Args:
        board: The records.
        title: The page's title.
    """
    ids = {row: number for number, row in enumerate(sorted(board.models, key=lambda row: (row.label.casefold(), row.label)))}
    tasks = sorted((_task(board, name) for name in board.records), key=_order)
    scores = {column.key: _cells(board, task, column, ids) for task in tasks for column in task.headlines}
    mixed = {column.key: board.mixed[task.id] for task in tasks for column in task.headlines if task.id in board.mixed}
    pairs, pairs_note = pair_columns(board, tasks, ids)
    macro, notes = _macro(board, ids), list(board.notes)
    curves = {key: lines_of(curve, ids) for key, curve in curves_of(board, notes).items()}
    groups = dict.fromkeys(task.group for task in tasks)
    return page.Payload(
        babyeval=version("babyeval"),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        title=title,
        protocol=board.protocol,
        split=board.split,
        notes=notes,
        groups=[page.Group(key=key, title=_GROUPS.get(key, key)) for key in groups],
        models=[_model(board, row, number, macro) for row, number in ids.items()],
        tasks=tasks,
        scores=scores,
        pairs=pairs,
        pairs_note=pairs_note,
        best=best_models(board, tasks, ids, scores, pairs),
        mixed=mixed,
        mixed_official={
            column.key: dict(board.mixed_official[task.id])
            for task in tasks
            for column in task.headlines
            if board.mixed_official.get(task.id)
        },
        macro=macro,
        curves=curves,
        figures={},
        damaged=[page.DamagedRecord(path=one.path, reason=one.reason) for one in board.damaged],
        conditions=make_conditions(board, tasks, ids),
    )


def column_key(task: str, subset: str) -> str:
    """The key of a column.

    Example:
        >>> column_key("blimp", ""), column_key("reading", "self_paced")
        ('blimp', 'reading:self_paced')
    """
    return f"{task}:{subset}" if subset else task


def _order(task: page.Task) -> tuple[int, str, str]:
    known = list(_GROUPS)
    return known.index(task.group) if task.group in known else len(known), task.group, task.title.casefold()


def _task(board: Board, name: str) -> page.Task:
    results = [result for result in board.records[name].values() if result.status == "done"]
    card = results[0].task
    subsets = dict.fromkeys(score.subset for result in results for score in own_headlines(result))
    parts = [strata_of(result) for result in results]
    strata = list(dict.fromkeys(score.subset for scores in parts for score in scores))
    sizes = Counter((score.subset, score.n) for scores in parts for score in scores)
    strata_n = {name: n for (name, n), _ in reversed(sizes.most_common())}
    enough = card.family == "ranking" and len(strata) >= ENOUGH_SUBSETS
    test: Literal["subsets", "shipped"] = "subsets" if enough else "shipped"
    return page.Task(
        id=name, title=card.title, group=_group(results[0]), family=card.family, metric=card.metric, unit=card.unit,
        higher_is_better=card.higher_is_better, about=card.summary,
        citation=card.citation, homepage=card.homepage, version=card.version, split=board.splits[name],
        protocols=how_scored(card), test=test, strata=strata, strata_n=[strata_n[name] for name in strata],
        headlines=[
            page.Headline(
                key=column_key(name, subset), subset=subset,
                title=f"{card.title}: {subset.replace('_', ' ')}" if len(subsets) > 1 else card.title,
            )
            for subset in subsets
        ],
    )  # fmt: skip


def _group(result: TaskResult) -> str:
    card = result.task
    if card.family in ("fit", "reading"):
        return "finetune" if card.family == "fit" else "reading"
    return next((name for name in ("instruct", "zero-shot") if name in card.groups), card.groups[0] if card.groups else "other")


def strata_of(result: TaskResult) -> list[Score]:
    """The scores that the headline is the mean of."""
    card = result.task
    return [score for score in result.scores if card.strata and (score.group, score.metric) == (card.strata, card.metric)]


def _cells(board: Board, task: page.Task, column: page.Headline, ids: Mapping[Row, int]) -> dict[int, page.ScoreCell]:
    cells: dict[int, page.ScoreCell] = {}
    for row, result in board.records[task.id].items():
        score = _headline(result, column.subset)
        if score is not None:
            official = board.official[task.id].get(row, {})
            cells[ids[row]] = _cell(result, score, task, official)
        elif result.status == "failed":
            cells[ids[row]] = _failed(result, board)
    return dict(sorted(cells.items()))


def _headline(result: TaskResult, subset: str) -> Score | None:
    return next((score for score in own_headlines(result) if score.subset == subset), None)


def _cell(result: TaskResult, score: Score, task: page.Task, official: Mapping[str, TaskResult]) -> page.ScoreCell:
    departs = f"the data departs from the published set: {result.data.departs}" if result.data and result.data.departs else None
    variants = {
        other.metric if other.unit == score.unit else f"{other.metric} ({other.unit})": other.value
        for other in result.scores
        if (other.group, other.subset) == ("", score.subset) and other.metric != score.metric
    }
    other_protocols = {name: _headline(other, score.subset) for name, other in official.items()}
    return page.ScoreCell(
        value=score.value, low=score.ci_low, high=score.ci_high, level=score.ci_level, se=score.se, method=score.se_method,
        n=score.n, clusters=score.n_clusters, chance=score.chance, backend=result.backend, split=result.split,
        status=result.status, note="; ".join(filter(None, (score.note, departs))) or None,
        rounded=result.imported is not None and result.items is None, fit=_fits(result),
        strata=_strata(result, task), variants=variants,
        official={
            name: (of.value, of.ci_low, of.ci_high, of.n, of.chance) for name, of in other_protocols.items() if of is not None
        },
    )  # fmt: skip


def _failed(result: TaskResult, board: Board) -> page.ScoreCell:
    return page.ScoreCell(
        value=None, low=None, high=None, level=0.95, se=None, method="none", n=0, clusters=0, chance=None,
        backend=result.backend, split=result.split, status=result.status,
        note=result.error and without_root(result.error, board.store.root),
    )  # fmt: skip


def _strata(result: TaskResult, task: page.Task) -> page.Strata | None:
    found = {score.subset: score for score in strata_of(result)}
    if not found:
        return None
    scores = [found.get(name) for name in task.strata]
    n = [score.n if score else 0 for score in scores]
    return page.Strata(
        value=[page.shortened(score.value) if score else None for score in scores],
        low=[page.shortened(score.ci_low, 6) if score else None for score in scores],
        high=[page.shortened(score.ci_high, 6) if score else None for score in scores],
        n=None if n == task.strata_n else n,
    )


def _fits(result: TaskResult) -> page.Fits | None:
    if result.fit is None:
        return None
    about = {score.metric: score.value for score in result.scores if score.group == "seeds"}
    seeds = [
        page.SeedValue(seed=fit.seed, value=fit.value, diverged=fit.diverged, constant=fit.constant) for fit in result.fit.fits
    ]
    return page.Fits(
        seeds=seeds,
        diverged=sum(seed.diverged is not None for seed in seeds),
        constant=sum(seed.constant is True for seed in seeds),
        mde=result.fit.mde,
        sd=about.get("sd"),
        majority=about.get("majority"),
    )


def _model(board: Board, row: Row, number: int, macro: Mapping[str, Mapping[int, page.Macro]]) -> page.Model:
    model = board.models[row]
    mine = [shown[row] for shown in board.records.values() if row in shown]
    own = {group: cells[number].value for group, cells in macro.items() if number in cells}
    official = {protocol: _official_means(board, row, protocol) for protocol in PROTOCOLS if protocol.startswith(page.OFFICIAL)}
    if board.protocol in official:
        official[board.protocol] = {group: value for group, value in own.items() if value is not None}
    return page.Model(
        id=number, name=row.name, revision=row.revision, label=row.label, kind=model.kind, backend=row.backend,
        parameters=model.parameters, condition=model.condition, train_seed=model.train_seed, words_seen=model.words_seen,
        digest=model.digest, weights=model.weights, parent_digest=model.parent_digest, source=source_of(model),
        recipe=recipe_of(model), environment=_environment(mine, row.backend), timing=_timing(mine),
        official={name: groups for name, groups in official.items() if groups} or None,
        imported=next((name_of(result.imported.file) for result in mine if result.imported is not None), None),
        notes=_remarks(model, mine),
    )  # fmt: skip


def _official_means(board: Board, row: Row, protocol: str) -> dict[str, float]:
    """A model's means over the official lists under a protocol that is not the page's, by group, where complete and alike."""
    results = [shown[row][protocol] for shown in board.official.values() if protocol in shown.get(row, {})]
    mixed = [name for name, told in board.mixed_official.items() if protocol in told]
    return {
        found.group: found.value
        for found in group_headlines(("all",), results)
        if found.value is not None
        and (found.model, found.revision) == (row.name, row.revision)
        and not _unlike(found.tasks, results, mixed)
    }


def _environment(results: Sequence[TaskResult], backend: str) -> dict[str, Any]:
    """Where the newest of the scores was computed, without settings that do not concern this model."""
    known = [result.provenance for result in results if result.provenance is not None]
    if not known:
        return {}
    newest = max(known, key=lambda one: one.finished)
    idle = set() if backend.startswith(MASKED_BACKENDS) else {"masking"}
    idle |= {"word_end"} if newest.word_end == "none" else set()
    return newest.model_dump(mode="json", exclude={"task_code", "precision", *idle}, exclude_none=True)


def _timing(results: Sequence[TaskResult]) -> dict[str, Any]:
    """Seconds and rows of the longest run behind the scores, whose tasks share rows, and seconds of all fits."""
    runs = [result.timing for result in results if result.timing is not None and result.fit is None]
    longest = max(runs, key=lambda run: run.seconds, default=None)
    rows = {} if longest is None else longest.model_dump(include={"seconds", "rows_computed", "rows_cached"})
    fits = [fit.seconds for result in results if result.fit is not None for fit in result.fit.fits]
    return {**rows, "fine_tuning_seconds": sum(fits) if fits else None}


def _remarks(model: ModelInfo, results: Sequence[TaskResult]) -> list[str]:
    notes = []
    for result in results:
        counts = result.counts
        if counts is not None and counts.truncated:
            notes.append(
                f"{result.task.title}: the context of {counts.truncated:,} of {counts.items:,} items was cut to fit the window."
            )
        if counts is not None and counts.unscored:
            notes.append(
                f"{result.task.title}: {counts.unscored:,} of {counts.items:,} items have a token without a score, for want of BOS."
            )
    if model.digest.startswith("imported:"):
        notes.append("Imported from official results: what computed them is not known.")
    return notes


def _macro(board: Board, ids: Mapping[Row, int]) -> dict[str, dict[int, page.Macro]]:
    """Means over the official lists; never over what was not measured alike, or on several splits."""
    found: dict[str, dict[int, page.Macro]] = {}
    for row, number in ids.items():
        mine = [shown[row] for shown in board.records.values() if row in shown and shown[row].status == "done"]
        for average in group_headlines(("all",), mine):
            if (average.model, average.revision) != (row.name, row.revision) or not average.tasks:
                continue
            missing = [*average.missing, *_unlike(average.tasks, mine, board.mixed)]
            known = found.setdefault(average.group, {}).get(number)
            if known is None or len(missing) < len(known.missing):  # fits may stand under another label of the backend
                found[average.group][number] = page.Macro(value=None if missing else average.value, missing=missing)
    return found


def _unlike(headlines: Iterable[str], results: Sequence[TaskResult], mixed: Container[str]) -> list[str]:
    """What keeps headlines from being averaged, in words.

    Args:
        headlines: Their names.
        results: The records that they are of, and perhaps others.
        mixed: Tasks that were not measured alike.
    """
    names = {headline: headline.partition(":")[0] for headline in headlines}
    unlike = [f"{headline} (not measured alike)" for headline, name in names.items() if name in mixed]
    splits: dict[str, str] = {}
    for result in results:
        whole = result.task.fast_falls_back and "fast" not in result.task.data  # its fast set is its full one
        if result.task.name in names.values() and not whole:
            splits.setdefault(result.split, result.task.name)
    several = [f"one split: {' and '.join(f'{name} is of {split}' for split, name in splits.items())}"]
    return unlike + (several if len(splits) > 1 else [])
