"""What a recipe says of instruction data: sets of prompts and replies, and the order in which a model meets them."""

from __future__ import annotations

import difflib
import math
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from babyeval.errors import UsageError

Language = Literal["en", "fr", "es"]
LANGUAGES: tuple[Language, ...] = ("en", "fr", "es")
Format = Literal["auto", "columns", "prompt_completion", "alpaca", "oasst", "messages", "preference"]

STYLE = (
    "Write simple, friendly and correct English for a young reader. "
    "Use only what the article says. Do not mention the article in a question or an answer."
)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


_FOR_MODEL = frozenset({
    "model", "revision", "questions", "style", "article_words", "question_characters", "answer_characters", "batch_size",
    "max_new_tokens", "patience",
})  # fmt: skip


class SetSpec(_Section):
    """A set of prompts and replies: where it comes from and what is taken of it.

    Attributes:
        kind: ``switchboard_pairs`` (neighbouring turns of a dialogue file), ``wiki_qa`` (questions and answers written
            about a Wikipedia file's articles), or ``file`` (rows that somebody made; see `format`).
        file: Path, relative to the corpus folder or else to the working folder. The first two kinds find their file in
            the corpus folder if none is named.
        format: How a file's rows are written; ``auto`` looks at the first one.
        words: The budget: words of prompts, replies and what stands before them, training and validation together.
        rows: The most rows, training and validation together.
        valid_share: The part of the words that is kept for validation.
        split_seed: Decides what is kept for validation, and what a budget leaves out; the same for all seeds of a study.
        language: Of rows that do not name theirs.
        languages: Keep only rows in these languages, as identified from their text, and note it; empty keeps all rows.
        min_words: Fewest words of a reply.
        max_words: Most words of a reply.
        writer: Of ``wiki_qa``: ``model``, as the paper did, or ``template``, a substitute that needs no model.
        model: The writer: folder or Hub id of a causal language model.
        revision: Of the writer on the Hub.
        questions: Questions that a model writes about an article.
        answer_sentences: Sentences of an answer: the fewest that a model may write, the most that the template takes.
        style: How a model is asked to write.
        article_words: Words of an article that a model gets to read.
        question_characters: The longest question that a model may write.
        answer_characters: The longest answer that a model may write.
        batch_size: Articles that a model writes about at once.
        max_new_tokens: The most tokens that a model writes about an article.
        patience: A model that has written nothing valid about so many articles is given up.
    """

    kind: Literal["switchboard_pairs", "wiki_qa", "file"]
    file: Path | None = None
    format: Format = "auto"
    words: int | None = Field(default=None, ge=1)
    rows: int | None = Field(default=None, ge=2)
    valid_share: float = Field(default=0.1, gt=0, lt=1)
    split_seed: int = Field(default=0, ge=0)
    language: str = Field(default="en", min_length=2)
    languages: tuple[Language, ...] = ()
    min_words: int = Field(default=1, ge=1)
    max_words: int | None = Field(default=None, ge=1)
    writer: Literal["model", "template"] | None = None
    model: str | None = None
    revision: str | None = None
    questions: int = Field(default=3, ge=1, le=20)
    answer_sentences: int = Field(default=2, ge=1)
    style: str = STYLE
    article_words: int = Field(default=400, ge=10)
    question_characters: int = Field(default=200, ge=10)
    answer_characters: int = Field(default=600, ge=10)
    batch_size: int = Field(default=8, ge=1)
    max_new_tokens: int = Field(default=800, ge=16)
    patience: int = Field(default=20, ge=1)

    @model_validator(mode="before")
    @classmethod
    def _unset(cls, content: Any) -> Any:
        """An empty text is no value: so the command takes away what a recipe says (``--set sets.wiki.model=``)."""
        if not isinstance(content, dict):
            return content
        return {key: value for key, value in content.items() if value != "" or key == "style"}

    @model_validator(mode="after")
    def _fits_together(self) -> SetSpec:
        if self.kind == "file" and self.file is None:
            raise ValueError("kind 'file' needs file, the path of the rows")
        if self.kind == "wiki_qa" and self.writer is None:
            raise ValueError("kind 'wiki_qa' needs writer: 'model' (with model), or 'template', a substitute without a model")
        if self.writer == "model" and not self.model:
            raise ValueError("writer 'model' needs model: the folder or the Hub id of the model that writes")
        if self.kind != "wiki_qa" and self.writer is not None:
            raise ValueError(f"writer is for kind 'wiki_qa', not for '{self.kind}'")
        if self.max_words is not None and self.max_words < self.min_words:
            raise ValueError(f"max_words {self.max_words} is less than min_words {self.min_words}")
        for where, keys in self._idle().items():
            if idle := sorted(keys & self.model_fields_set):
                raise ValueError(
                    f"{' and '.join(idle)} would be ignored: only a set with {where} has "
                    f"{'such a key' if len(idle) == 1 else 'such keys'} (an empty value takes one away)"
                )
        return self

    def _idle(self) -> dict[str, frozenset[str]]:
        """The keys that say nothing about a set of this kind and writer, by where they would."""
        idle: dict[str, frozenset[str]] = {}
        if self.writer != "model":
            idle["writer 'model'"] = _FOR_MODEL
        if self.kind != "wiki_qa":
            idle["kind 'wiki_qa'"] = frozenset(("answer_sentences",))
        if self.kind != "file":
            idle["kind 'file'"] = frozenset(("format",))
            if self.writer != "model":
                idle["kind 'file' or writer 'model'"] = frozenset(("language",))
        return idle


class Curriculum(_Section):
    """Which sets a model is tuned on, and in which order; exactly one of the first four.

    Attributes:
        single: One set.
        merged: Several sets, shuffled together.
        sequential: Several sets, one behind the other, each a stage of its own.
        mixture: Several sets with weights: the share of the rows of an epoch that each gives.
        epochs: Passes over the data.
        epochs_count: ``per_stage``: each stage has so many epochs, as if it were trained alone; ``total``: they are
            divided among the stages. The paper does not say which.
        restart: What begins anew with each stage: ``all`` (optimiser and schedule), ``schedule``, or ``nothing`` (one
            schedule over all stages). The paper does not say.
    """

    single: str | None = None
    merged: tuple[str, ...] = ()
    sequential: tuple[str, ...] = ()
    mixture: dict[str, float] = Field(default_factory=dict)
    epochs: int = Field(default=10, ge=1)
    epochs_count: Literal["per_stage", "total"] = "per_stage"
    restart: Literal["all", "schedule", "nothing"] = "all"

    @model_validator(mode="after")
    def _one_order(self) -> Curriculum:
        orders = {"single": self.single, "merged": self.merged, "sequential": self.sequential, "mixture": self.mixture}
        given = [name for name, value in orders.items() if value]
        if len(given) != 1:
            raise ValueError(f"exactly one of {', '.join(orders)} is needed, not {' and '.join(given) or 'none'}")
        for name in ("merged", "sequential"):
            sets = getattr(self, name)
            if sets and (len(sets) < 2 or len(set(sets)) < len(sets)):
                raise ValueError(f"{name} needs at least two sets, each once")
        if not all(0 < weight < math.inf for weight in self.mixture.values()) or len(self.mixture) == 1:
            raise ValueError("mixture needs at least two sets with finite weights above 0")
        if self.epochs_count == "total" and self.epochs < len(self.sequential):
            raise ValueError(f"{self.epochs} epochs in total cannot be divided among {len(self.sequential)} stages")
        return self

    @property
    def stages(self) -> tuple[tuple[str, ...], ...]:
        """The sets of each stage, in order.

        Example:
            >>> Curriculum(sequential=("switchboard", "wiki")).stages
            (('switchboard',), ('wiki',))
        """
        if self.sequential:
            return tuple((name,) for name in self.sequential)
        return ((self.single,) if self.single else self.merged or tuple(self.mixture),)

    @property
    def stage_epochs(self) -> tuple[int, ...]:
        """The epochs of each stage; of a total that cannot be divided evenly, the first stages have one more.

        Example:
            >>> Curriculum(sequential=("switchboard", "wiki"), epochs=5, epochs_count="total").stage_epochs
            (3, 2)
        """
        stages = len(self.stages)
        if self.epochs_count == "per_stage":
            return (self.epochs,) * stages
        return tuple(self.epochs // stages + (number < self.epochs % stages) for number in range(stages))

    def require_known(self, sets: Collection[str]) -> None:
        """Finds out whether all sets that are named exist.

        Args:
            sets: The sets that the recipe describes.

        Raises:
            UsageError: One is unknown; the nearest is suggested.
        """
        require_known((name for stage in self.stages for name in stage), sets, "instruct.curriculum")


def require_known(names: Iterable[str], sets: Collection[str], key: str) -> None:
    """Finds out whether all sets that are named exist.

    Args:
        names: The sets to train on.
        sets: The sets that the recipe describes.
        key: The recipe's key that names them.

    Raises:
        UsageError: One is unknown; the nearest is suggested.
    """
    for name in names:
        if name not in sets:
            near = difflib.get_close_matches(name, sets, n=1)
            raise UsageError(
                f"{key} names the set '{name}', which the recipe does not describe.",
                where=key,
                hint=(f"Did you mean '{near[0]}'? " if near else "") + f"Described: {', '.join(sets) or 'none'}.",
            )
