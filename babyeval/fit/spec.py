"""What a card says about fine-tuning: templates, labels, metrics and hyper-parameters; and what a protocol makes of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from babyeval.fit.metrics import METRICS, is_metric
from babyeval.fit.types import Cut, Hyper, Pooling

if TYPE_CHECKING:
    from babyeval.card import TaskCard

_FIELD = re.compile(r"\{([^{}]*)\}")


class Training(BaseModel):
    """The hyper-parameters that differ between tasks; what is not given stays as the protocol has it.

    Attributes:
        epochs: Passes over the training examples.
        batch_size: Examples of one update.
        learning_rate: Highest learning rate.
        select_on: Metric by which the epoch is chosen.
        inner_share: The part of the training file that chooses the epoch, under ``robust``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int | None = Field(default=None, ge=1)
    batch_size: int | None = Field(default=None, ge=1)
    learning_rate: float | None = Field(default=None, gt=0)
    select_on: str | None = None
    inner_share: float | None = Field(default=None, gt=0, lt=1)

    def given(self) -> dict[str, Any]:
        """The fields that are set."""
        return self.model_dump(exclude_none=True)


class MiniTraining(BaseModel):
    """What differs for the bundled split: it is small, and so are the models that it is tried with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    official: Training = Training()
    robust: Training = Training()


class FitSpec(BaseModel):
    """How the lines of a task's files become a classification, and how a classifier is fitted to it.

    Attributes:
        text_a: Template of the first text: ``{field}`` stands for a field of the line.
        text_b: Template of the second text; empty where there is one text only.
        label: The field that holds the right label: its index, or its name.
        labels: Names of the labels, in the order of their indices.
        metrics: What is reported, the headline's metric among them.
        cluster: The field whose equal words make examples depend on each other, whatever its spaces, marks and case; empty: none
            does.
        cut: Which text is the passage, which loses tokens under ``robust`` where an input is too long.
        pooling: What the head reads under ``robust``.
        max_length: Tokens of an input.
        official: Hyper-parameters under ``babylm-2025`` and ``babylm-2026``.
        robust: Hyper-parameters under ``robust``.
        mini: What differs for the bundled split.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    text_a: str
    text_b: str = ""
    label: str = "label"
    labels: tuple[str, ...] = Field(min_length=2)
    metrics: tuple[str, ...] = Field(min_length=1)
    cluster: str = ""
    cut: Cut = "longest"
    pooling: Pooling = "auto"
    max_length: int = Field(default=512, ge=8)
    official: Training = Training()
    robust: Training = Training()
    mini: MiniTraining = MiniTraining()

    @field_validator("text_a", "text_b")
    @classmethod
    def _plain_template(cls, template: str) -> str:
        fields = _FIELD.findall(template)
        if template and not fields:
            raise ValueError("a template names at least one field, such as '{sentence}'")
        if any(not name.isidentifier() for name in fields) or re.search(r"[{}]", _FIELD.sub("", template)):
            raise ValueError("a template holds names of fields in braces, such as '{sentence}', and no other braces")
        return template

    @model_validator(mode="after")
    def _consistent(self) -> FitSpec:
        if not self.text_a:
            raise ValueError("text_a is empty")
        if self.cut == "b" and not self.text_b:
            raise ValueError("cut = 'b', and there is no text_b")
        if len(set(self.labels)) < len(self.labels) or len(set(self.metrics)) < len(self.metrics):
            raise ValueError("a label or a metric is named twice")
        chosen = [training.select_on for training in (self.official, self.robust, self.mini.official, self.mini.robust)]
        for name in (*self.metrics, *filter(None, chosen)):
            if not is_metric(name):
                raise ValueError(f"unknown metric '{name}': choose from {', '.join(METRICS)}, evaluate:NAME")
            needs = METRICS[name].needs if name in METRICS else None
            if needs not in (None, len(self.labels)):
                raise ValueError(f"the metric '{name}' is for {needs} labels, and there are {len(self.labels)}")
        return self


def fields_of(template: str) -> list[str]:
    """The fields that a template names, in order.

    Example:
        >>> fields_of("Question: {question} Answer: {answer}")
        ['question', 'answer']
    """
    return _FIELD.findall(template)


def fill(template: str, values: dict[str, str]) -> str:
    """The template with the values of its fields; braces inside values are left alone."""
    return _FIELD.sub(lambda match: values[match[1]], template)


# protocol.md, section 6: the same for all tasks. Seed 42 alone; the epoch is chosen on the reported file (D15).
_OFFICIAL: dict[str, Any] = {
    "epochs": 10,
    "batch_size": 32,
    "learning_rate": 3e-5,
    "weight_decay": 0.01,
    "decay_all": True,
    "warmup_share": 0.06,
    "final_share": 0.1,
    "clip": None,
    "dropout": 0.1,
    "drop_last": True,
    "explicit_positions": False,
    "cut": "longest",
    "selection": "reported",
    "inner_share": 0.0,
}
# D13: 2025 reads what a causal model says before it has read; 2026 the last token, of encoders too, at shifted positions.
_READS: dict[str, dict[str, Any]] = {
    "babylm-2025": {"pooling": "first", "padding": "right"},
    "babylm-2026": {"pooling": "last", "padding": "left"},
}
# Fixed for all models, so that nobody tunes on the reported file (docs/tasks/superglue.md says why these).
_ROBUST: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 32,
    "learning_rate": 1e-4,
    "weight_decay": 0.01,
    "decay_all": False,
    "warmup_share": 0.06,
    "final_share": 0.1,
    "clip": 1.0,
    "dropout": 0.1,
    "drop_last": False,
    "padding": "right",
    "explicit_positions": True,
    "selection": "inner",
    "inner_share": 0.1,
}


def hyper_for(card: TaskCard, protocol: str, split: str) -> Hyper:
    """How a task is fitted under a protocol.

    Args:
        card: A card of the family ``fit``.
        protocol: The protocol's name.
        split: The split's label, ``full``, ``mini``, or with a limit, ``full@200``.

    Example:
        >>> from babyeval.registry import get_task
        >>> hyper = hyper_for(get_task("wsc").card, "babylm-2025", "full")
        >>> hyper.epochs, hyper.pooling, hyper.selection
        (30, 'first', 'reported')
    """
    assert card.fit is not None
    spec, mini = card.fit, split.partition("@")[0] == "mini"
    whose: Literal["official", "robust"] = "official" if protocol in _READS else "robust"
    own: dict[str, Any] = {"max_length": spec.max_length, "select_on": card.metric}
    if whose == "official":
        values = own | _OFFICIAL | _READS[protocol] | spec.official.given()
    else:
        values = own | _ROBUST | {"pooling": spec.pooling, "cut": spec.cut} | spec.robust.given()
    if mini:
        values |= getattr(spec.mini, whose).given()
    return Hyper(**values)
