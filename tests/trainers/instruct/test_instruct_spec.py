"""Sections of a recipe about instruction data: what they allow, and the stages of a curriculum."""

from __future__ import annotations

import math
from typing import Any

import pytest
from babyeval.trainers.instruct.spec import Curriculum, SetSpec
from babyeval.trainers.recipe import TuningRecipe, load_recipe
from pydantic import ValidationError

from babyeval.errors import UsageError


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"kind": "file"}, "needs file"),
        ({"kind": "wiki_qa"}, "needs writer"),
        ({"kind": "wiki_qa", "writer": "model"}, "needs model"),
        ({"kind": "switchboard_pairs", "writer": "template"}, "not for 'switchboard_pairs'"),
        ({"kind": "switchboard_pairs", "min_words": 5, "max_words": 4}, "less than min_words"),
        ({"kind": "switchboard_pairs", "word": 4}, "word"),
        ({"kind": "switchboard_pairs", "languages": ["de"]}, "languages"),
        ({"kind": "switchboard_pairs", "valid_share": 0}, "valid_share"),
        ({"kind": "switchboard_pairs", "format": "alpaca"}, "format would be ignored"),
        ({"kind": "switchboard_pairs", "language": "fr"}, "language would be ignored"),
        ({"kind": "wiki_qa", "writer": "template", "questions": 3}, "questions would be ignored"),
        ({"kind": "wiki_qa", "writer": "template", "model": "m", "patience": 2}, "model and patience would be ignored"),
        ({"kind": "wiki_qa", "writer": "template", "format": "columns"}, "format would be ignored"),
        ({"kind": "wiki_qa", "writer": "template", "language": "fr"}, "language would be ignored"),
        ({"kind": "wiki_qa", "writer": "model", "model": "m", "format": "auto"}, "format would be ignored"),
        ({"kind": "file", "file": "a.jsonl", "model": "m"}, "model would be ignored"),
        ({"kind": "file", "file": "a.jsonl", "questions": 2}, "questions would be ignored"),
        ({"kind": "file", "file": "a.jsonl", "answer_sentences": 2}, "answer_sentences would be ignored"),
    ],
)
def test_wrong_sets(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        SetSpec(**settings)


def test_what_a_set_takes() -> None:
    assert SetSpec(kind="file", file="a.jsonl", format="alpaca", language="fr").language == "fr"
    assert SetSpec(kind="wiki_qa", writer="template", answer_sentences=1).answer_sentences == 1
    assert SetSpec(kind="wiki_qa", writer="model", model="m", questions=2, language="fr", answer_sentences=1).questions == 2
    assert SetSpec(kind="wiki_qa", writer="template", model="", questions="").model is None, "taken away"
    assert SetSpec(kind="wiki_qa", writer="model", model="m", style="").style == ""


def test_a_shipped_recipe_can_take_the_substitute() -> None:
    chosen = ("sets.wiki.writer=template", "sets.wiki.model=", "sets.wiki.questions=")
    made = load_recipe("class-it-140m-wiki", chosen)
    assert isinstance(made, TuningRecipe)
    assert (made.sets["wiki"].writer, made.sets["wiki"].model) == ("template", None)
    with pytest.raises(UsageError, match=r"model and questions would be ignored"):
        load_recipe("class-it-140m-wiki", chosen[:1])


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "exactly one"),
        ({"single": "a", "merged": ["a", "b"]}, "single and merged"),
        ({"merged": ["a"]}, "at least two"),
        ({"sequential": ["a", "a"]}, "each once"),
        ({"mixture": {"a": 1.0}}, "at least two"),
        ({"mixture": {"a": 1.0, "b": 0.0}}, "above 0"),
        ({"mixture": {"a": 1.0, "b": math.nan}}, "finite"),
        ({"mixture": {"a": math.inf, "b": 1.0}}, "finite"),
        ({"sequential": ["a", "b"], "epochs": 1, "epochs_count": "total"}, "cannot be divided"),
    ],
)
def test_wrong_curricula(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Curriculum(**settings)


@pytest.mark.parametrize(
    ("settings", "stages", "epochs"),
    [
        ({"single": "a"}, (("a",),), (10,)),
        ({"merged": ["a", "b"]}, (("a", "b"),), (10,)),
        ({"mixture": {"b": 0.3, "a": 0.7}}, (("b", "a"),), (10,)),
        ({"sequential": ["b", "a"]}, (("b",), ("a",)), (10, 10)),
        ({"sequential": ["b", "a", "c"], "epochs": 8, "epochs_count": "total"}, (("b",), ("a",), ("c",)), (3, 3, 2)),
        ({"merged": ["a", "b"], "epochs": 3, "epochs_count": "total"}, (("a", "b"),), (3,)),
    ],
)
def test_stages_and_their_epochs(settings: dict[str, Any], stages: object, epochs: object) -> None:
    curriculum = Curriculum(**settings)
    assert curriculum.stages == stages
    assert curriculum.stage_epochs == epochs


def test_an_unknown_set_is_named_with_the_nearest() -> None:
    curriculum = Curriculum(sequential=("switchboard", "wikki"))
    curriculum.require_known({"switchboard", "wikki"})
    with pytest.raises(UsageError, match="'wikki'") as caught:
        curriculum.require_known(("switchboard", "wiki"))
    assert "Did you mean 'wiki'?" in str(caught.value)
