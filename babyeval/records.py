"""The records that a run writes and everything else reads: typed, versioned, self-explaining."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, computed_field

from babyeval.card import TaskCard

SCHEMA_VERSION = 1
Status = Literal["done", "failed", "skipped", "not_applicable"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="null")


class Score(_Record):
    """One number and what it means; undefined values are null with a note, never 0.

    Attributes:
        metric: For example ``accuracy``; with group and subset it is unique in a record.
        subset: The official UID or group value verbatim; empty for the whole.
        group: What kind of subset it is: empty (whole), ``uid``, ``field`` ...
        value: Percent for accuracies, unrounded.
        unit: Unit of value, se and interval.
        higher_is_better: Direction.
        estimator: ``macro``: mean of subset means; ``micro``: mean over items.
        n: Number of items.
        n_clusters: Number of independent clusters of items.
        se: Standard error.
        se_method: How the error was made.
        ci_low: Lower end of the interval.
        ci_high: Upper end of the interval.
        ci_level: Coverage that the interval aims at.
        chance: Expected value of a guessing model.
        note: Why something is null, or what a reader of the number must know.
    """

    metric: str
    subset: str = ""
    group: str = ""
    value: float | None
    unit: str
    higher_is_better: bool = True
    estimator: Literal["macro", "micro"]
    n: int
    n_clusters: int
    se: float | None
    se_method: str
    ci_low: float | None
    ci_high: float | None
    ci_level: float = 0.95
    chance: float | None
    note: str | None = None


class ModelInfo(_Record):
    """Which model a record is about; ``digest`` decides whether two are the same.

    ``weights`` is the digest of the weight files alone: revisions that share it are one model (D36).
    """

    name: str
    source: str
    revision: str
    commit: str | None = None
    digest: str
    weights: str | None = None
    parameters: int | None
    kind: str
    condition: str | None = None
    train_seed: int | None = None
    words_seen: int | None = None
    parent_digest: str | None = None


class CheckpointRef(_Record):
    """A checkpoint that a record over several of them is made from; digests prove that they differ (D36)."""

    revision: str
    words_seen: int | None
    digest: str
    weights: str | None


class ItemsRef(_Record):
    """The table of per-item outcomes beside the record."""

    path: str
    rows: int
    sha256: str


class FileInfo(_Record):
    """A data file that was read."""

    name: str
    sha256: str
    size: int


class DataInfo(_Record):
    """The data behind a record; ``digest`` covers names and contents of all files.

    Attributes:
        split: The split they belong to.
        digest: Digest of all of them.
        files: Each of them.
        departs: How they differ from the published set; None where they do not, or where nothing is known of it.
    """

    split: str
    digest: str
    files: tuple[FileInfo, ...]
    departs: str | None = None


class Counts(_Record):
    """What happened to the items that a reader should know.

    Attributes:
        items: Number of items.
        ties: Items in which candidates share the highest score (D1).
        nan: Items with a candidate whose score is not a number (D2).
        truncated: Items with a span whose context was cut to fit the window (D40).
        unscored: Items with a token that could not be scored for want of a BOS (D9).
    """

    items: int
    ties: int
    nan: int
    truncated: int
    unscored: int


class Precision(_Record):
    """What was done about rounding when scores were computed in bfloat16.

    Attributes:
        sampled: Items computed in both precisions.
        error_p999: 99.9th percentile of the error of their margins, in nats, of the kind of decision
            where it is largest; null if the model gives no finite scores in bfloat16, so that
            everything was scored again.
        threshold: Items with a smaller margin were scored again in float32.
        rescored: Number of those items.
        audited: Further items computed in float32 to check the rest.
        audit_differs: How many of them are decided otherwise.
    """

    sampled: int
    error_p999: float | None
    threshold: float | None
    rescored: int
    audited: int
    audit_differs: int


class Provenance(_Record):
    """How the numbers came about.

    ``task_code`` is a digest of the task's own Python files: with other code a record is made anew.
    """

    babyeval: str
    task_code: str = ""
    protocol_version: int
    scoring_version: int
    dtype: str
    masking: str
    word_end: str = "none"
    device: str | None
    attention: str | None
    tf32: bool
    path: str
    split_head: bool | None
    window: int | None
    truncation: str
    python: str
    platform: str
    libraries: dict[str, str]
    precision: Precision | None = None
    finished: str


class Timing(_Record):
    """What it cost; rows are shared by all tasks and protocols of a run.

    Attributes:
        seconds: Wall time of the whole run up to this record.
        rows_computed: Queries put through the model in this run up to this record.
        rows_cached: Queries answered by the cache, likewise.
        positions: Positions put through the model, padding included, likewise.
        trie_nodes: Distinct prefixes of all that this run puts through the model.
    """

    seconds: float
    rows_computed: int
    rows_cached: int
    positions: int
    trie_nodes: int


class SeedFit(_Record):
    """One fit of a classifier.

    Attributes:
        seed: Decides the head's first weights, dropout, and the order of the data.
        value: The headline's metric; null where the fit diverged.
        diverged: Why the fit was given up; null if it was not.
        constant: Whether it gives all reported examples one label; null where it diverged.
        best_epoch: The epoch whose weights predicted, from 1.
        losses: Mean training loss of each epoch, in nats.
        selection: Of each epoch the metric that chose.
        updates: Optimizer steps.
        truncated: Reported examples that lost tokens.
        batch_size: Examples of one forward pass; less than stated where memory ran out.
        accumulation: Forward passes of one update.
        seconds: Wall time.
    """

    seed: int
    value: float | None
    diverged: str | None = None
    constant: bool | None
    best_epoch: int
    losses: tuple[float | None, ...]
    selection: tuple[float | None, ...]
    updates: int
    truncated: int
    batch_size: int
    accumulation: int
    seconds: float


class FitInfo(_Record):
    """How a fine-tuned task came to its number.

    Attributes:
        seed: Of a single fit's record its seed; null in the summary over seeds.
        fits: The fits, by seed; diverged ones too, which enter no score.
        hyper: All hyper-parameters.
        hyper_digest: Digest of them.
        train_labels: Number of training examples of each label, in the card's order.
        reported_labels: Number of reported examples of each label.
        split_valid: Learnt from and reported are parts of one file, for want of a training file.
        mde: The least difference to another model's headline that these items and seeds would show with 80% power at
            the two-sided 5% level, in the headline's unit; null where there is no interval.
    """

    seed: int | None = None
    fits: tuple[SeedFit, ...]
    hyper: dict[str, Any]
    hyper_digest: str
    train_labels: tuple[int, ...]
    reported_labels: tuple[int, ...]
    split_valid: bool = False
    mde: float | None = None

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of all fits."""
        return tuple(fit.seed for fit in self.fits)

    @property
    def counted(self) -> tuple[SeedFit, ...]:
        """The fits that enter the scores."""
        return tuple(fit for fit in self.fits if fit.diverged is None)


class ImportedFrom(_Record):
    """The official result file that a record was made from.

    Attributes:
        file: Where it lay.
        sha256: Digest of its bytes.
        format: ``predictions`` (items known), ``submission`` (likewise) or ``report`` (rounded scores alone).
    """

    file: str
    sha256: str
    format: Literal["predictions", "report", "submission"]


class TaskResult(_Record):
    """One task, one model, one split, one protocol.

    Of a task whose number needs several checkpoints there is a record for each of them, and one over all: its
    ``checkpoints`` are listed, and its model's revision is the glob that chose them. Of a fine-tuned task there is a
    record for each seed, and one over all.
    """

    schema_version: int = SCHEMA_VERSION
    status: Status
    error: str | None = None
    task: TaskCard
    model: ModelInfo
    checkpoints: tuple[CheckpointRef, ...] = ()
    protocol: str
    split: str
    backend: str
    headlines: tuple[Score, ...] = ()
    scores: tuple[Score, ...] = ()
    counts: Counts | None = None
    items: ItemsRef | None = None
    data: DataInfo | None = None
    provenance: Provenance | None = None
    timing: Timing | None = None
    fit: FitInfo | None = None
    imported: ImportedFrom | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def headline(self) -> Score | None:
        """The first of the headlines."""
        return self.headlines[0] if self.headlines else None


class GroupHeadline(_Record):
    """The mean of a group's headlines, as the official suites form it.

    Attributes:
        group: For example ``zero-shot``.
        protocol: Which protocol's list of tasks was averaged.
        value: The unweighted mean, null while a task is missing.
        tasks: Numbers in the mean: a task's name, or ``task:subset`` for each of several headlines.
        missing: Numbers that it lacks, named likewise.
        units: The units that it mixes.
    """

    group: str
    model: str
    revision: str
    backend: str
    protocol: str
    value: float | None
    tasks: tuple[str, ...]
    missing: tuple[str, ...]
    units: tuple[str, ...]


class RunReport(BaseModel):
    """What a run prints as JSON."""

    model_config = ConfigDict(frozen=True)

    schema_version: int = SCHEMA_VERSION
    status: Literal["done", "failed", "incomplete"]
    exit_code: int
    results: tuple[TaskResult, ...]
    groups: tuple[GroupHeadline, ...] = ()


class NewerSchema(ValueError):
    """The record was written by a later version of babyeval."""


def _finite(text: str) -> float:
    """A number in a record; those that are undefined are written as null."""
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is no number that a record may hold")
    return value


def load_result(text: str) -> TaskResult:
    """Reads a record; what is derived from other fields is derived anew.

    Raises:
        NewerSchema: It is a record of a later schema.
        ValueError: It is no record.
    """
    import json

    try:
        content: Any = json.loads(text, parse_constant=_finite, parse_float=_finite)
    except RecursionError as error:
        raise ValueError("it is no record: lists in lists, too deep to read") from error
    if not isinstance(content, dict) or not isinstance(content.get("schema_version", 0), int):
        raise ValueError("it is no record")  # noqa: TRY004 - a file's content, no caller's type
    if content.get("schema_version", 0) > SCHEMA_VERSION:
        raise NewerSchema(f"the record's schema {content['schema_version']} is newer than this babyeval ({SCHEMA_VERSION})")
    content.pop("headline", None)
    return TaskResult.model_validate(content)
