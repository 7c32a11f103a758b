"""How a model is named on the command line, in records and as a folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babyeval.errors import UsageError
from babyeval.models.naming import ModelRef, default_name, folder_name, parse_model


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("org/model", (None, "org/model", None)),
        ("org/model@main", (None, "org/model", "main")),
        ("small=org/model@chck_10M", ("small", "org/model", "chck_10M")),
        ("a=b=c/d", ("a", "b=c/d", None)),
        ("a: b/c=./m", ("a: b/c", "./m", None)),
        ("org/model@", (None, "org/model", None)),
        ("size 10M @ home=org/model", ("size 10M @ home", "org/model", None)),
    ],
)
def test_name_source_and_revision(text, expected):
    assert parse_model(text) == ModelRef(*expected)


@pytest.mark.parametrize("name", ["plain", "a=b", "model@home", "x=y@z"])
def test_an_existing_path_is_taken_whole(name):
    Path(name).mkdir()
    assert parse_model(name) == ModelRef(None, name, None)
    assert parse_model(name).is_local
    assert parse_model(f"named={name.replace('=', '')}").name == "named"


@pytest.mark.parametrize(
    ("text", "name", "source"),
    [
        ("hm/lr=3e-4", None, "hm/lr=3e-4"),
        ("base=hm/lr=3e-4", "base", "hm/lr=3e-4"),
        ("base=hm/lr=3e-4/wd=0.1", "base", "hm/lr=3e-4/wd=0.1"),
        ("lr=3e-4=hm/plain", "lr=3e-4", "hm/plain"),
        ("base=hm/lr=9", "base", "hm/lr=9"),  # the message names what is not there as it was written
    ],
)
def test_equals_signs_may_stand_in_names_and_in_paths(text, name, source):
    for folder in ("hm/lr=3e-4/wd=0.1", "hm/plain"):
        Path(folder).mkdir(parents=True)
    assert parse_model(text) == ModelRef(name, source, None)


def test_a_named_folder_may_hold_an_at_sign():
    Path("model@home").mkdir()
    assert parse_model("n=model@home") == ModelRef("n", "model@home", None)


@pytest.mark.parametrize("text", ["", "name=", "=", "=org/model"])
def test_what_names_no_model_is_refused(text):
    with pytest.raises(UsageError, match="names no model"):
        parse_model(text)


def test_a_revision_of_a_local_folder_is_refused_not_ignored():
    """D36: the official code ignores it, and all checkpoints get one number."""
    Path("model").mkdir()
    with pytest.raises(UsageError, match="has no revisions") as caught:
        parse_model("model@chck_1M")
    assert "model/chck_1M" in str(caught.value)


def test_models_of_different_owners_and_versions_get_different_names():
    """D27: the official code cuts 'org/model-v1.5' to 'model-v1'."""
    names = [
        default_name(s, local=False, condition=None, seed=None) for s in ("a/model-v1.5", "a/model-v1", "b/model-v1", "model-v1")
    ]
    assert names == ["a__model-v1.5", "a__model-v1", "b__model-v1", "model-v1"]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("runs/base", "base"),
        ("runs/base/", "base"),
        ("runs/base/final", "base__final"),
        ("runs/base/checkpoint-1000", "base__checkpoint-1000"),
        ("runs/base/chck_10M", "base__chck_10M"),
        ("runs/base/Best", "base__Best"),
        ("runs/finalists", "finalists"),
        ("runs/model-v1.5", "model-v1.5"),
    ],
)
def test_a_folder_is_named_by_itself_or_with_its_parent(path, name):
    assert default_name(path, local=True, condition=None, seed=None) == name


def test_a_trained_checkpoint_is_named_by_its_condition_and_seed():
    assert default_name("runs/x/final", local=True, condition="curriculum", seed=3) == "curriculum-seed_3"
    assert default_name("runs/x/final", local=True, condition="curriculum", seed=0) == "curriculum-seed_0"
    assert default_name("runs/x/final", local=True, condition="curriculum", seed=None) == "curriculum"


NAMES = st.text(st.sampled_from("abA0./\\%:=@~-_+, é日\n2E"), min_size=1, max_size=12)


@given(NAMES)
def test_any_name_is_one_folder_below_the_results(name):
    encoded = folder_name(name)
    assert encoded not in ("", ".", "..")
    assert "/" not in encoded
    assert "\\" not in encoded
    assert encoded.isascii()


@given(NAMES, NAMES)
def test_other_names_give_other_folders(a, b):
    assert (folder_name(a) == folder_name(b)) == (a == b)


@pytest.mark.parametrize(
    ("name", "folder"), [("..", "%2E%2E"), (".", "%2E"), ("a/b", "a%2Fb"), ("100%", "100%25"), ("é", "%C3%A9"), ("v1.5", "v1.5")]
)
def test_unsafe_characters_are_encoded(name, folder):
    assert folder_name(name) == folder
