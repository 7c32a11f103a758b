"""Which revisions match a glob, their order, and whether their weights differ (D36)."""

from __future__ import annotations

import json
import shutil

import pytest
from asking import opened

from babyeval.errors import MissingError, UsageError
from babyeval.models.checkpoint import open_checkpoint
from babyeval.models.naming import ModelRef, parse_model
from babyeval.models.revisions import equal_weights, matching_revisions, require_different_weights


@pytest.fixture
def run(tmp_path):
    """Sub-folders that look like checkpoints, and others."""
    for name in ("chck_10M", "chck_2M", "chck_900K", "final", "chck_1B"):
        (tmp_path / "run" / name).mkdir(parents=True)
        (tmp_path / "run" / name / "config.json").write_text("{}")
    (tmp_path / "run" / "chck_logs").mkdir()
    (tmp_path / "run" / "chck_5M").write_text("a file")
    return tmp_path / "run"


def names(refs):
    return [ref.revision for ref in refs]


def test_sub_folders_come_in_the_order_of_training(run):
    assert names(matching_revisions(parse_model(str(run)), "chck_*")) == ["chck_900K", "chck_2M", "chck_10M", "chck_1B"]
    assert names(matching_revisions(parse_model(str(run)), "*")) == ["chck_900K", "chck_2M", "chck_10M", "chck_1B", "final"]
    assert names(matching_revisions(parse_model(str(run)), "chck_?M")) == ["chck_2M"]


def test_a_reference_keeps_name_and_folder(run):
    assert matching_revisions(parse_model(f"mine={run}"), "final") == [ModelRef("mine", str(run), "final")]


def test_none_that_matches_lists_those_there_are(run):
    with pytest.raises(MissingError) as caught:
        matching_revisions(parse_model(str(run)), "step*")
    assert "'step*'" in caught.value.what
    assert caught.value.where == "there is chck_900K, chck_2M, chck_10M, chck_1B, final"


def test_a_folder_without_checkpoints_says_so(tmp_path):
    with pytest.raises(MissingError, match="no sub-folder") as caught:
        matching_revisions(parse_model(str(tmp_path)), "*")
    assert caught.value.where == "there is none at all"


def test_a_missing_folder_is_not_asked_of_the_hub():
    with pytest.raises(MissingError, match="does not exist"):
        matching_revisions(parse_model("./nowhere"), "*")


def test_a_revision_and_a_glob_contradict_each_other():
    with pytest.raises(UsageError, match="@v1"):
        matching_revisions(parse_model("org/model@v1"), "chck_*")


def test_offline_the_cache_is_looked_at(tmp_path, monkeypatch):
    """Branches whose snapshot is there, nested names included."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    home = tmp_path / "models--org--model"
    for name, commit in (("chck_2M", "b" * 40), ("chck_1M", "a" * 40), ("try/chck_3M", "c" * 40), ("chck_4M", "d" * 40)):
        (home / "refs" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "refs" / name).write_text(commit)
        if name != "chck_4M":  # listed once, never fetched
            (home / "snapshots" / commit).mkdir(parents=True)
    ref = parse_model("org/model")
    assert names(matching_revisions(ref, "chck_*", offline=True)) == ["chck_1M", "chck_2M"]
    assert names(matching_revisions(ref, "*3M", offline=True)) == ["try/chck_3M"]
    with pytest.raises(MissingError, match="local cache") as caught:
        matching_revisions(ref, "x", offline=True)
    assert "chck_1M, chck_2M, try/chck_3M" in str(caught.value.where)


def test_a_revision_of_a_folder_is_opened_under_the_folders_name(tiny_folder, tmp_path):
    shutil.copytree(tiny_folder("gpt2", "bos"), tmp_path / "base" / "chck_3M")
    checkpoint = open_checkpoint(ModelRef(None, str(tmp_path / "base"), "chck_3M"))
    assert (checkpoint.name, checkpoint.revision, checkpoint.words_seen) == ("base", "chck_3M", 3_000_000)
    assert checkpoint.source == str(tmp_path / "base")
    (tmp_path / "base" / "chck_3M" / "babyeval.json").write_text(json.dumps({"condition": "c", "seed": 1, "words_seen": 42}))
    checkpoint = open_checkpoint(ModelRef(None, str(tmp_path / "base"), "chck_3M"))
    assert (checkpoint.name, checkpoint.words_seen) == ("c-seed_1", 42)


def test_weights_are_compared_whatever_else_differs(tiny_folder, tmp_path):
    """A new configuration makes another model, and not other weights."""
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    for folder in (first, second):
        shutil.copytree(tiny_folder("gpt2", "bos"), folder)
    shutil.copytree(tiny_folder("gpt2", "bos", seed=1), other)
    config = second / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "transformers_version": "0"}))
    a, b, c = map(opened, (first, second, other))
    assert a.digest != b.digest
    assert a.weights == b.weights != c.weights
    require_different_weights([a, b, c])
    require_different_weights([a])
    with pytest.raises(UsageError, match="same weights"):
        require_different_weights([a, b])


def test_groups_of_equal_weights():
    assert equal_weights([("a", "1"), ("b", "2"), ("c", "1"), ("d", None), ("e", None), ("f", "2")]) == [("a", "c"), ("b", "f")]
    assert equal_weights([]) == []
