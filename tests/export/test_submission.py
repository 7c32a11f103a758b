"""The submission file: its form, its texts, what it refuses, and scores that a server would compute from it."""

from __future__ import annotations

import json
import shutil

import pandas as pd
import pytest
from cli.support import assert_refused, files_in, inside

from babyeval.official.carried import Carried, update_carried
from babyeval.official.parts import year_parts
from babyeval.records import CheckpointRef, TaskResult, load_result
from babyeval.registry import get_task
from babyeval.store import ResultStore
from export.official_data import TASKS, make_model, write_data, write_record, write_records
from export.official_files import carried_parts, write_json, write_tree
from export.validator import KEYS, official_score, validate

YEARS = ("babylm-2025", "babylm-2026")


def keep(root, year, parts, *, backend="causal", model="guesser", revision="main"):
    """Parts as an import keeps them."""
    update_carried(root, Carried(model, revision, year, backend), parts, {}, frozenset())


def exported(done):
    assert done.code == 0, done.err
    return json.loads(done.out)


def headline(root, task):
    (path,) = root.glob(f"*/*/{task}/full-*/*/result.json")
    return load_result(path.read_text()).headline.value


@pytest.mark.parametrize("year", YEARS)
def test_whole_submission_has_the_official_form_and_gives_the_records_scores(year, results, data, tmp_path):
    keep(results[year], year, carried_parts(year))
    done = inside("export", results[year], "--format", year, "--data-dir", data, cwd=tmp_path)
    content = exported(done)
    assert done.err == ""
    assert validate(content, year, data) == set()
    for part in year_parts(year):
        if part.task:
            expected = official_score(part.key, content[part.key], year, data)
            assert headline(results[year], part.task) == pytest.approx(expected, abs=1e-9), part.key
    for key, value in carried_parts(year).items():
        assert json.dumps(content[key]) == json.dumps(value), key  # as text, for NaN equals nothing


@pytest.mark.parametrize("year", YEARS)
def test_texts_are_what_the_year_writes(year, results, data, tmp_path):
    keep(results[year], year, carried_parts(year))
    content = exported(inside("export", results[year], "--format", year, "--data-dir", data, cwd=tmp_path))
    texts = {key: [e["pred"] for block in content[key].values() for e in block["predictions"]] for key in ("ewok", "comps")}
    assert all(text.startswith("A ") and " can " in text for text in texts["comps"])
    if year == "babylm-2025":
        assert all(text.startswith(" It is ") for text in texts["ewok"])  # a completion, with its space
    else:
        assert all(text.startswith("The ") and " It is " in text for text in texts["ewok"])
        piqa = content["global_piqa_parallel"]
        assert all(
            len(block["predictions"]) == 1 and block["predictions"][0]["pred"].startswith(" use ") for block in piqa.values()
        )
        kept = [e["pred"] for block in content["entity_tracking_filtered"].values() for e in block["predictions"]]
        assert not any("nothing" in text for text in kept)


def test_2026_leaves_null_what_is_missing_and_says_what_makes_it(results, data, tmp_path):
    shutil.rmtree(results["babylm-2026"] / "guesser/main/comps")
    done = inside("export", results["babylm-2026"], "--format", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    assert validate(exported(done), "babylm-2026", data) == {
        *("comps", "reading", "aoa_surprisals", "aoa", "glue", "fast_eval_results")
    }
    lines = done.err.splitlines()
    assert sum(line.startswith("Left null: ") for line in lines) == 6
    assert "Left null: comps: not evaluated." in lines
    run, sweep, bring = (line for line in lines if line.startswith("What next: "))
    assert "babyeval run --model guesser=models/guesser --tasks comps,reading,finetune --protocol babylm-2026 --out" in run
    swept = "--revisions 'chck_*' --tasks zero-shot --split fast --protocol babylm-2026 --out"
    assert f"babyeval run --model guesser=models/guesser {swept}" in sweep
    assert "babyeval import PATH --protocol babylm-2026 --model guesser --out" in bring
    assert all(f" --data-dir {data}" in line for line in (run, sweep, bring))


def test_imported_records_alone_are_completed_by_one_import(submission, data, tmp_path):
    """What was computed here cannot join them under their name, so no run is advised."""
    write_tree(tmp_path / "tree", {key: submission["babylm-2026"][key] for key in ("ewok", "comps")})
    given = ("--protocol", "babylm-2026", "--data-dir", data, "--out", "out")
    assert inside("import", "tree", *given, cwd=tmp_path).code == 0
    done = inside("export", "out", "--format", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    assert "Left null: blimp: not evaluated." in done.err
    (line,) = (line for line in done.err.splitlines() if line.startswith("What next: "))
    assert f"babyeval import PATH --protocol babylm-2026 --model guesser --out out --data-dir {data} (" in line


def test_kept_parts_alone_are_joined_by_a_run_under_their_name(data, tmp_path):
    keep(tmp_path / "out", "babylm-2026", {"reading": carried_parts("babylm-2026")["reading"]}, revision="step")
    done = inside("export", "out", "--format", "babylm-2026", cwd=tmp_path)
    run = next(line for line in done.err.splitlines() if line.startswith("What next: "))
    assert "babyeval run --model guesser=PATH@step --tasks blimp," in run


def test_2025_writes_nothing_unless_everything_is_there(results, data, tmp_path):
    target = tmp_path / "submission.json"
    done = inside("export", results["babylm-2025"], "--format", "babylm-2025", "--data-dir", data, "--out", target, cwd=tmp_path)
    assert_refused(done, 3, "incomplete", "reading", "aoa", "glue", "fast_eval_results")
    assert not target.exists()
    assert done.out == ""


@pytest.mark.parametrize("year", YEARS)
def test_wrong_size_is_named_and_never_exported(year, data, tmp_path):
    other = shutil.copytree(data, tmp_path / "shorter")
    path = other / "full_eval/supplement_filtered/hypernym.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))
    write_records(tmp_path / "results", year, other)
    keep(tmp_path / "results", year, carried_parts(year))
    done = inside("export", "results", "--format", year, "--data-dir", other, cwd=tmp_path)
    assert "blimp_supplement: 'hypernym' holds 9 predictions, and 10 are expected" in done.err
    if year == "babylm-2025":
        assert_refused(done, 3, "incomplete")
    else:
        assert validate(exported(done), year, other) == {"blimp_supplement"}


@pytest.mark.parametrize(
    ("key", "spoil", "words"),
    [
        ("reading", lambda part: part["reading"]["predictions"].pop(), "13 predictions, and 14 are expected"),
        ("aoa_surprisals", lambda part: part["results"].pop(), "'chck_100M' holds 4 rows, and 5"),
        ("aoa_surprisals", lambda part: part.update(results=part["results"][5:]), "18 checkpoints, and 19 or 28"),
        ("aoa", lambda part: part.update(aoa="high"), "no number"),
        ("fast_eval_results", lambda part: part["ewok"].pop(), "'ewok' holds 18 checkpoints"),
        ("fast_eval_results", lambda part: part.pop("reading"), "'reading' holds 0 checkpoints"),
        ("reading", lambda part: part.update(reading=3), "not the official form"),
    ],
)
def test_imported_parts_are_checked_too(key, spoil, words, results, data, tmp_path):
    parts = carried_parts("babylm-2026")
    spoil(parts[key])
    keep(results["babylm-2026"], "babylm-2026", parts)
    done = inside("export", results["babylm-2026"], "--format", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    assert validate(exported(done), "babylm-2026", data) == {key}
    assert f"Left null: {key}: " in done.err
    assert words in done.err


def test_incomplete_glue_keeps_what_is_right_in_2026(results, data, tmp_path):
    parts = carried_parts("babylm-2026")
    parts["glue"]["mnli"]["predictions"].pop()
    del parts["glue"]["wsc"]
    keep(results["babylm-2026"], "babylm-2026", {key: part for key, part in parts.items() if key != "glue"})
    keep(results["babylm-2026"], "babylm-2026", {"glue": parts["glue"]}, backend="")  # fine-tuning has no backend
    done = inside("export", results["babylm-2026"], "--format", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    assert list(exported(done)["glue"]) == ["boolq", "mrpc", "multirc", "qqp", "rte"]
    assert "Incomplete: glue: 'mnli' holds 29 predictions, and 30 are expected; wsc: not evaluated" in done.err


def test_limited_and_mini_records_are_never_exported(data, tmp_path):
    write_record(tmp_path / "results", "blimp_supplement", "babylm-2026", data, label="full@40")
    write_record(tmp_path / "results", "wug_adj", "babylm-2025", data, label="mini")
    for year, label in (("babylm-2026", "full@40"), ("babylm-2025", "mini")):
        done = inside("export", "results", "--format", year, "--data-dir", data, cwd=tmp_path)
        assert_refused(done, 3, f"on {label} only", "--limit")


def test_other_protocols_records_are_not_taken_for_this_years(data, tmp_path):
    write_record(tmp_path / "results", "blimp_supplement", "robust", data)
    done = inside("export", "results", "--format", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    command = "babyeval run --model guesser=models/guesser --tasks zero-shot --protocol babylm-2026 --out results"
    assert_refused(done, 3, "no record of babylm-2026, only of robust", command)


def test_several_models_revisions_or_backends_have_to_be_chosen(data, tmp_path):
    root = tmp_path / "results"
    for number, (name, revision, backend) in enumerate(
        [("a", "main", "causal"), ("b", "main", "causal"), ("b", "step 2", "causal"), ("b", "step 2", "mntp")]
    ):
        write_record(root, "wug_past", "robust", data, model=make_model(name, revision), backend=backend)
        for task in ("blimp_supplement", "ewok"):
            write_record(root, task, "babylm-2026", data, model=make_model(name, revision), backend=backend, seed=number)
    common = ("export", root, "--format", "babylm-2026", "--data-dir", data)
    assert_refused(inside(*common, cwd=tmp_path), 2, "one model, and the folder holds 2", "a, b", "--model")
    assert_refused(inside(*common, "--model", "c", cwd=tmp_path), 2, "no model 'c'", "a, b")
    assert_refused(inside(*common, "--model", "b", cwd=tmp_path), 2, "one revision", "main, step 2", "--revision")
    chosen = (*common, "--model", "b", "--revision", "step 2")
    assert_refused(inside(*chosen, cwd=tmp_path), 2, "one backend", "causal, mntp", "--backend")
    done = inside(*chosen, "--backend", "mntp", "--out", tmp_path, cwd=tmp_path)
    assert done.code == 0, done.err
    content = json.loads((tmp_path / "all_full_preds_and_fast_scores_mntp.json").read_text())
    for key in ("blimp_supplement", "ewok"):
        (path,) = root.glob(f"b/step*/{key}/full-mntp/*/result.json")
        expected = load_result(path.read_text()).headline.value
        assert official_score(key, content[key], "babylm-2026", data) == pytest.approx(expected, abs=1e-9)


def test_word_masking_is_no_official_scoring(data, tmp_path):
    write_record(tmp_path / "results", "ewok", "babylm-2026", data, backend="mlm-word-l2r")
    done = inside("export", "results", "--format", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    assert_refused(done, 3, "official scoring (mlm-word-l2r)")


def test_data_has_to_be_there_and_the_same(results, data, tmp_path):
    command = ("export", results["babylm-2026"], "--format", "babylm-2026")
    done = inside(*command, cwd=tmp_path)
    assert_refused(done, 3, "The data of 'blimp'", "--data-dir")
    assert "--split" not in done.err, "a submission takes the full split"
    assert_refused(inside(*command, "--data-dir", "nowhere", cwd=tmp_path), 3, "The data folder 'nowhere' does not exist")
    other = shutil.copytree(data, tmp_path / "other")
    path = other / "full_eval/ewok_filtered/physical-dynamics.jsonl"
    path.write_text(path.read_text().replace("otter", "badger"))
    done = inside(*command, "--data-dir", other, "--out", "x.json", cwd=tmp_path)
    assert_refused(done, 1, "The data of 'ewok' is not what its record was made from", "digest", "--data-dir")
    assert not (tmp_path / "x.json").exists()


@pytest.mark.parametrize("content", [None, b"no table"])
def test_damaged_table_is_an_error_not_a_gap(content, results, data, tmp_path):
    (path,) = results["babylm-2026"].glob("guesser/main/comps/full-causal/*/items.parquet")
    path.unlink()
    if content:
        path.write_bytes(content)
    done = inside("export", results["babylm-2026"], "--format", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    assert_refused(done, 3, "absent or damaged", "comps")


def test_damaged_kept_parts_are_an_error(results, data, tmp_path):
    write_json(results["babylm-2026"] / "guesser/main/imported/babylm-2026-causal.json", {"parts": []})
    done = inside("export", results["babylm-2026"], "--format", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    assert_refused(done, 2, "imported parts cannot be read", "import the results again")


def test_failed_record_says_why_it_is_missing(results, data, tmp_path):
    (path,) = results["babylm-2026"].glob("guesser/main/ewok/full-causal/*/result.json")
    content = {**json.loads(path.read_text()), "status": "failed", "error": "The model gives NaN.\n  Where: there", "items": None}
    path.write_text(json.dumps(content))
    done = inside("export", results["babylm-2026"], "--format", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    assert "ewok" in validate(exported(done), "babylm-2026", data)
    assert "Left null: ewok: failed: The model gives NaN." in done.err
    assert "--tasks ewok,reading,finetune --protocol" in done.err


def test_file_is_replaced_whole_or_not_at_all(results, data, tmp_path, monkeypatch):
    target = tmp_path / "new" / "submission.json"
    command = ("export", results["babylm-2026"], "--format", "babylm-2026", "--data-dir", data, "--out", target)
    assert inside(*command, cwd=tmp_path).code == 0
    whole = target.read_text()
    assert validate(json.loads(whole), "babylm-2026", data)

    def fail(path, *_, **__):
        with path.open("w") as file:
            file.write("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", fail)
    assert_refused(inside(*command, cwd=tmp_path), 3, "No space left on device")
    assert (target.read_text(), files_in(target.parent)) == (whole, ["submission.json"])


def test_ties_have_one_text_in_every_run(data, tmp_path):
    """Equal scores: 2026 shares the credit and names a candidate that depends on the item alone (D3), 2025 the first (D1)."""
    for year in YEARS:
        write_record(tmp_path / "results", "blimp_supplement", year, data, spread=0)
        tables = [pd.read_parquet(path) for path in tmp_path.glob(f"results/**/{year}/items.parquet")]
        assert [(set(table["value"]), set(table["prediction"])) for table in tables] == (
            [({1.0}, {0})] if year == "babylm-2025" else [({0.5}, {0, 1})]
        )
    command = ("export", "results", "--format", "babylm-2026", "--data-dir", data)
    first = exported(inside(*command, cwd=tmp_path))
    assert exported(inside(*command, cwd=tmp_path)) == first
    right = official_score("blimp_supplement", first["blimp_supplement"], "babylm-2026", data)
    assert 0 < right < 100


def test_keys_of_the_parts_are_those_of_section_8():
    assert {year: tuple(part.key for part in year_parts(year)) for year in YEARS} == KEYS
    assert {year: {part.task for part in year_parts(year) if part.task} for year in YEARS} == {
        y: set(t) for y, t in TASKS.items()
    }


@pytest.mark.slow
def test_official_sizes_from_record_to_submission(official_sizes, tmp_path):
    data = write_data(tmp_path / "evaluation_data")
    for year in YEARS:
        write_records(tmp_path / year, year, data)
        done = inside("export", year, "--format", year, "--data-dir", data, "--out", f"{year}.json", cwd=tmp_path)
        if year == "babylm-2025":
            assert_refused(done, 3, "incomplete", "reading: ")
            assert not any(f" {part.key}: " in done.err for part in year_parts(year) if part.task)
            continue
        content = json.loads((tmp_path / f"{year}.json").read_text())
        assert validate(content, year, data) == {"reading", "aoa_surprisals", "aoa", "glue", "fast_eval_results"}
        for part in year_parts(year):
            if part.task:
                expected = official_score(part.key, content[part.key], year, data)
                assert headline(tmp_path / year, part.task) == pytest.approx(expected, abs=1e-9), part.key


def test_the_advised_command_names_a_model_that_can_be_run(data, tmp_path):
    """Beside the finished model lie its checkpoints, and the record of them all, whose revision is a glob and no model."""
    root, run = tmp_path / "results", tmp_path / "run"
    for revision, words in (("chck_1K", 1_000), ("chck_30K", 30_000), ("main", 50_000)):
        (run / revision).mkdir(parents=True)
        source = run if revision != "main" else run / "main"
        model = make_model(revision=revision).model_copy(update={"source": str(source), "words_seen": words})
        write_record(root, "blimp_supplement", "robust", data, model=model)
    ref = CheckpointRef(revision="chck_1K", words_seen=1_000, digest="d", weights=None)
    glob = make_model(revision="chck_*").model_copy(update={"source": str(run)})
    about = {"task": get_task("aoa").card, "model": glob, "checkpoints": (ref,), "protocol": "robust", "backend": "causal"}
    ResultStore(root).write(TaskResult(**about, status="done", split="full"), None)

    def advised(*more: str) -> str:
        done = inside("export", root, "--format", "babylm-2026", "--data-dir", data, *more, cwd=tmp_path)
        assert_refused(done, 3, "no record of babylm-2026", " --tasks zero-shot --protocol babylm-2026 ")
        return done.err

    assert f"--model guesser={run}/main --tasks" in advised()
    assert f"--model guesser={run} --revisions chck_1K --tasks" in advised("--revision", "chck_1K")
    shutil.rmtree(root / "guesser" / "main")
    assert f"--model guesser={run} --revisions chck_30K --tasks" in advised()


def test_main_is_taken_where_the_others_are_checkpoints_off_the_schedule(data, tmp_path):
    root = tmp_path / "results"
    for revision in ("chck_1K", "chck_3K", "main"):
        write_record(root, "blimp_supplement", "babylm-2026", data, model=make_model(revision=revision))
    common = ("export", root, "--format", "babylm-2026", "--data-dir", data)
    done = inside(*common, "--out", "s.json", cwd=tmp_path)
    assert "'guesser' (main)" in done.err
    assert "fast sets (chck_1K, chck_3K stand on no official schedule)" in done.err
    shutil.rmtree(root / "guesser" / "main")
    assert_refused(inside(*common, cwd=tmp_path), 2, "one revision, and the folder holds 2", "official schedule")
