"""The fast scores of a sweep: their form and order, what is taken for a checkpoint, and what happens where some lack."""

from __future__ import annotations

import json
import math
import shutil

import pandas as pd
import pytest
from cli.support import assert_refused, inside
from scipy.stats import spearmanr

from babyeval.official.fast import fast_scores
from babyeval.official.steps import by_step, track_of
from babyeval.store import ResultStore
from export.official_files import YEARS, carried_parts
from export.sweep_data import KEYS, STEPS_SMALL, STEPS_STRICT, WHOLE, WITH_FAST_SET, write_checkpoint
from export.test_submission import exported, keep
from export.validator import validate, validate_fast

ALL_TASKS = {year: [*WITH_FAST_SET, *WHOLE[year], "reading"] for year in YEARS}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, fast_data):
    """For each year the folder and the fast records of one checkpoint."""
    made = {}
    for year in YEARS:
        root = tmp_path_factory.mktemp("checkpoint")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ResultStore, "require_same_model", lambda *_: None)  # it reads every record of the folder
            made[year] = root, write_checkpoint(root, year, fast_data, "chck_1M")
    return made


def sweep(records, steps, words=None):
    """The same records under other revisions."""
    return [
        record.model_copy(update={"model": record.model.model_copy(update={"revision": step, "words_seen": words})})
        for step in steps
        for record in records.values()
    ]


@pytest.mark.parametrize("year", YEARS)
def test_scores_are_fractions_of_what_was_predicted(year, checkpoint, fast_data):
    root, records = checkpoint[year]
    content = fast_scores(sweep(records, ["chck_1M"]), year, "strict-small").content
    assert list(content) == KEYS[year]
    validate_fast(content, year, fast_data, "strict-small", {"chck_1M"})
    for key, task in zip(KEYS[year], ALL_TASKS[year], strict=True):
        if task == "reading":
            assert content[key][0] == {"spr": pytest.approx(-0.01), "rt": pytest.approx(0.02)}
            continue
        table = pd.read_parquet(next(root.glob(f"*/chck_1M/{task}/*/{year}/items.parquet")))
        if task.startswith("wug"):
            expected = {table["subset"][0]: spearmanr(table["value"], table["gold"])[0]}
        else:
            right = table["prediction"] == table["gold"]
            expected = {key: right.mean()} if task.startswith("global") else right.groupby(table["subset"]).mean().to_dict()
        assert content[key][0] == pytest.approx(expected), key
        assert content[key][1:] == [None] * 18


def test_checkpoints_stand_in_the_official_order(checkpoint):
    _, records = checkpoint["babylm-2026"]
    for track, steps in (("strict-small", STEPS_SMALL), ("strict", STEPS_STRICT)):
        numbered = []
        for i, step in enumerate(steps):
            reading = records["reading"]
            heads = tuple(score.model_copy(update={"value": float(i)}) for score in reading.headlines)
            numbered += sweep({**records, "reading": reading.model_copy(update={"headlines": heads})}, [step])
        made = fast_scores(reversed(numbered), "babylm-2026", track)
        assert (made.problem, made.tasks) == (None, ())
        assert [entry["rt"] for entry in made.content["reading"]] == pytest.approx([i / 100 for i in range(len(steps))])


def test_a_checkpoint_is_known_by_its_name_else_by_its_words(checkpoint):
    _, records = checkpoint["babylm-2026"]
    million = 10**6
    named = sweep(records, ["chck_2M"], 2_100_000)
    others = sweep(records, ["step-b", "step-a"], 2 * million)
    assert {r.model.revision for r in by_step(others + named)["chck_2M"].values()} == {"chck_2M"}
    assert {r.model.revision for r in by_step(others)["chck_2M"].values()} == {"step-a"}
    assert by_step(sweep(records, ["main"], 100 * million) + sweep(records, ["early"], 5) + sweep(records, ["odd"])) == {}


def test_the_track_is_told_by_the_checkpoints_that_there_are():
    assert track_of(STEPS_SMALL, None) == track_of([], None) == "strict-small"
    assert track_of(STEPS_STRICT, None) == track_of(["chck_200M"], None) == "strict"
    assert track_of(STEPS_STRICT, "strict-small") == "strict-small"


def test_only_records_of_the_official_fast_sets_count(checkpoint):
    year, (_, records) = "babylm-2026", checkpoint["babylm-2026"]
    refused = [
        records["blimp"].model_copy(update={"split": "full"}),
        records["ewok"].model_copy(update={"split": "fast@40"}),
        records["blimp_supplement"].model_copy(update={"items": None}),
        records["reading"].model_copy(update={"status": "failed"}),
    ]
    made = fast_scores(refused, year, "strict-small")
    assert made.empty
    assert set(made.tasks) == set(ALL_TASKS[year])


def test_wrong_sizes_are_gaps_and_are_named(checkpoint):
    year, (_, records) = "babylm-2026", checkpoint["babylm-2026"]
    ewok, reading = records["ewok"], records["reading"]
    fewer = tuple(s.model_copy(update={"n": 5}) if s.subset == "social-relations" else s for s in ewok.scores)
    spoilt = {
        **records,
        "ewok": ewok.model_copy(update={"scores": fewer}),
        "reading": reading.model_copy(update={"items": reading.items.model_copy(update={"rows": 13})}),
    }
    results = sweep(records, STEPS_SMALL[1:]) + sweep(spoilt, STEPS_SMALL[:1])
    made = fast_scores(results, year, "strict-small")
    assert (made.content["ewok"][0], made.content["reading"][0], made.tasks) == (None, None, ("ewok", "reading"))
    assert made.problem == (
        "1 of the 19 checkpoints of strict-small lack scores: chck_1M (ewok, reading); "
        "chck_1M, ewok: 'social-relations' holds 5 predictions, and 6 are expected; "
        "chck_1M, reading: it holds 13 items, and 14 are expected"
    )


def test_an_undefined_correlation_is_nan_as_officially(checkpoint):
    year, (_, records) = "babylm-2025", checkpoint["babylm-2025"]
    head = records["wug_past"].headlines[0].model_copy(update={"value": None})
    results = sweep({"wug_past": records["wug_past"].model_copy(update={"headlines": (head,)})}, ["chck_1M"])
    assert math.isnan(fast_scores(results, year, "strict-small").content["wug_past"][0]["wug_past_tense"])


def place_checkpoints(root, checkpoint, year, steps) -> None:
    """Copies of one checkpoint's folder under other names, each with a number of its own."""
    source, _ = checkpoint[year]
    for step in steps:
        shutil.copytree(source / "guesser" / "chck_1M", root / "guesser" / step)
        for path in (root / "guesser" / step).rglob("result.json"):
            content = json.loads(path.read_text())
            content["model"]["revision"] = step
            path.write_text(json.dumps(content))


@pytest.mark.parametrize("year", YEARS)
def test_a_sweep_completes_the_submission_of_main(year, results, checkpoint, fast_data, tmp_path):
    """Its records on whole sets do not make its checkpoints rivals of ``main``."""
    place_checkpoints(results[year], checkpoint, year, STEPS_SMALL)
    parts = carried_parts(year)
    keep(results[year], year, {key: part for key, part in parts.items() if key != "fast_eval_results"})
    command = ("export", results[year], "--format", year, "--data-dir", fast_data)
    done = inside(*command, cwd=tmp_path)
    content = exported(done)
    assert done.err == ""
    assert validate(content, year, fast_data) == set()
    validate_fast(content["fast_eval_results"], year, fast_data, "strict-small")
    keep(results[year], year, {"fast_eval_results": parts["fast_eval_results"]})  # what was imported yields to records
    assert exported(inside(*command, cwd=tmp_path)) == content
    assert_refused(inside(*command, "--track", "small", cwd=tmp_path), 2, "'small' is no track", "strict-small or strict")


def test_2026_leaves_gaps_null_and_2025_takes_no_gaps(results, checkpoint, fast_data, tmp_path):
    for year in YEARS:
        place_checkpoints(results[year], checkpoint, year, STEPS_SMALL)
        keep(results[year], year, {key: part for key, part in carried_parts(year).items() if key != "fast_eval_results"})
        shutil.rmtree(results[year] / "guesser/chck_7M")
        shutil.rmtree(results[year] / "guesser/chck_9M/ewok")
        shutil.rmtree(results[year] / "guesser/chck_20M/ewok")
    command = ("export", results["babylm-2026"], "--format", "babylm-2026", "--data-dir", fast_data)
    done = inside(*command, cwd=tmp_path)
    content = exported(done)["fast_eval_results"]
    validate_fast(
        content, "babylm-2026", fast_data, "strict-small", set(STEPS_SMALL) - {"chck_7M"}, {"ewok": {"chck_9M", "chck_20M"}}
    )
    lacking = "3 of the 19 checkpoints of strict-small lack scores: chck_7M; chck_9M, chck_20M (ewok)"
    assert f"Incomplete: fast_eval_results: {lacking} (taken for the track strict-small: --track says otherwise)." in done.err
    run = "babyeval run --model guesser=models/guesser --revisions 'chck_*' --tasks blimp,"
    assert run in done.err
    longer = inside(*command, "--track", "strict", cwd=tmp_path)
    assert len(exported(longer)["fast_eval_results"]["blimp"]) == 28
    assert "fast_eval_results: 12 of the 28 checkpoints of strict lack scores: chck_7M, chck_200M, " in longer.err
    done = inside("export", results["babylm-2025"], "--format", "babylm-2025", "--data-dir", fast_data, cwd=tmp_path)
    assert_refused(done, 3, lacking, run)


def test_imported_scores_fill_in_for_an_incomplete_sweep(results, checkpoint, fast_data, tmp_path):
    year = "babylm-2025"
    place_checkpoints(results[year], checkpoint, year, STEPS_SMALL[:3])
    keep(results[year], year, carried_parts(year))
    command = ("export", results[year], "--format", year, "--data-dir", fast_data)
    assert exported(inside(*command, cwd=tmp_path))["fast_eval_results"] == carried_parts(year)["fast_eval_results"]
    done = inside(*command, "--track", "strict", cwd=tmp_path)
    assert_refused(done, 3, "'blimp' holds 19 checkpoints, and 28 are expected")
