"""Records over checkpoints met again: which one is taken, kept or replaced, and what is refused; no weights are trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from babyeval.acquisition import CONTEXTS, PROPORTIONS
from babyeval.data.lookup import find_data
from babyeval.errors import ModelError
from babyeval.protocols import PROTOCOLS
from babyeval.registry import get_task
from babyeval.types import Row
from cli.support import assert_refused, edit_json, files_in, inside

NAMES = ("chck_1M", "chck_2M", "chck_3M", "chck_4M", "chck_5M")
AOA = ("--tasks", "aoa", "--limit", "12", "--json")


@pytest.fixture(scope="module")
def models(tiny_folder, tmp_path_factory) -> Path:
    """Two runs of five checkpoints of random weights each, and a last model."""
    root = tmp_path_factory.mktemp("models")
    for run, first in (("a", 0), ("b", 10)):
        for i, name in enumerate(NAMES):
            shutil.copytree(tiny_folder("llama", "bos", seed=first + i), root / run / name)
    shutil.copytree(tiny_folder("llama", "bos", seed=20), root / "last")
    return root


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """The bundled contexts as if they were the official ones."""
    folder = tmp_path_factory.mktemp("data") / "full_eval" / "aoa"
    folder.mkdir(parents=True)
    for name in (CONTEXTS, PROPORTIONS):
        shutil.copy(get_task("aoa").home / "mini" / name, folder / name)
    return folder.parents[1]


@pytest.fixture(scope="module")
def swept(models, data, tmp_path_factory) -> Path:
    """A folder in which the first run was swept."""
    place = tmp_path_factory.mktemp("swept")
    done = inside(*sweep(models / "a", data), cwd=place)
    assert [result["status"] for result in done.json["results"]] == ["done"] * 6, done.err
    return place


@pytest.fixture
def place(swept, tmp_path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(swept, tmp_path / "place"))


def sweep(run: Path, data: Path, *more: object) -> tuple[object, ...]:
    return ("run", "--model", f"x={run}", "--revisions", "chck_*", "--data-dir", data, *AOA, *more)


def one(model: Path, data: Path, *more: object) -> tuple[object, ...]:
    return ("run", "--model", f"x={model}", "--data-dir", data, *AOA, *more)


def over_all(place: Path, glob: str = "chck_%2A") -> Path:
    return place / "results" / "x" / glob / "aoa" / "full@12-causal" / "robust" / "result.json"


def change_part(place: Path, change: Callable[[dict], None], name: str = "chck_2M") -> None:
    path = place / "results" / "x" / name / "aoa" / "full@12-causal" / "robust" / "result.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def test_a_checkpoint_of_the_sweep_has_its_number(place, models, data):
    done = inside(*one(models / "a" / "chck_4M", data), cwd=place)
    assert done.json["results"] == [json.loads(over_all(place).read_text(encoding="utf-8"))]
    fresh = inside(*one(models / "a" / "chck_4M", data, "--fresh"), cwd=place)
    assert fresh.json["results"][0]["status"] == "not_applicable"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda place: change_part(place, lambda record: record["model"].update(digest="0" * 64)),
        lambda place: change_part(place, lambda record: record["data"].update(digest="0" * 64)),
        lambda place: change_part(place, lambda record: record["provenance"].update(babyeval="0.0.1")),
        lambda place: change_part(place, lambda record: record["provenance"].update(task_code="0" * 64)),
        lambda place: change_part(place, lambda record: record["provenance"].update(scoring_version=0)),
        lambda place: change_part(place, lambda record: record["provenance"].update(protocol_version=0)),
        lambda place: shutil.rmtree(place / "results" / "x" / "chck_2M"),
        lambda place: over_all(place).with_name("items.parquet").write_bytes(b"cut"),
        lambda place: edit_json(over_all(place), status="failed"),
    ],
    ids=["model", "data", "version", "code", "scoring", "protocol", "no record", "table", "failed"],
)
def test_a_sweep_that_its_checkpoints_do_not_bear_out_is_not_taken(spoil, place, models, data):
    spoil(place)
    done = inside(*one(models / "a" / "chck_4M", data), cwd=place)
    (result,) = done.json["results"]
    assert (done.code, result["status"]) == (0, "not_applicable")
    assert "is not what its checkpoints would give now" in result["error"]


def test_the_data_must_be_that_of_the_sweep(place, models, data, tmp_path):
    other = Path(shutil.copytree(data, tmp_path / "other"))
    path = other / "full_eval" / "aoa" / PROPORTIONS
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    (result,) = inside(*one(models / "a" / "chck_4M", other), cwd=place).json["results"]
    assert result["status"] == "not_applicable"
    gone = inside(*one(models / "a" / "chck_4M", tmp_path / "nowhere"), cwd=place)
    assert (gone.code, gone.json["results"][0]["status"]) == (3, "skipped")


def test_another_model_of_the_name_does_not_get_its_number(place, models, data):
    table = inside(*(part for part in one(models / "last", data) if part != "--json"), cwd=place)
    assert "not applicable. 'aoa' needs several checkpoints" in table.out
    assert f"from another source, {models / 'a'}" in " ".join(table.out.split())
    other = inside(
        "run", "--model", f"x={models / 'last'}", "--tasks", "wug_adj", "--split", "mini", "--protocol", "all", cwd=place
    )
    assert "wug_adj (babylm-2026): not applicable. 'wug_adj' is not part of babylm-2026." in other.out


def test_of_several_sweeps_that_of_most_checkpoints(place, models, data):
    fewer = inside("run", "--model", f"x={models / 'a'}", "--revisions", "chck_[1-4]M", "--data-dir", data, *AOA, cwd=place)
    assert fewer.json["results"][-1]["status"] == "done"
    (result,) = inside(*one(models / "a" / "chck_1M", data), cwd=place).json["results"]
    assert result["model"]["revision"] == "chck_*"


def test_a_dry_run_says_done_or_why_not(place, models, data):
    (plan,) = inside(*one(models / "a" / "chck_4M", data, "--dry-run"), cwd=place).json
    assert (plan["tasks"][0]["state"], plan["tasks"][0]["reason"]) == ("kept", None)
    (plan,) = inside(*one(models / "last", data, "--dry-run"), cwd=place).json
    assert plan["tasks"][0]["state"] == "not_applicable"
    assert "another source" in plan["tasks"][0]["reason"]


def test_swept_again_it_is_kept_however_the_path_is_spelled(place, models, data):
    before = {name: (place / name).stat().st_mtime_ns for name in files_in(place) if name.startswith("results")}
    again = inside(*sweep(models / "b" / ".." / "a", data), cwd=place)
    assert again.json["results"][-1] == json.loads(over_all(place).read_text(encoding="utf-8"))
    assert {name: (place / name).stat().st_mtime_ns for name in before} == before
    inside(*sweep(models / "a", data, "--fresh"), cwd=place)
    assert over_all(place).stat().st_mtime_ns != before[str(over_all(place).relative_to(place))]


def test_the_record_says_when_it_was_finished_itself(place, models, data):
    change_part(place, lambda record: record["provenance"].update(finished="2020-01-01T00:00:00+00:00"), "chck_5M")
    over_all(place).unlink()
    result = inside(*sweep(models / "a", data), cwd=place).json["results"][-1]
    assert result["provenance"]["finished"] > "2021"


def test_a_shorter_record_does_not_replace_a_longer_one(place, models, data, tmp_path):
    before = over_all(place).read_bytes()
    run = Path(shutil.copytree(models / "a", tmp_path / "run"))
    (run / "chck_2M" / "model.safetensors").unlink()
    result = inside(*sweep(run, data), cwd=place).json["results"][-1]
    assert (result["status"], len(result["checkpoints"]), result["items"]) == ("done", 4, None)
    assert result["headline"]["note"].endswith(
        "without chck_2M (skipped); not stored, in favour of the record over 5 checkpoints"
    )
    assert over_all(place).read_bytes() == before
    change_part(place, lambda record: record["data"].update(digest="0" * 64))  # the longer one is no longer right
    result = inside(*sweep(run, data), cwd=place).json["results"][-1]
    assert len(json.loads(over_all(place).read_text(encoding="utf-8"))["checkpoints"]) == 4
    assert result["headline"]["note"].endswith("without chck_2M (skipped)")


def test_equal_weights_are_told_and_do_not_make_a_curve(models, data, tmp_path):
    run = Path(shutil.copytree(models / "a", tmp_path / "run"))
    shutil.copy(run / "chck_1M" / "model.safetensors", run / "chck_2M")
    result = inside(*sweep(run, data), cwd=tmp_path).json["results"][-1]
    assert result["status"] == "done"
    assert "chck_1M and chck_2M have the same weights" in result["headline"]["note"]
    shutil.copy(run / "chck_1M" / "model.safetensors", run / "chck_3M")
    shutil.rmtree(tmp_path / "results")
    result = inside(*sweep(run, data), cwd=tmp_path).json["results"][-1]
    assert result["status"] == "not_applicable"
    assert "at least 4 checkpoints that differ, and there are 3" in result["error"]
    assert "chck_1M and chck_2M and chck_3M" in result["error"]


def test_two_models_do_not_become_one_line(models, data, tmp_path):
    for run, names in (("a", NAMES[:2]), ("b", NAMES[2:])):
        for name in names:
            shutil.copytree(models / run / name, tmp_path / run / name)
    mixed = inside(*sweep(tmp_path / "a", data, "--model", f"x={tmp_path / 'b'}"), cwd=tmp_path)
    assert_refused(mixed, 2, "Two models have the name 'x'", "--model NAME=PATH")
    twice = inside(*sweep(tmp_path / "a", data, "--model", f"x={tmp_path / 'b' / '..' / 'a'}"), cwd=tmp_path)
    assert_refused(twice, 2, "'x' is given twice")
    alone = tmp_path / "a" / "chck_1M"
    assert_refused(inside(*one(alone, data, "--model", f"x={alone}"), cwd=tmp_path), 2, "'x' is given twice")
    assert not (tmp_path / "results").exists()


def test_a_glob_too_long_for_a_folder_is_refused_before_any_work(models, tmp_path):
    glob = "*" * 120
    long = ("run", "--model", f"x={models / 'a'}", "--revisions", glob, "--split", "mini")
    assert_refused(inside(*long, "--tasks", "aoa", cwd=tmp_path), 2, "glob is too long", "--revisions")
    assert inside(*long, "--tasks", "wug_adj", "--dry-run", cwd=tmp_path).code == 0, "no record lies under its name"


def test_a_place_that_cannot_be_written_concerns_the_record_alone(models, data, place):
    over_all(place).unlink()
    folder = over_all(place).parent
    shutil.rmtree(folder)
    folder.write_text("in the way", encoding="utf-8")
    done = inside(*sweep(models / "a", data), cwd=place)
    assert done.code == 3
    assert [result["status"] for result in done.json["results"]] == ["done"] * 5 + ["skipped"]


def test_corrected_word_ends_leave_other_tasks_where_they_are(models, place, data):
    before = set(files_in(place / "results"))
    done = inside(*one(models / "a" / "chck_4M", data, "--word-end", "corrected"), cwd=place)
    assert (done.json["results"][0]["status"], done.json["results"][0]["backend"]) == ("done", "causal")
    assert set(files_in(place / "results")) == before
    both = ("--tasks", "reading,wug_adj", "--split", "mini", "--protocol", "all", "--word-end", "corrected")
    (plan,) = inside("run", "--model", models / "last", *both, "--dry-run", "--json", cwd=place).json
    labels = {(task["task"], task["protocol"]): task["backend"] for task in plan["tasks"]}
    assert labels.pop(("reading", "robust")) == "causal-corrected"
    assert set(labels.values()) == {"causal"}


def test_probability_zero_is_an_error_that_names_the_item():
    """An infinite surprisal would make every curve of its word meaningless."""
    task = get_task("aoa")
    item = task.items(find_data(task.card, task.home, "mini", None))[0]
    with pytest.raises(ModelError, match="probability 0") as caught:
        task.outcomes([item], [[Row((-1.0, float("-inf")))]], PROTOCOLS["robust"])
    assert item.id in str(caught.value)
    assert task.outcomes([item], [[Row((-1.0, float("-inf")))]], PROTOCOLS["babylm-2026"])[0].value == float("inf")
