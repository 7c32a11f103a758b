"""Official results into records: scores by hand, round trips, what is kept, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from cli.support import assert_refused, files_in, inside, records_in

import babyeval
from babyeval.data.jsonl import read_jsonl
from babyeval.records import load_result
from babyeval.store import ResultStore
from export.official_data import TASKS, make_model, write_data, write_record, write_records
from export.official_files import (
    OFFICIAL_NAME,
    YEARS,
    carried_parts,
    imported,
    records,
    report_text,
    same,
    surprisals,
    write_json,
    write_tree,
)
from export.validator import official_score


@pytest.mark.parametrize("year", YEARS)
@pytest.mark.parametrize("form", ["tree", "submission"])
def test_round_trip_keeps_scores_and_predictions(year, form, submission, ready, data, tmp_path):
    content = submission[year]
    if form == "tree":
        path = write_tree(tmp_path / "official/results", content).parents[1]
        write_json(path / "guesser" / OFFICIAL_NAME, {"fast_eval_results": content["fast_eval_results"]})
    else:
        path = write_json(tmp_path / "guesser" / OFFICIAL_NAME, content)
    imported(path, year, data, tmp_path)
    made = records(tmp_path)
    assert set(made) == set(TASKS[year])
    for old in ResultStore(ready[year]).results():
        new = made[old.task.name]
        assert (new.status, new.protocol, new.split, new.backend) == ("done", year, "full", "causal")
        key = "entity_tracking_filtered" if (old.task.name, year) == ("entity_tracking", "babylm-2026") else old.task.name
        assert new.headline.value == pytest.approx(official_score(key, content[key], year, data), abs=1e-9)
        values = {(s.metric, s.group, s.subset): (s.value, s.se, s.n) for s in old.scores}
        for score in new.scores:
            assert (score.value, score.se, score.n) == pytest.approx(values[score.metric, score.group, score.subset], abs=1e-9)
    done = inside("export", "imported", "--format", year, "--data-dir", data, cwd=tmp_path)
    assert (done.code, done.err) == (0, "")
    assert same(json.loads(done.out), content)


def test_record_says_that_it_was_imported(submission, data, tmp_path):
    path = write_json(tmp_path / "guesser" / OFFICIAL_NAME, submission["babylm-2026"])
    imported(path, "babylm-2026", data, tmp_path)
    for record in records(tmp_path).values():
        assert (record.model.name, record.model.revision, record.model.kind, record.model.parameters) == (
            "guesser",
            "main",
            "causal",
            None,
        )
        assert not re.fullmatch(r"[0-9a-f]{64}", record.model.digest)  # what a real model's digest looks like
        assert (record.provenance, record.timing, record.counts) == (None, None, None)
        assert (record.imported.format, record.imported.file) == ("submission", str(path))
        assert len(record.imported.sha256) == 64
        assert ResultStore(tmp_path / "imported").items_whole(record)
    table = pd.read_parquet(tmp_path / "imported/guesser/main/comps/full-causal/babylm-2026/items.parquet")
    assert list(table.columns) == ["item_id", "subset", "cluster", "gold", "value", "prediction"]
    frame = babyeval.load_results(tmp_path / "imported")
    assert set(frame[frame["headline"]]["task"]) == set(TASKS["babylm-2026"])


def test_records_from_before_this_field_are_still_read(ready):
    path = next(ready["babylm-2026"].glob("**/result.json"))
    content = json.loads(path.read_text())
    del content["imported"]
    assert load_result(json.dumps(content)).imported is None


@pytest.mark.parametrize("below", ["results", "results/guesser", "results/guesser/main", "results/guesser/main/zero_shot/causal"])
def test_any_folder_of_the_tree_can_be_named(below, submission, data, tmp_path):
    write_tree(tmp_path / "results", submission["babylm-2026"])
    imported(below, "babylm-2026", data, tmp_path)
    assert {(r.model.name, r.model.revision) for r in records(tmp_path).values()} == {("guesser", "main")}
    assert set(records(tmp_path)) == set(TASKS["babylm-2026"])


def test_single_predictions_file_in_and_out_of_its_place(submission, data, tmp_path):
    part = submission["babylm-2026"]["blimp_supplement"]
    write_tree(tmp_path / "results", {"blimp_supplement": part}, model="m", revision="chck_3M", backend="enc_dec_mask")
    place = tmp_path / "results/m/chck_3M/zero_shot/enc_dec_mask/blimp/supplement_filtered/predictions.json"
    imported(place, "babylm-2026", data, tmp_path)
    (record,) = records(tmp_path).values()
    assert (record.model.name, record.model.revision, record.backend) == ("m", "chck_3M", "enc-dec-mask")
    assert (record.model.words_seen, record.model.kind) == (3_000_000, "encoder-decoder")
    loose = write_json(tmp_path / "loose/predictions.json", part)
    assert_refused(inside("import", loose, "--protocol", "babylm-2026", cwd=tmp_path), 2, "how the model was scored", "--backend")
    done = inside("import", loose, "--protocol", "babylm-2026", "--backend", "magic", cwd=tmp_path)
    assert_refused(done, 2, "'magic' is no official way", "enc-dec-prefix")
    imported(loose, "babylm-2026", data, tmp_path, "--backend", "mlm", "--model", "other", "--revision", "r1")
    found = {(r.model.name, r.model.revision, r.backend, r.task.name) for r in ResultStore(tmp_path / "imported").results()}
    assert ("other", "r1", "mlm", "blimp_supplement") in found
    given = ("import", "predictions.json", "--protocol", "babylm-2026", "--revision", "r2", "--backend", "mlm", "--out", "kept")
    done = inside(*given, cwd=loose.parent)  # its folder's name, although the path has none
    assert (done.code, [path.name for path in (loose.parent / "kept").iterdir()]) == (3, ["loose"])
    assert f"babyeval {' '.join(given)} --data-dir DIR" in done.err


def test_several_models_revisions_and_backends_keep_apart(submission, data, tmp_path):
    part = {"wug_past": submission["babylm-2025"]["wug_past"]}
    for model, revision, backend in (("a", "main", "causal"), ("a", "chck_1M", "causal"), ("b", "main", "mntp")):
        write_tree(tmp_path / "results", part, model=model, revision=revision, backend=backend)
    imported("results", "babylm-2025", data, tmp_path)
    found = {(r.model.name, r.model.revision, r.backend) for r in ResultStore(tmp_path / "imported").results()}
    assert found == {("a", "main", "causal"), ("a", "chck_1M", "causal"), ("b", "main", "mntp")}
    done = inside("import", "results", "--protocol", "babylm-2025", "--model", "c", "--data-dir", data, cwd=tmp_path)
    assert_refused(done, 2, "there are 2 models here: a, b", "one by one")


def test_more_files_of_one_model_can_follow_and_none_of_another(submission, ready, data, tmp_path):
    content = submission["babylm-2026"]
    for key in ("ewok", "comps", "ewok"):
        write_tree(tmp_path / f"tree-{key}", {key: content[key]})
        imported(f"tree-{key}", "babylm-2026", data, tmp_path)
    assert set(records(tmp_path)) == {"ewok", "comps"}
    shutil.copytree(ready["babylm-2026"], tmp_path / "own")
    before = files_in(tmp_path / "own")
    done = inside("import", "tree-ewok", "--protocol", "babylm-2026", "--data-dir", data, "--out", "own", cwd=tmp_path)
    assert_refused(done, 2, "The name 'guesser' is taken by another model", "--model")
    assert files_in(tmp_path / "own") == before


def test_other_results_under_one_official_name_are_pointed_out(submission, data, tmp_path):
    """Official folders carry the last part of a model's name alone, so two models may share one (D27)."""
    part = submission["babylm-2025"]["wug_past"]
    write_tree(tmp_path / "one", {"wug_past": part})
    entries = part["wug_past_tense"]["predictions"]
    entries[0]["prob"] = 1 - entries[1]["prob"]
    write_tree(tmp_path / "two", {"wug_past": part})
    assert "replaces" not in imported("one", "babylm-2025", data, tmp_path).out
    assert "replaces" not in imported("one", "babylm-2025", data, tmp_path).out
    assert "replaces what was imported from one/guesser" in " ".join(imported("two", "babylm-2025", data, tmp_path).out.split())


def test_fine_tuning_of_the_tree_goes_before_that_of_a_collated_file(submission, data, tmp_path):
    content = submission["babylm-2026"]
    write_json(tmp_path / "results/guesser" / OFFICIAL_NAME, content)
    newer = json.loads(json.dumps(content["glue"]))
    newer["wsc"]["predictions"][0]["pred"] = 7
    write_tree(tmp_path / "results", {"glue": newer})
    imported("results", "babylm-2026", data, tmp_path)
    done = inside("export", "imported", "--format", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    assert json.loads(done.out)["glue"] == newer


def test_parts_without_a_task_join_computed_records(ready, data, tmp_path):
    """Zero-shot from babyeval, the rest from the official pipeline: one submission."""
    results = shutil.copytree(ready["babylm-2026"], tmp_path / "imported")
    parts = carried_parts("babylm-2026")
    write_tree(tmp_path / "tree", parts, model="stem")
    imported("tree", "babylm-2026", data, tmp_path, "--model", "guesser")
    done = inside("export", results, "--format", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    content = json.loads(done.out)
    assert [key for key, value in content.items() if value is None] == ["fast_eval_results"]
    assert all(same(content[key], parts[key]) for key in ("reading", "aoa", "aoa_surprisals", "glue"))


def test_fast_predictions_become_fast_records(data, submission, tmp_path):
    """The official fast set of entity tracking is the regular split."""
    part = submission["babylm-2025"]["entity_tracking"]
    regular = {uid: block for uid, block in part.items() if uid.startswith("regular")}
    place = tmp_path / "results/m/chck_10M/zero_shot/causal/entity_tracking/entity_tracking_fast"
    write_json(place / "predictions.json", regular)
    done = imported("results", "babylm-2025", data, tmp_path)
    (record,) = records(tmp_path).values()
    assert (record.split, record.model.words_seen) == ("fast", 10_000_000)
    gold = {e["id"]: e["pred"] for block in regular.values() for e in block["predictions"]}
    lines = list(read_jsonl(data / "full_eval/entity_tracking/regular.jsonl"))
    by_uid: dict[str, list[bool]] = {}
    for line in lines:
        hits = by_uid.setdefault(f"regular_{line['numops']}_ops", [])
        hits.append(gold[f"regular_{line['numops']}_ops_{len(hits)}"] == line["options"][0])
    assert record.headline.value == pytest.approx(100 * sum(sum(h) / len(h) for h in by_uid.values()) / 6, abs=1e-9)
    assert "fast" in done.out


def test_without_data_the_reports_rounded_scores_are_taken(submission, data, tmp_path):
    content = submission["babylm-2026"]
    write_tree(tmp_path / "results", {"blimp_supplement": content["blimp_supplement"], "ewok": content["ewok"]})
    values = {
        "hypernym": 41.18,
        "qa_congruence_easy": 33.33,
        "qa_congruence_tricky": 50.0,
        "subject_aux_inversion": 45.83,
        "turn_taking": 0.0,
    }
    place = tmp_path / "results/guesser/main/zero_shot/causal"
    (place / "blimp/supplement_filtered/best_temperature_report.txt").write_text(report_text(34.07, values))
    report_only = place / "entity_tracking/entity_tracking"
    report_only.mkdir(parents=True)
    uids = {"regular_0_ops": 20.0, "regular": 21.5, "ambiref": 22.25, "move_contents": 19.0}
    (report_only / "best_temperature_report.txt").write_text(report_text(20.92, uids, temperature=1.35))
    done = imported("results", "babylm-2026", None, tmp_path, code=3)
    assert "Not scored for want of data: ewok. With the data: babyeval import results --protocol babylm-2026" in done.err
    made = records(tmp_path)
    assert set(made) == {"blimp_supplement", "entity_tracking"}
    record = made["blimp_supplement"]
    assert (record.headline.value, record.headline.n, record.items, record.data) == (34.07, 52, None, None)
    assert (record.headline.se, record.headline.ci_low, record.headline.note) == (
        *(None, None), "imported: rounded to 2 decimals by the official pipeline",
    )  # fmt: skip
    assert {s.subset: s.value for s in record.scores if s.group == "uid"} == values
    entity = made["entity_tracking"]
    assert entity.imported.format == "report"
    assert {s.subset: s.value for s in entity.scores if s.group == "split"} == {k: v for k, v in uids.items() if "_0_" not in k}
    assert "temperature 1.35 chosen on the test set (D32)" in entity.headline.note
    exported = json.loads(inside("export", "imported", "--format", "babylm-2026", cwd=tmp_path).out)
    assert {key for key, value in exported.items() if value} == {"blimp_supplement", "ewok"}  # no data is needed for these
    assert same(exported["ewok"], content["ewok"])

    imported("results", "babylm-2026", data, tmp_path)  # the data arrives: scored anew, nothing kept twice
    scored = records(tmp_path)["ewok"].headline.value
    assert scored == pytest.approx(official_score("ewok", content["ewok"], "babylm-2026", data), abs=1e-9)
    assert not list(tmp_path.glob("imported/*/*/imported/*.json"))


def test_submission_without_data_is_kept_as_it_is(submission, tmp_path):
    write_json(tmp_path / "guesser" / OFFICIAL_NAME, submission["babylm-2025"])
    done = imported("guesser", "babylm-2025", None, tmp_path, code=3)
    assert "blimp, blimp_supplement, ewok, entity_tracking, wug_adj, wug_past, comps" in done.err
    assert records_in(tmp_path / "imported") == []
    again = inside("export", "imported", "--format", "babylm-2025", cwd=tmp_path)
    assert same(json.loads(again.out), submission["babylm-2025"])


def test_report_that_says_otherwise_is_pointed_out(submission, data, tmp_path):
    write_tree(tmp_path / "results", {"ewok": submission["babylm-2025"]["ewok"]})
    place = tmp_path / "results/guesser/main/zero_shot/causal/ewok/ewok_filtered/best_temperature_report.txt"
    value = official_score("ewok", submission["babylm-2025"]["ewok"], "babylm-2025", data)
    place.write_text(report_text(value, {}))
    assert "another run" not in imported("results", "babylm-2025", data, tmp_path).out
    place.write_text(report_text(value + 1, {}, temperature=2.0))
    out = " ".join(imported("results", "babylm-2025", data, tmp_path).out.split())
    assert "temperature 2, chosen on the test set (D32)" in out
    assert "is it of another run?" in out


@pytest.mark.parametrize("with_data", [True, False])
def test_cut_report_beside_predictions_is_noted_and_stops_nothing(with_data, submission, data, tmp_path):
    write_tree(tmp_path / "results", {"ewok": submission["babylm-2025"]["ewok"]})
    report = tmp_path / "results/guesser/main/zero_shot/causal/ewok/ewok_filtered/best_temperature_report.txt"
    report.write_text("TEMPERATURE: 1.00\n\n### UID ACC")
    done = imported("results", "babylm-2025", data if with_data else None, tmp_path, code=0 if with_data else 3)
    assert "its report cannot be used: The report has no average" in " ".join(done.out.split())
    if with_data:
        value = official_score("ewok", submission["babylm-2025"]["ewok"], "babylm-2025", data)
        assert records(tmp_path)["ewok"].headline.value == pytest.approx(value, abs=1e-9)
    report.with_name("predictions.json").unlink()  # alone it is all there is
    done = inside("import", "results", "--protocol", "babylm-2025", "--data-dir", data, cwd=tmp_path)
    assert_refused(done, 1, "The report has no average", "best_temperature_report.txt")


def test_what_the_year_does_not_have_is_said(submission, data, tmp_path):
    write_tree(tmp_path / "results", {key: submission["babylm-2025"][key] for key in ("wug_adj", "blimp_supplement")})
    write_json(
        tmp_path / "results/guesser/main/zero_shot/causal/blimp/my_set/predictions.json",
        {"mine": {"predictions": [{"id": "mine_0", "pred": "x"}]}},
    )
    shutil.copytree(
        tmp_path / "results/guesser/main/zero_shot/causal/wug_adj", tmp_path / "results/guesser/main/zero_shot/mine/wug_adj"
    )
    out = " ".join(imported("results", "babylm-2026", data, tmp_path).out.split())
    assert "'wug_adj' is no part of babylm-2026" in out
    assert out.count("it is of no official data or backend") == 2
    assert set(records(tmp_path)) == {"blimp_supplement"}


def test_reading_of_encoder_decoders_serves_both_backends(submission, data, tmp_path):
    """The official reading script writes under enc_dec, whatever the zero-shot backend is called (D17)."""
    content = submission["babylm-2026"]
    write_tree(tmp_path / "results", {"ewok": content["ewok"]}, backend="enc_dec_prefix")
    write_tree(tmp_path / "results", {"reading": content["reading"], "glue": content["glue"]}, backend="enc_dec")
    imported("results", "babylm-2026", data, tmp_path)
    done = inside("export", "imported", "--format", "babylm-2026", "--data-dir", data, "--out", ".", cwd=tmp_path)
    assert done.code == 0, done.err
    made = json.loads((tmp_path / "all_full_preds_and_fast_scores_enc_dec_prefix.json").read_text())
    assert all(same(made[key], content[key]) for key in ("ewok", "reading", "glue"))


def test_official_probabilities_give_the_official_correlation(shared, official_sizes, tmp_path):
    """Numbers of the unchanged official pipeline: what it wrote per item, and the correlation it came to."""
    golden = json.loads((shared / "golden/tiny-llama.babylm-2025.json").read_text())["tasks"]["wug_adj/wug_adj_nominalization"]
    data = shared / "evaluation_data"
    lines = list(read_jsonl(next((data / "full_eval/wug_adj_nominalization").glob("*.jsonl"))))
    entries = [
        {"id": f"wug_adj_nominalization_{k}", "pred": line["sentences"].split("\t")[prob < 0.5], "prob": prob}
        for k, (line, prob) in enumerate(zip(lines, golden["probability_of_first"], strict=True))
    ]
    write_tree(tmp_path / "results", {"wug_adj": {"wug_adj_nominalization": {"predictions": entries}}})
    imported("results", "babylm-2025", data, tmp_path)
    (record,) = records(tmp_path).values()
    assert record.headline.value == pytest.approx(golden["spearman_rho"], abs=1e-9)


def test_gold_for_every_official_pair_gives_100_percent(shared, official_sizes, tmp_path):
    """Right answers for the real files, in their real order and with their duplicates."""
    data, part = shared / "evaluation_data", {}
    for path in (data / "full_eval/supplement_filtered").glob("*.jsonl"):
        texts = [line["sentence_good"] for line in read_jsonl(path)]
        part[path.stem] = {"predictions": [{"id": f"{path.stem}_{k}", "pred": f" {text}\n"} for k, text in enumerate(texts)]}
    write_tree(tmp_path / "results", {"blimp_supplement": part})
    imported("results", "babylm-2026", data, tmp_path)
    (record,) = records(tmp_path).values()
    assert (record.headline.value, record.headline.n) == (100.0, 5218)


@pytest.mark.slow
def test_official_sizes_there_and_back(official_sizes, tmp_path):
    data = write_data(tmp_path / "evaluation_data")
    year = "babylm-2026"
    old = write_records(tmp_path / "own", year, data, model=make_model("m"))
    done = inside("export", "own", "--format", year, "--data-dir", data, "--out", f"m/{OFFICIAL_NAME}", cwd=tmp_path)
    assert done.code == 0, done.err
    imported("m", year, data, tmp_path)
    for task, record in records(tmp_path).items():
        assert record.headline.value == pytest.approx(old[task].headline.value, abs=1e-9)
    inside("export", "imported", "--format", year, "--data-dir", data, "--out", "again.json", cwd=tmp_path)
    assert (tmp_path / "again.json").read_text() == (tmp_path / f"m/{OFFICIAL_NAME}").read_text()


def test_ages_of_acquisition_are_kept_whole(tmp_path):
    write_tree(tmp_path / "results", {"aoa_surprisals": surprisals(), "aoa": {"aoa": 0.25}})
    imported("results", "babylm-2026", None, tmp_path)
    kept = json.loads(Path(tmp_path / "imported/guesser/main/imported/babylm-2026-causal.json").read_text())
    assert (set(kept["parts"]), kept["parts"]["aoa"]) == ({"aoa", "aoa_surprisals"}, {"aoa": 0.25})
    assert same(kept["parts"]["aoa_surprisals"], surprisals())
    assert {Path(file["file"]).name for file in kept["files"].values()} == {"surprisal.json", "aoa_score.json"}


def test_one_record_alone_is_refused_where_models_would_mix(data, submission, tmp_path):
    """An imported model is no computed one, even under the same name: the other order of the two."""
    write_tree(tmp_path / "results", {"ewok": submission["babylm-2026"]["ewok"]})
    imported("results", "babylm-2026", data, tmp_path)
    with pytest.raises(babyeval.errors.UsageError, match="taken by another model"):
        write_record(tmp_path / "imported", "comps", "babylm-2026", data)
