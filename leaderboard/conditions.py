"""Training conditions on the page: models as points, effects over what was replicated, z-scores for display."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean, stdev
from typing import TYPE_CHECKING, NamedTuple

from babyeval.comparison.alike import ways_that_differ
from babyeval.comparison.conditions import compare_contrast, sample_of, values_of
from babyeval.comparison.contrasts import Contrast, planned_contrasts
from babyeval.comparison.pairs import together
from babyeval.comparison.report import too_few
from babyeval.comparison.select import Choice, Side, near_chance
from babyeval.comparison.sentences import listed, mean_of
from babyeval.comparison.trained import require_one_origin, require_replications
from babyeval.comparison.zscores import ZScores, condition_z_scores
from babyeval.errors import UsageError
from babyeval.models.naming import counted

from .payload import ConditionCell, Conditions, Effect, SeedPoint, Spread, ZTable

if TYPE_CHECKING:
    from .payload import Task
    from .read import Board, Row

MOST = 10  # conditions of which all pairs are tested
_GROUPS = {"fine-tuning": "finetune"}


class Trained(NamedTuple):
    """The conditions of a page, in the form in which `babyeval.comparison` takes them.

    Attributes:
        rows: By condition its models, each as it was scored first if that was in several ways.
        sides: The same as sides of a comparison.
        choice: Their records.
        untested: Conditions whose models are no replications that `babyeval compare` would take.
        notes: What a reader must know.
    """

    rows: dict[str, list[Row]]
    sides: dict[str, list[Side]]
    choice: Choice
    untested: set[str]
    notes: list[str]

    def z_scores(self) -> ZScores | None:
        """The z-scores of all headlines; None where no task tells the conditions apart."""
        z = condition_z_scores(self.choice, self.sides) if self.choice.records else None
        return z if z is not None and not z.found.z.empty else None


def trained(board: Board) -> Trained | None:
    """The conditions that models were trained in; None where there are not two."""
    rows = _rows_of(board)
    if len(rows) < 2:
        return None
    sides = {name: [_side(board, row) for row in mine] for name, mine in rows.items()}
    by_row = {row: side for name, mine in rows.items() for row, side in zip(mine, sides[name], strict=True)}
    records = {
        task: {by_row[row]: result for row, result in shown.items() if row in by_row and result.status == "done"}
        for task, shown in board.records.items()
        if task not in board.mixed
    }
    choice = Choice(board.protocol, {task: found for task, found in records.items() if found}, ())
    notes = [f"Not compared, since not measured alike: {', '.join(board.mixed)}."] if board.mixed else []
    refused = _refused(board, rows, choice, sides)
    notes += [f"No test of {listed(names)}: {reason}." for reason, names in refused.items()]
    return Trained(rows, sides, choice, {name for names in refused.values() for name in names}, notes)


def make_conditions(board: Board, tasks: Sequence[Task], ids: Mapping[Row, int]) -> Conditions | None:
    """The page's view of conditions; None where there are not two.

    Args:
        board: The records.
        tasks: The page's tasks.
        ids: Numbers of the rows.
    """
    found = trained(board)
    if found is None:
        return None
    values = {
        column.key: {name: _cell(found, task.id, column.subset, name, ids) for name in found.rows}
        for task in tasks
        if task.id in found.choice.records
        for column in task.headlines
    }
    values = {key: cells for key, cells in values.items() if any(cell.points for cell in cells.values())}
    effects, correction = _effects(found, tasks)
    z = found.z_scores()
    return Conditions(
        names=list(found.rows),
        models={name: [ids[row] for row in mine] for name, mine in found.rows.items()},
        values=values,
        effects=effects,
        correction=correction,
        z=_z_table(z) if z is not None else None,
        notes=[*found.notes, *_remarks(found, z)],
    )


def _remarks(found: Trained, z: ZScores | None) -> list[str]:
    """What is to be known of the z-scores, but for columns that are left out, which their table tells."""
    if not found.choice.records:
        return ["No task has scores of these conditions that could be compared: there are no z-scores."]
    if z is None:
        return ["No task tells the conditions apart: there are no z-scores."]
    return [remark for remark in z.remarks if not remark.startswith("Left out:")]


def _rows_of(board: Board) -> dict[str, list[Row]]:
    """The models of each condition, each in the first of the ways in which it was scored."""
    found: dict[str, dict[str, Row]] = {}

    def place(row: Row) -> tuple[str, int, str]:
        model = board.models[row]
        return model.condition or "", model.train_seed or 0, row.label

    for row in sorted(board.models, key=place):
        condition = board.models[row].condition
        if condition is not None:
            found.setdefault(condition, {}).setdefault(row.name, row)
    return {condition: list(mine.values()) for condition, mine in found.items()}


def _refused(
    board: Board, rows: Mapping[str, Sequence[Row]], choice: Choice, sides: Mapping[str, Sequence[Side]]
) -> dict[str, list[str]]:
    """Conditions that `babyeval compare` refuses to test, by the reason; of several reasons the first."""
    refused: dict[str, list[str]] = {}
    for name, mine in rows.items():
        if reason := _unclear(board, name, mine) or _copied(choice, {name: sides[name]}):
            refused.setdefault(reason, []).append(name)
    clear = [name for name in rows if not any(name in names for names in refused.values())]
    for a, b in combinations(clear, 2):
        if reason := _copied(choice, {a: sides[a], b: sides[b]}):
            refused.setdefault(reason, []).extend((a, b))
    return refused


def _unclear(board: Board, condition: str, rows: Sequence[Row]) -> str | None:
    """Why the models of a condition are not each a training seed of it, scored in one way."""
    try:
        require_one_origin(board.readable, [condition])
    except UsageError as error:
        return _said(error)
    seeds: dict[tuple[str | None, int | None], list[str]] = {}
    for row in rows:
        model = board.models[row]
        seeds.setdefault((model.parent_digest, model.train_seed), []).append(row.label)  # tuning's may recur by parent
    unknown = [label for (_, seed), labels in seeds.items() if seed is None for label in labels]
    if unknown and len(rows) > 1:
        return f"the training seed of {listed(unknown)} is not known, and may repeat another"
    repeated = next((labels for labels in seeds.values() if len(labels) > 1), None)
    if repeated:
        return f"{listed(repeated)} have the same training seed"
    ways = Counter(row.name for row in board.models)
    several = [row.label for row in rows if ways[row.name] > 1]
    return f"its models were scored in several ways, and are shown as {listed(several)}" if several else None


def _copied(choice: Choice, conditions: Mapping[str, Sequence[Side]]) -> str | None:
    """Why the models of conditions are no replications of them."""
    try:
        require_replications(choice, conditions)
    except UsageError as error:
        return _said(error)
    return None


def _said(error: UsageError) -> str:
    return f"{error.what.removesuffix('.')} ({error.where})"


def _cell(found: Trained, task: str, subset: str, condition: str, ids: Mapping[Row, int]) -> ConditionCell:
    """A condition's models on a column, and the mean and spread of what their effects compare."""
    sides = dict(zip(found.sides[condition], found.rows[condition], strict=True))
    scores = values_of(found.choice, task, subset, list(sides))
    points = [
        SeedPoint(model=ids[sides[side]], seed=side.seed, value=score.value)
        for side, score in scores.items()
        if score.value is not None
    ]
    values = sample_of(found.choice, task, scores).values if points else []
    return ConditionCell(
        mean=fmean(values) if values else None, sd=stdev(values) if len(values) > 1 else None, units=len(values), points=points
    )


def _effects(found: Trained, tasks: Sequence[Task]) -> tuple[list[Effect], str | None]:
    """Every pair of conditions on every column, and planned contrasts, as `babyeval compare --by condition` gives them."""
    planned = planned_contrasts(list(found.rows), ())
    pairs = [Contrast("", (a,), (b,)) for a, b in combinations(found.rows, 2)]
    if len(found.rows) > MOST:
        found.notes.append(
            f"Pairs are tested for up to {MOST} conditions, and these are {len(found.rows)}: babyeval compare --by condition A B."
        )
        pairs = []
    once = {contrast.pair for contrast in planned}  # a hypothesis belongs to one family
    first, tests = _family(found, tasks, [pair for pair in pairs if pair.pair not in once])
    second, more = _family(found, tasks, planned)
    told = [f"{counted(tests, 'test')} of pairs"] if tests else []
    told += [f"{counted(more, 'test')} of planned contrasts"] if more else []
    return [*second, *first], f"Holm over {' and, as a family of their own, over '.join(told)}" if told else None


def _family(found: Trained, tasks: Sequence[Task], contrasts: Sequence[Contrast]) -> tuple[list[Effect], int]:
    """Contrasts on all columns, adjusted together, and the number of tests."""
    from babyeval.stats.multiple import adjust

    measured = []
    for contrast in contrasts:
        for task in tasks:
            there = found.choice.records.get(task.id, {})
            if all(name not in found.untested and any(side in there for side in found.sides[name]) for name in contrast.weights):
                keys = {column.subset: column.key for column in task.headlines}
                tested = compare_contrast(found.choice, task.id, contrast, found.sides)
                measured += [(contrast, task.id, keys[one.subset], one) for one in tested]
    adjusted = adjust([one.found.p for *_, one in measured], "holm")
    effects = [
        Effect(
            contrast=contrast.name or None, a=mean_of(contrast.plus), b=mean_of(contrast.minus), column=key,
            difference=one.found.difference, low=one.found.low, high=one.found.high, p=one.found.p, p_adjusted=p,
            p_permutation=one.found.p_permutation, smallest_p=one.found.smallest_p,
            verdict=p is not None and not too_few(one.found.unit, one.fewest, one.found.smallest_p), test=one.found.test,
            unit=one.found.unit,
            clusters=one.found.clusters, arms=one.arms, mde=one.found.mde, claim=one.claim,
            note=together(one.note, one.found.note, *_around(found, task, contrast, one.subset)),
        )
        for (contrast, task, key, one), p in zip(measured, adjusted, strict=True)
    ]  # fmt: skip
    return effects, sum(p is not None for p in adjusted)


def _around(found: Trained, task: str, contrast: Contrast, subset: str) -> tuple[str | None, str | None]:
    """What may explain a difference, and whether there is much to compare."""
    there = found.choice.records[task]
    plus, minus = (
        [there[side] for n in part for side in found.sides[n] if side in there] for part in (contrast.plus, contrast.minus)
    )
    names = mean_of(contrast.plus), mean_of(contrast.minus)
    return ways_that_differ(names, (plus, minus)), near_chance([*plus, *minus], subset)


def _side(board: Board, row: Row) -> Side:
    model = board.models[row]
    return Side(row.label, row.name, row.revision, model.condition, model.train_seed)


def _z_table(z: ZScores) -> ZTable:
    """The z-scores with the page's names of columns and groups."""
    frame = z.to_frame()
    keys = {task: ":".join(task.split(" ", 1)) for task in dict.fromkeys(frame["task"])}
    values: dict[str, dict[str, float | None]] = {}
    for line in frame.dropna(subset=["z"]).to_dict("records"):
        values.setdefault(keys[line["task"]], {})[line["condition"]] = line["z"]
    groups: dict[str, list[str]] = {"all": []}
    for task in z.found.z.columns:
        for group in ("all", _GROUPS.get(z.groups[task], z.groups[task])):
            groups.setdefault(group, []).append(task)
    summary = {}
    for group, tasks in groups.items():
        spreads = z.found.summary(tasks).to_dict("index")
        summary[group] = {
            str(name): Spread(median=spread["median"], q1=spread["q1"], q3=spread["q3"], n=int(spread["values"]))
            for name, spread in spreads.items()
        }
    left_out = {keys[task]: reason for task, reason in z.found.left_out.items()}
    return ZTable(
        k=z.found.conditions, ddof=z.found.ddof, bound=z.found.bound, values=values, uninformative=left_out, summary=summary
    )
