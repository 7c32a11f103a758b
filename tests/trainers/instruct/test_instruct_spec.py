"""Sections of a recipe about instruction data: what they allow, and the stages of a curriculum."""

from __future__ import annotations

from typing import Any

import pytest
from babyeval.trainers.instruct.spec import Curriculum, SetSpec
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
    ],
)
def test_wrong_sets(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        SetSpec(**settings)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "exactly one"),
        ({"single": "a", "merged": ["a", "b"]}, "single and merged"),
        ({"merged": ["a"]}, "at least two"),
        ({"sequential": ["a", "a"]}, "each once"),
        ({"mixture": {"a": 1.0}}, "at least two"),
        ({"mixture": {"a": 1.0, "b": 0.0}}, "above 0"),
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
