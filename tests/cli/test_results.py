"""babyeval results: what is stored, scores of subsets, and learning curves whose numbers are the records'."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pytest

from babyeval.records import ModelInfo, RunReport, Score, TaskResult
from babyeval.registry import get_task
from babyeval.store import ResultStore
from cli.support import assert_refused, inside, records_in

POINT = {
    *("line", "model", "revision", "condition", "train_seed", "digest", "backend", "words_seen", "same_weights_as"),
    *Score.model_fields,
}


@pytest.fixture(scope="module")
def place(tiny_folder, tmp_path_factory) -> Path:
    """Two sweeps in one results folder: ``a`` of three checkpoints, ``b`` of two."""
    root = tmp_path_factory.mktemp("results")
    for name, revision, seed in (("a", "1M", 0), ("a", "10M", 1), ("a", "2M", 2), ("b", "1M", 3), ("b", "10M", 4)):
        shutil.copytree(tiny_folder("llama", "bos", seed=seed), root / name / f"chck_{revision}")
    done = inside(
        "run", "--model", "a", "--model", "b", "--revisions", "*", "--split", "mini", "--tasks", "blimp,wug_adj", cwd=root
    )
    assert done.code == 0, done.err
    return root


@pytest.fixture(scope="module")
def records(place) -> list[TaskResult]:
    store = ResultStore(place / "results")
    return [store.read(path) for path in records_in(store.root)]


def score(value: float | None = 60.0, **changes) -> Score:
    half = None if value is None else 5.0
    interval = {"ci_low": None, "ci_high": None} if value is None else {"ci_low": value - 5, "ci_high": value + 5}
    about = {"metric": "accuracy", "unit": "percent", "estimator": "macro", "se_method": "stratified", "chance": 50.0}
    return Score(**{**about, "value": value, "n": 10, "n_clusters": 10, "se": half, **interval, **changes})


def store_one(folder: Path, revision: str, words: int | None, *scores: Score, name="m", weights=None, **changes) -> None:
    """Writes a record that says so."""
    model = ModelInfo(
        name=name, source=name, revision=revision, digest=name + revision, weights=weights,
        parameters=1, kind="causal", words_seen=words,
    )  # fmt: skip
    made = scores or (score(),)
    about = {"status": "done", "protocol": "robust", "split": "full", "backend": "causal", **changes}
    result = TaskResult(task=get_task("blimp").card, model=model, headlines=made, scores=made, **about)
    ResultStore(folder).write(result, None)


def test_list_shows_what_was_evaluated_on_what(place, records):
    done = inside("results", "list", cwd=place)
    assert done.code == 0, done.err
    rows = [line.split() for line in done.out.splitlines() if "chck_" in line]
    assert [row[:3] for row in rows] == [
        ["a", "chck_1M", "1M"], ["a", "chck_2M", "2M"], ["a", "chck_10M", "10M"],
        ["b", "chck_1M", "1M"], ["b", "chck_10M", "10M"],
    ]  # fmt: skip
    assert {" ".join(row[3:]) for row in rows} == {"mini causal robust blimp, wug_adj"}
    listed = inside("results", "list", "results", "--json", cwd=place).json
    assert len(listed) == len(records) == 10
    for one in listed:
        assert (place / "results" / one["folder"] / "result.json").is_file()
        assert (one["status"], one["imported"]) == ("done", False)


def test_show_is_the_table_of_the_run(place, records):
    done = inside("results", "show", "--task", "blimp", "--model", "a", cwd=place)
    assert done.code == 0, done.err
    assert "a, 3 revisions, scored as causal" in done.out
    assert "wug_adj" not in done.out
    for record in records:
        if (record.model.name, record.task.name) == ("a", "blimp"):
            cells = f"{record.headline.value:.2f} {record.headline.ci_low:.2f} to {record.headline.ci_high:.2f}"
            assert cells in " ".join(done.out.split())
    report = RunReport.model_validate_json(inside("results", "show", "--json", cwd=place).out, extra="ignore")
    assert sorted(r.model_dump_json() for r in report.results) == sorted(r.model_dump_json() for r in records)


def test_show_of_one_revision(place):
    done = inside("results", "show", "--model", "b", "--revisions", "*_1M", cwd=place)
    assert "b (chck_1M), scored as causal" in done.out


def test_scores_of_each_subset(place, records):
    (record,) = (r for r in records if (r.model.name, r.model.revision, r.task.name) == ("b", "chck_10M", "blimp"))
    expected = {s.subset: s.value for s in record.scores if s.group == "uid"}
    assert len(expected) > 5
    choice = ("--model", "b", "--revisions", "chck_10M", "--task", "blimp", "--by", "uid")
    found = inside("results", "show", *choice, "--json", cwd=place).json
    assert {s["subset"]: s["value"] for s in found} == expected
    table = inside("results", "show", *choice, cwd=place)
    for name, value in expected.items():
        assert any(name in line and f"{value:.2f}" in line for line in table.out.splitlines())


def test_curve_has_the_records_numbers_in_the_order_of_training(place, records):
    made = inside("results", "curve", "--task", "blimp", "--json", cwd=place).json
    assert set(made) == {"schema_version", "task", "protocol", "split", "points"}
    assert (made["task"], made["protocol"], made["split"]) == ("blimp", "robust", "mini")
    assert [(p["line"], p["words_seen"]) for p in made["points"]] == [
        ("a", 10**6), ("a", 2 * 10**6), ("a", 10**7), ("b", 10**6), ("b", 10**7),
    ]  # fmt: skip
    by_model = {(r.model.name, r.model.revision): r for r in records if r.task.name == "blimp"}
    for point in made["points"]:
        assert set(point) == POINT
        headline = by_model[point["model"], point["revision"]].headline
        assert {key: point[key] for key in Score.model_fields} == headline.model_dump(mode="json")
        assert point["same_weights_as"] == []


def test_curve_as_csv_and_as_a_table(place):
    points = inside("results", "curve", "--task", "wug_adj", "--json", cwd=place).json["points"]
    rows = list(csv.DictReader(io.StringIO(inside("results", "curve", "--task", "wug_adj", "--csv", cwd=place).out)))
    assert [(r["line"], int(r["words_seen"]), float(r["value"])) for r in rows] == [
        (p["line"], p["words_seen"], p["value"]) for p in points
    ]
    assert {(r["task"], r["protocol"], r["split"]) for r in rows} == {("wug_adj", "robust", "mini")}
    table = inside("results", "curve", "--task", "wug_adj", cwd=place).out
    for point in points:
        cells = f"{point['value']:.2f} {point['ci_low']:.2f} to {point['ci_high']:.2f}"
        assert cells in " ".join(table.split())


@pytest.mark.parametrize(("name", "begins"), [("c.svg", b"<?xml"), ("new/c.png", b"\x89PNG"), ("c.pdf", b"%PDF")])
def test_the_figure_is_written(place, tmp_path, name, begins):
    done = inside("results", "curve", place / "results", "--task", "blimp", "--figure", name, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    drawn = (tmp_path / name).read_bytes()
    assert drawn.startswith(begins)
    assert len(drawn) > 5000
    assert len(done.json["points"]) == 5, "the figure comes beside the numbers"
    assert [path.name for path in (tmp_path / name).parent.iterdir() if "draft" in path.name] == []


def test_the_figure_names_lines_chance_and_axes(place, tmp_path):
    args = ("results", "curve", place / "results", "--task", "blimp", "--figure")
    assert inside(*args, "one.svg", cwd=tmp_path).code == inside(*args, "two.svg", cwd=tmp_path).code == 0
    drawn = (tmp_path / "one.svg").read_text()
    for text in (">a<", ">b<", ">chance<", ">words seen<", ">accuracy (percent)<", ">1M<", ">2M<", ">10M<"):
        assert text in drawn
    assert drawn == (tmp_path / "two.svg").read_text(), "the same records give the same file"


def test_an_untrained_checkpoint_and_undefined_scores_are_drawn(tmp_path):
    store_one(tmp_path / "r", "chck_0M", 0)
    store_one(tmp_path / "r", "chck_1M", 10**6, score(None, note="one answer only"))
    store_one(tmp_path / "r", "chck_2M", 2 * 10**6, score(70.0, ci_low=None, ci_high=None, se=None, note="no variation"))
    done = inside("results", "curve", "r", "--task", "blimp", "--json", "--figure", "c.svg", cwd=tmp_path)
    assert done.code == 0, done.err
    assert [point["value"] for point in done.json["points"]] == [60.0, None, 70.0]
    assert ">0<" in (tmp_path / "c.svg").read_text()


def test_records_without_words_seen_are_named(tmp_path):
    store_one(tmp_path / "r", "chck_1M", 10**6)
    store_one(tmp_path / "r", "main", None)
    done = inside("results", "curve", "r", "--task", "blimp", "--figure", "c.svg", cwd=tmp_path)
    assert_refused(done, 3, "1 of 2 records do not say how many words", "m (main)", "--revisions")
    assert not (tmp_path / "c.svg").exists()
    assert inside("results", "curve", "r", "--task", "blimp", "--revisions", "chck_*", cwd=tmp_path).code == 0


def test_revisions_with_equal_weights_are_said(tmp_path):
    for revision, words, weights in (("chck_1M", 10**6, "w"), ("chck_2M", 2 * 10**6, "w"), ("chck_3M", 3 * 10**6, "v")):
        store_one(tmp_path / "r", revision, words, weights=weights)
    done = inside("results", "curve", "r", "--task", "blimp", cwd=tmp_path)
    assert "m: chck_1M and chck_2M have the same weights." in done.out
    points = inside("results", "curve", "r", "--task", "blimp", "--json", cwd=tmp_path).json["points"]
    assert [point["same_weights_as"] for point in points] == [["chck_2M"], ["chck_1M"], []]


def test_several_headlines_and_backends_are_lines_of_their_own(tmp_path):
    two = (score(1.0, subset="eye_tracking"), score(2.0, subset="self_paced"))
    store_one(tmp_path / "r", "chck_1M", 10**6, *two)
    store_one(tmp_path / "r", "chck_1M", 10**6, *two, backend="mlm")
    points = inside("results", "curve", "r", "--task", "blimp", "--json", cwd=tmp_path).json["points"]
    assert [(p["line"], p["value"]) for p in points] == [
        ("m, causal, eye_tracking", 1.0), ("m, causal, self_paced", 2.0), ("m, mlm, eye_tracking", 1.0), ("m, mlm, self_paced", 2.0),
    ]  # fmt: skip


def test_the_largest_split_of_all_and_the_robust_protocol_are_taken(tmp_path):
    folder = tmp_path / "r"
    for revision, words in (("chck_1M", 10**6), ("chck_2M", 2 * 10**6)):
        store_one(folder, revision, words, split="fast")
        store_one(folder, revision, words, split="full@200")
        store_one(folder, revision, words, score(10.0), split="fast", protocol="babylm-2025")
    store_one(folder, "chck_1M", 10**6, split="full")
    made = inside("results", "curve", "r", "--task", "blimp", "--json", cwd=tmp_path).json
    assert (made["split"], made["protocol"], len(made["points"])) == ("fast", "robust", 2)
    official = inside("results", "curve", "r", "--task", "blimp", "--protocol", "babylm-2025", "--json", cwd=tmp_path).json
    assert [point["value"] for point in official["points"]] == [10.0, 10.0]
    limited = inside("results", "curve", "r", "--task", "blimp", "--split", "full@200", "--json", cwd=tmp_path).json
    assert len(limited["points"]) == 2


def test_a_choice_that_is_not_ours_is_asked_for(tmp_path):
    store_one(tmp_path / "splits", "chck_1M", 10**6, split="full")
    store_one(tmp_path / "splits", "chck_2M", 2 * 10**6, split="fast")
    done = inside("results", "curve", "splits", "--task", "blimp", cwd=tmp_path)
    assert_refused(done, 2, "No split was evaluated on all", "fast: 1 of 2, full: 1 of 2", "--split")
    for protocol in ("babylm-2025", "babylm-2026"):
        store_one(tmp_path / "protocols", "chck_1M", 10**6, protocol=protocol)
    done = inside("results", "curve", "protocols", "--task", "blimp", cwd=tmp_path)
    assert_refused(done, 2, "several protocols", "babylm-2025, babylm-2026", "--protocol")


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("curve",), 2, ("The task is not named", "--task")),
        (("curve", "--task", "blmp"), 3, ("--task blmp", "there is blimp, wug_adj")),
        (("curve", "--task", "blimp", "--csv", "--json"), 2, ("two formats",)),
        (("curve", "--task", "blimp", "--figure", "c.jpeg"), 2, ("'c.jpeg'", ".svg, .png, .pdf")),
        (("curve", "nowhere", "--task", "blimp"), 3, ("no results folder 'nowhere'",)),
        (("show", "--model", "c"), 3, ("--model c", "there is a, b")),
        (("show", "--by", "colour"), 2, ("group 'colour'", "field, linguistics_term, uid")),
        (("list", "a"), 3, ("holds no record",)),
    ],
)
def test_wrong_wishes_say_what_there_is(place, args, code, words):
    done = inside("results", *args, cwd=place)
    assert_refused(done, code, *words)
    assert done.out == ""


def test_a_damaged_record_is_left_out_and_named(tmp_path):
    folder = tmp_path / "r"
    store_one(folder, "chck_1M", 10**6)
    store_one(folder, "chck_2M", 2 * 10**6)
    first, second = records_in(folder)
    first.write_text("{")
    for args in (("show", "--json"), ("show",), ("curve", "--task", "blimp", "--json"), ("list",)):
        done = inside("results", *args[:1], "r", *args[1:], cwd=tmp_path)
        assert done.code == 0, done.err
        assert "chck_2M" in done.out
        assert "chck_1M" not in done.out
        assert done.err.count("A record cannot be read") == 1
        assert first.relative_to(tmp_path).as_posix() in done.err
    second.write_text("{")
    for args in (("show",), ("curve", "--task", "blimp")):
        refused = inside("results", *args[:1], "r", *args[1:], cwd=tmp_path)
        assert_refused(refused, 3, "holds no record that can be read")
        assert refused.err.count("A record cannot be read") == 2


def test_of_many_damaged_records_the_list_alone_names_all(tmp_path):
    for words in range(7):
        store_one(tmp_path / "r", f"chck_{words + 1}M", (words + 1) * 10**6)
    *broken, _ = records_in(tmp_path / "r")
    for path in broken:
        path.write_text("{")
    for args in (("show",), ("curve", "--task", "blimp")):
        done = inside("results", *args[:1], "r", *args[1:], cwd=tmp_path)
        assert (done.code, done.err.count("A record cannot be read")) == (0, 5)
        assert "Note: and 1 more damaged record ('babyeval results list' names all)." in done.err
    listed = inside("results", "list", "r", cwd=tmp_path)
    assert [path.relative_to(tmp_path).as_posix() in listed.err for path in broken] == [True] * 6
    assert "more damaged" not in listed.err


def test_a_figure_that_cannot_be_written_is_an_error(place, tmp_path):
    (tmp_path / "file").write_text("")
    done = inside("results", "curve", place / "results", "--task", "blimp", "--figure", "file/c.svg", cwd=tmp_path)
    assert_refused(done, 3, "Could not write")


def test_json_is_all_that_stands_on_stdout(place):
    for args in (("list",), ("show",), ("show", "--by", "uid"), ("curve", "--task", "blimp")):
        json.loads(inside("results", *args, "--json", cwd=place).out)
