"""What the page knows: one JSON object. Null is undefined, and the note says why.

Headlines and their errors are unrounded. There are many more numbers of strata and pairs: those hold ten digits, and the ends
of strata's intervals six.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

SCHEMA_VERSION = 1
Number = float | None
OFFICIAL = "babylm-"  # how the names of official protocols begin


def shortened(value: float | None, digits: int = 10) -> float | None:
    """A number with so many significant digits.

    Example:
        >>> shortened(200 / 3), shortened(200 / 3, 6)
        (66.66666667, 66.6667)
    """
    return None if value is None else float(f"{value:.{digits}g}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")


class Group(_Part):
    """A group of columns, in the order in which they stand."""

    key: str
    title: str


class Model(_Part):
    """A row of the page.

    Attributes:
        id: What all other parts name it by.
        label: How it is shown; unlike the name, no two rows share it.
        source: The Hub id, or the last part of a local path: the rest concerns no reader.
        recipe: What its checkpoint says of its training, where the checkpoint lies where it did.
        environment: Versions, device and precision behind its scores.
        official: Macro averages under official protocols, the page's own among them, by protocol and group, where complete.
        imported: The official file that its scores came from.
    """

    id: int
    name: str
    revision: str
    label: str
    kind: str
    backend: str
    parameters: int | None
    condition: str | None
    train_seed: int | None
    words_seen: int | None
    digest: str
    weights: str | None
    parent_digest: str | None
    source: str
    recipe: dict[str, Any] | None
    environment: dict[str, Any]
    timing: dict[str, Any]
    official: dict[str, dict[str, float]] | None
    imported: str | None
    notes: list[str]


class Headline(_Part):
    """One column of the overview; a task may have several."""

    key: str
    subset: str
    title: str


class Task(_Part):
    """A benchmark.

    Attributes:
        about: What it measures.
        protocols: How each protocol scores it.
        test: ``subsets``: differences are tested by t over the strata's means, in the browser; ``shipped``: here.
        strata: Names of its strata, in the order of the scores' arrays.
        strata_n: Items of each, as most models have them.
    """

    id: str
    title: str
    group: str
    family: str
    metric: str
    unit: str
    higher_is_better: bool
    about: str
    citation: str
    homepage: str
    version: int
    split: str
    protocols: dict[str, str]
    headlines: list[Headline]
    test: Literal["subsets", "shipped"]
    strata: list[str]
    strata_n: list[int]


class Strata(_Part):
    """Scores of all strata of a task, in its order; null where the model lacks one.

    Attributes:
        n: Items of each; null where they are the task's.
    """

    value: list[Number]
    low: list[Number]
    high: list[Number]
    n: list[int] | None


class SeedValue(_Part):
    """One fine-tuning seed."""

    seed: int
    value: Number
    diverged: str | None
    constant: bool | None


class Fits(_Part):
    """The fine-tuned models behind a score."""

    seeds: list[SeedValue]
    diverged: int
    constant: int
    mde: Number
    sd: Number
    majority: Number


class ScoreCell(_Part):
    """A headline of one model.

    Attributes:
        rounded: Imported from a report of rounded scores, without items: nothing is tested against it.
        variants: The same by other metrics of the task.
        official: The same under other protocols: value, ends of the interval, items and chance level, unnamed since there are many.
    """

    value: Number
    low: Number
    high: Number
    level: float
    se: Number
    method: str
    n: int
    clusters: int
    chance: Number
    backend: str
    split: str
    status: str
    note: str | None
    rounded: bool = False
    fit: Fits | None = None
    strata: Strata | None = None
    variants: dict[str, Number] = {}
    official: dict[str, tuple[Number, Number, Number, int, Number]] = {}


PAIR_FIELDS = ("difference", "low", "high", "p", "mde", "n", "clusters", "wins", "losses", "ties")


class PairColumn(_Part):
    """All pairs of a column whose test is not the browser's: model a minus model b, with a < b.

    Attributes:
        fields: What the numbers of a row are; 1,225 pairs of each column leave no room for names.
        rows: By ``a-b`` the numbers.
        notes: By ``a-b`` the note, and test, unit and claim where they are not those of the column. Of other ways of scoring and
            values near chance the browser tells.
        values: By ``a-b`` the values that were compared, where they are not the headlines: of age of acquisition, where each
            headline is of a model's own words, those over the words that both have.
    """

    test: str
    unit: str
    claim: str
    unit_of_value: str
    fields: tuple[str, ...] = PAIR_FIELDS
    rows: dict[str, list[float | int | None]]
    notes: dict[str, dict[str, str]]
    values: dict[str, tuple[Number, Number]] = {}


class Macro(_Part):
    """A mean over the official list of tasks; null while anything is missing."""

    value: Number
    missing: list[str]


class CurvePoint(_Part):
    """A checkpoint on a learning curve; ``model`` if it is a row of the page."""

    revision: str
    words: int
    value: Number
    low: Number
    high: Number
    model: int | None


class Line(_Part):
    """One model's learning curve."""

    line: str
    points: list[CurvePoint]


class Figure(_Part):
    """A figure made at build time."""

    title: str
    svg: str


class DamagedRecord(_Part):
    """A record that could not be read."""

    path: str
    reason: str


class SeedPoint(_Part):
    """The headline of one model of a condition, and its training seed."""

    model: int
    seed: int | None
    value: float


class ConditionCell(_Part):
    """A condition on one column: mean and standard deviation over replications, which are what effects compare.

    Attributes:
        units: Replications: training seeds, or the checkpoints that several models go on from.
        points: Every model.
    """

    mean: Number
    sd: Number
    units: int
    points: list[SeedPoint]


class Effect(_Part):
    """Condition a minus condition b on one column; training seeds, or the checkpoints that they go on from, are the unit.

    Attributes:
        contrast: Name of the planned contrast; null for plain pairs, which are another family.
        smallest_p: The least p that exchanging so few seeds could give.
        verdict: Whether p may be read as a verdict: not where it is above 5% at best, nor with too few seeds in any condition.
        arms: Replications of both sides.
    """

    contrast: str | None
    a: str
    b: str
    column: str
    difference: Number
    low: Number
    high: Number
    p: Number
    p_adjusted: Number
    p_permutation: Number
    smallest_p: Number
    verdict: bool
    test: str
    unit: str
    clusters: int
    arms: tuple[int, int] | None
    mde: Number
    claim: str
    note: str | None


class Spread(_Part):
    """Median and quartiles of a condition's z-scores."""

    median: Number
    q1: Number
    q3: Number
    n: int


class ZTable(_Part):
    """z-scores of conditions, column by column: a scale for display, never a test.

    Attributes:
        k: Number of conditions.
        ddof: Of the standard deviation over conditions.
        bound: What no |z| can exceed with so many.
        values: By column and condition.
        uninformative: Columns that are left out, with the reason.
        summary: By group of tasks (and ``all``) and condition.
    """

    k: int
    ddof: int
    bound: Number
    values: dict[str, dict[str, Number]]
    uninformative: dict[str, str]
    summary: dict[str, dict[str, Spread]]


class Conditions(_Part):
    """Training conditions.

    Attributes:
        models: By condition the ids of its models.
        correction: How p-values were adjusted; null where there are none.
    """

    names: list[str]
    models: dict[str, list[int]]
    values: dict[str, dict[str, ConditionCell]]
    effects: list[Effect]
    correction: str | None
    z: ZTable | None
    notes: list[str]


class Payload(_Part):
    """Everything on the page.

    Attributes:
        made: When the page was built, UTC.
        scores: By column and model id.
        pairs: By column; empty with a ``pairs_note`` where there are too many models.
        best: By column the best model and all that are not significantly worse; absent where some could not be tested.
        mixed: Columns that were not measured alike, with the reason: no best, no mean, no pairs.
        mixed_official: The same of other protocols' numbers, by column and protocol.
        macro: Means over the official lists by group and model id.
        curves: Learning curves by column.
    """

    schema_version: int = SCHEMA_VERSION
    babyeval: str
    made: str
    title: str
    protocol: str
    split: str
    notes: list[str]
    groups: list[Group]
    models: list[Model]
    tasks: list[Task]
    scores: dict[str, dict[int, ScoreCell]]
    pairs: dict[str, PairColumn]
    pairs_note: str | None
    best: dict[str, list[int]]
    mixed: dict[str, str]
    mixed_official: dict[str, dict[str, str]]
    macro: dict[str, dict[int, Macro]]
    curves: dict[str, list[Line]]
    figures: dict[str, Figure]
    damaged: list[DamagedRecord]
    conditions: Conditions | None


def embedded(payload: Payload) -> str:
    r"""The payload as JSON that no HTML parser takes for a tag, a comment or an entity.

    Example:
        >>> "</script>".translate(_ESCAPED)
        '\\u003c/script\\u003e'
    """
    return payload.model_dump_json().translate(_ESCAPED)


_ESCAPED = {ord(letter): f"\\u{ord(letter):04x}" for letter in "<>&\u2028\u2029"}
