"""Sweeps over checkpoints: sub-folders and branches, their order, what is shared, and what happens to one that fails."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, AutoTokenizer

import babyeval
from babyeval.errors import UsageError
from babyeval.families import LineTask
from babyeval.scoring import trie
from cli.hub import COMMIT, ends_of, serving
from cli.support import assert_refused, files_in, inside, records_in, refuse_weights

TASKS = ("blimp", "wug_adj")
MINI = ("--split", "mini", "--tasks", ",".join(TASKS))
ORDER = ["chck_1M", "chck_2M", "chck_3M", "chck_10M"]


@pytest.fixture(scope="module")
def checkpoints(tiny_folder, tmp_path_factory) -> Path:
    """Four checkpoints of random weights, two of which are equal, and a folder that is none."""
    root = tmp_path_factory.mktemp("sweep") / "growing"
    for name, seed in (("chck_1M", 0), ("chck_10M", 1), ("chck_2M", 2), ("chck_3M", 2)):
        shutil.copytree(tiny_folder("llama", "bos", seed=seed), root / name)
    (root / "chck_logs").mkdir()
    return root


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("swept")


@pytest.fixture(scope="module")
def swept(checkpoints, place):
    """A sweep under all protocols, which wrote to ``place / "out"``."""
    return inside(
        "run", "--model", checkpoints, "--revisions", "chck_*", *MINI, "--protocol", "all", "--out", "out", "--json", cwd=place
    )


def some(checkpoints: Path, folder: Path, *names: str) -> Path:
    """A folder with copies of these checkpoints."""
    for name in names:
        shutil.copytree(checkpoints / name, folder / name)
    return folder


def test_each_sub_folder_is_a_revision_in_the_order_of_training(swept, place, checkpoints):
    assert swept.code == 0, swept.err
    results = swept.json["results"]
    assert list(dict.fromkeys(result["model"]["revision"] for result in results)) == ORDER
    assert {result["model"]["name"] for result in results} == {"growing"}
    assert {result["model"]["source"] for result in results} == {str(checkpoints)}
    seen = {result["model"]["revision"]: result["model"]["words_seen"] for result in results}
    assert seen == {"chck_1M": 1_000_000, "chck_2M": 2_000_000, "chck_3M": 3_000_000, "chck_10M": 10_000_000}
    folders = {path.relative_to(place / "out").parts[:2] for path in records_in(place / "out")}
    assert folders == {("growing", name) for name in ORDER}
    done = [result for result in results if result["status"] == "done"]
    assert len(records_in(place / "out")) == len(done) == 4 * (3 + 2)


def test_numbers_are_those_of_each_checkpoint_alone(swept, place, checkpoints, tmp_path):
    """What is shared between checkpoints changes nothing: each is run alone, with a cache of its own."""
    for name in ORDER:
        alone = inside("run", "--model", f"x={checkpoints / name}", *MINI, "--protocol", "all", "--json", cwd=tmp_path / name)
        assert alone.code == 0, alone.err
        expected = {(r["task"]["name"], r["protocol"]): r["scores"] for r in alone.json["results"]}
        found = [result for result in swept.json["results"] if result["model"]["revision"] == name]
        assert {(r["task"]["name"], r["protocol"]): r["scores"] for r in found} == expected
    values = {result["headline"]["value"] for result in swept.json["results"] if result["protocol"] == "robust"}
    assert len(values) > 4, "the checkpoints differ"


@pytest.fixture(autouse=True)
def _folders(tmp_path):
    for name in ORDER:
        (tmp_path / name).mkdir()


def test_items_are_read_and_tries_built_once(checkpoints, tmp_path, monkeypatch):
    calls: Counter[str] = Counter()
    items, build = LineTask.items, trie.build_trie
    monkeypatch.setattr(LineTask, "items", lambda self, source: calls.update([self.card.name]) or items(self, source))
    monkeypatch.setattr(trie, "build_trie", lambda queries: calls.update(["trie"]) or build(queries))
    done = inside("run", "--model", checkpoints, "--revisions", "chck_*", *MINI, cwd=tmp_path)
    assert done.code == 0, done.err
    assert calls == {"blimp": 1, "wug_adj": 1, "trie": 1}


def test_another_tokenizer_is_asked_its_own_questions(tiny_folder, checkpoints, tmp_path):
    folder = some(checkpoints, tmp_path / "mixed", "chck_1M", "chck_10M")
    shutil.copytree(tiny_folder("llama", "bos_eos"), folder / "chck_2M")
    together = inside("run", "--model", folder, "--revisions", "*", *MINI, "--json", cwd=tmp_path)
    for name in ("chck_1M", "chck_2M", "chck_10M"):
        alone = inside("run", "--model", f"x={folder / name}", *MINI, "--json", cwd=tmp_path / name)
        expected = [result["scores"] for result in alone.json["results"]]
        assert [r["scores"] for r in together.json["results"] if r["model"]["revision"] == name] == expected


def test_started_again_it_computes_nothing(swept, checkpoints, place, monkeypatch):
    refuse_weights(monkeypatch)
    again = inside("run", "--model", checkpoints, "--revisions", "chck_*", *MINI, "--out", "out", "--json", cwd=place)
    robust = [result for result in swept.json["results"] if result["protocol"] == "robust"]
    assert again.json["results"] == robust


def test_the_table_shows_the_curve_and_names_equal_weights(swept, checkpoints, place):
    done = inside("run", "--model", checkpoints, "--revisions", "chck_*", *MINI, "--out", "out", cwd=place)
    assert done.code == 0, done.err
    assert f"{checkpoints / 'chck_logs'} matches 'chck_*' and has no config.json: it is left out." in done.err
    rows = [line.split() for line in done.out.splitlines() if line.strip().startswith("blimp")]
    assert [row[3:5] for row in rows] == [["1M", "chck_1M"], ["2M", "chck_2M"], ["3M", "chck_3M"], ["10M", "chck_10M"]]
    assert [" ".join(row[11:]) for row in rows] == ["done", "done", "done, weights of chck_2M", "done"]
    assert "growing: chck_2M and chck_3M have the same weights." in done.out
    assert rows[1][5] == rows[2][5]


def test_revisions_that_are_all_equal_are_refused(checkpoints, tmp_path, monkeypatch):
    refuse_weights(monkeypatch)
    folder = some(checkpoints, tmp_path / "flat", "chck_2M", "chck_3M")
    done = inside("run", "--model", folder, "--revisions", "*", *MINI, cwd=tmp_path)
    assert_refused(done, 2, "All 2 revisions of 'flat' have the same weights", "chck_2M, chck_3M")
    assert not (tmp_path / "results").exists()
    assert inside("run", "--model", folder, "--revisions", "*3M", *MINI, "--dry-run", cwd=tmp_path).code == 0


def test_wrong_wishes_are_refused_before_any_work(checkpoints, tmp_path, monkeypatch):
    refuse_weights(monkeypatch)
    none = inside("run", "--model", checkpoints, "--revisions", "step_*", *MINI, cwd=tmp_path)
    assert_refused(none, 3, "'step_*'", "there is chck_1M, chck_2M, chck_3M, chck_10M")
    assert_refused(inside("run", "--model", "org/m@v1", "--revisions", "chck_*", *MINI, cwd=tmp_path), 2, "'@v1'", "--revisions")
    typo = inside("run", "--model", checkpoints, "--revisions", "*", "--tasks", "blmp", cwd=tmp_path)
    assert_refused(typo, 2, "Unknown task 'blmp'")
    assert not (tmp_path / "results").exists()


def test_a_loaded_model_has_no_revisions(checkpoints):
    model = AutoModelForCausalLM.from_pretrained(checkpoints / "chck_1M")
    tokenizer = AutoTokenizer.from_pretrained(checkpoints / "chck_1M")
    with pytest.raises(UsageError, match="no revisions"):
        babyeval.evaluate(model, ["blimp"], tokenizer=tokenizer, split="mini", revisions="*")


def test_python_returns_the_results_of_all(checkpoints, tmp_path):
    found = babyeval.evaluate(str(checkpoints), ["wug_adj"], split="mini", revisions="chck_?M", out=tmp_path / "out")
    assert [result.model.revision for result in found] == ORDER[:3]


def test_several_models_have_each_their_revisions(checkpoints, tmp_path):
    some(checkpoints, tmp_path / "a", "chck_1M", "chck_2M")
    some(checkpoints, tmp_path / "b", "chck_10M")
    done = inside("run", "--model", "a", "--model", "other=b", "--revisions", "chck_*", *MINI, "--json", cwd=tmp_path)
    about = list(dict.fromkeys((r["model"]["name"], r["model"]["revision"]) for r in done.json["results"]))
    assert about == [("a", "chck_1M"), ("a", "chck_2M"), ("other", "chck_10M")]


def test_a_dry_run_plans_each_and_writes_nothing(checkpoints, tmp_path, monkeypatch):
    refuse_weights(monkeypatch)
    done = inside("run", "--model", checkpoints, "--revisions", "chck_*", *MINI, "--dry-run", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert [plan["model"]["revision"] for plan in done.json] == ORDER
    assert len({plan["to_compute"] for plan in done.json}) == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("spoil", "code", "status", "words"),
    [
        (lambda f: (f / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:500]), 1, "failed", "weights"),
        (lambda f: (f / "config.json").write_text("{"), 1, "failed", "not valid JSON"),
        (lambda f: (f / "model.safetensors").unlink(), 3, "skipped", "no weights"),
    ],
    ids=["cut weights", "broken configuration", "no weights"],
)
def test_one_that_fails_does_not_stop_the_others(checkpoints, tmp_path, spoil, code, status, words):
    folder = some(checkpoints, tmp_path / "run", "chck_1M", "chck_2M", "chck_10M")
    spoil(folder / "chck_2M")
    done = inside("run", "--model", folder, "--revisions", "chck_*", *MINI, "--json", cwd=tmp_path)
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert "run (chck_2M) failed: " in done.err
    states = {(r["model"]["revision"], r["status"]) for r in done.json["results"]}
    assert states == {("chck_1M", "done"), ("chck_2M", status), ("chck_10M", "done")}
    assert words in next(r["error"] for r in done.json["results"] if r["status"] == status)
    assert not any("chck_2M" in name for name in files_in(tmp_path / "results"))
    table = inside("run", "--model", folder, "--revisions", "chck_*", *MINI, cwd=tmp_path)
    assert table.code == code
    assert table.out.count("What next:") == 1, "said once, not for each task"
    assert "What next:" not in table.err
    assert "auto" not in table.out.splitlines()[0]
    assert f"run (chck_2M): {status}." in table.out


def test_if_all_fail_the_run_fails_as_one_would(checkpoints, tmp_path):
    folder = some(checkpoints, tmp_path / "run", "chck_1M", "chck_2M")
    for name in ("chck_1M", "chck_2M"):
        (folder / name / "model.safetensors").unlink()
    assert_refused(inside("run", "--model", folder, "--revisions", "*", *MINI, cwd=tmp_path), 3, "no weights")


HUB = ("run", *MINI, "--limit", "8", "--json", "--model")
STEPS = {
    "all": (*HUB, "org/tiny", "--revisions", "chck_*"),
    "offline": (*HUB, "mine=org/tiny", "--revisions", "*", "--offline"),
    "none": (*HUB, "org/tiny", "--revisions", "step*"),
    "absent": (*HUB, "org/absent", "--revisions", "*"),
    "with revision": (*HUB, "org/tiny@v1", "--revisions", "*"),
    "offline, none": (*HUB, "org/other", "--revisions", "*", "--offline"),
}


@pytest.fixture(scope="module")
def from_hub(checkpoints, tmp_path_factory):
    branches = {name: checkpoints / name for name in ("chck_10M", "chck_1M", "chck_2M")}
    with serving(checkpoints / "chck_10M", branches) as hub:
        return ends_of(STEPS, hub, tmp_path_factory.mktemp("hub"))


def test_branches_of_the_hub(from_hub):
    done = from_hub["all"]
    assert done.code == 0, done.err
    models = [result["model"] for result in done.json["results"] if result["task"]["name"] == "blimp"]
    assert [model["revision"] for model in models] == ["chck_1M", "chck_2M", "chck_10M"]
    assert {(model["name"], model["source"]) for model in models} == {("org__tiny", "org/tiny")}
    assert [model["words_seen"] for model in models] == [1_000_000, 2_000_000, 10_000_000]
    assert len({model["commit"] for model in models}) == len({model["digest"] for model in models}) == 3
    assert COMMIT not in {model["commit"] for model in models}


def test_offline_those_in_the_cache(from_hub):
    done = from_hub["offline"]
    assert done.code == 0, done.err
    online = {json.dumps(result["scores"]) for result in from_hub["all"].json["results"]}
    assert {json.dumps(result["scores"]) for result in done.json["results"]} == online
    assert {result["model"]["name"] for result in done.json["results"]} == {"mine"}


@pytest.mark.parametrize(
    ("step", "code", "words"),
    [
        ("none", 3, ("'org/tiny' has no branch that matches 'step*'", "chck_1M, chck_2M, chck_10M, main, v1")),
        ("absent", 3, ("'org/absent' is neither a local folder nor a model on the Hub",)),
        ("with revision", 2, ("'@v1' names one revision",)),
        ("offline, none", 3, ("'org/other' has no branch in the Hub's local cache", "there is none at all")),
    ],
)
def test_what_the_hub_does_not_have(from_hub, step, code, words):
    assert_refused(from_hub[step], code, *words)
