"""babyeval run: names, several models, limits, and options that contradict each other."""

from __future__ import annotations

import json
from collections import Counter

import pandas as pd
import pytest

from babyeval.protocols import PROTOCOLS
from babyeval.registry import get_task
from cli.support import another, assert_refused, data_folder, files_in, inside, records_in, refuse_weights

MINI = ("--split", "mini", "--tasks", "blimp")


def test_limit_labels_the_split_and_takes_from_every_subset(tiny, tmp_path):
    done = inside("run", "--model", tiny, *MINI, "--limit", "20", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    (result,) = done.json["results"]
    assert (result["split"], result["headline"]["n"], result["counts"]["items"]) == ("mini@20", 20, 20)
    (record,) = records_in(tmp_path / "results")
    assert record.parent.parent.name == "mini@20-causal"
    table = pd.read_parquet(record.with_name("items.parquet"))
    lines = (get_task("blimp").home / "mini.jsonl").read_text(encoding="utf-8").splitlines()
    of_each = Counter(json.loads(line)["UID"] for line in lines)
    taken = table.subset.value_counts().to_dict()
    assert set(taken) == set(of_each)
    assert all(abs(taken[uid] - 20 * of_each[uid] / len(lines)) <= 1 for uid in of_each)


def test_limit_above_the_number_of_items_is_still_labelled(tiny, tmp_path):
    (result,) = inside("run", "--model", tiny, *MINI, "--limit", "100000", "--json", cwd=tmp_path).json["results"]
    assert (result["split"], result["headline"]["n"]) == ("mini@100000", 88)


@pytest.mark.parametrize("name", ["size: 10M/a", "наш модель=3", "..", "a@b%2F?*<>|", " "])
def test_any_name_makes_one_folder_and_is_kept_verbatim(tiny, tmp_path, name):
    done = inside("run", "--model", f"{name}={tiny}", *MINI, "--limit", "4", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.json["results"][0]["model"]["name"] == name
    (record,) = records_in(tmp_path / "results")
    (folder,) = (tmp_path / "results").iterdir()
    assert record.relative_to(folder).as_posix() == "main/blimp/mini@4-causal/robust/result.json"
    assert not set(folder.name) & set('/\\:*?"<>| ')
    assert json.loads(record.read_text(encoding="utf-8"))["model"]["name"] == name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "results"]


def test_name_is_shown_as_it_is_and_never_as_markup(tiny, tmp_path):
    done = inside("run", "--model", f"[bold]a[/x] :smile:={tiny}", *MINI, "--limit", "4", cwd=tmp_path)
    assert done.code == 0
    assert "[bold]a[/x] :smile: (main), scored as causal" in done.out


def test_name_too_long_for_a_folder_is_refused_before_any_work(tiny, tmp_path, monkeypatch):
    refuse_weights(monkeypatch)
    done = inside("run", "--model", f"{'модель ' * 12}={tiny}", *MINI, cwd=tmp_path)
    assert done.code in (2, 3)
    assert_refused(done, done.code, "long")


def test_several_models_in_one_run(tiny, tmp_path):
    other = another(tiny, tmp_path / "models" / "other")
    done = inside("run", "--model", tiny, "--model", f"second={other}", *MINI, cwd=tmp_path)
    assert done.code == 0, done.err
    assert done.out.index("tiny (main)") < done.out.index("second (main)")
    assert {path.relative_to(tmp_path / "results").parts[0] for path in records_in(tmp_path / "results")} == {"tiny", "second"}
    digests = {json.loads(path.read_text())["model"]["digest"] for path in records_in(tmp_path / "results")}
    assert len(digests) == 2
    scores = [pd.read_parquet(path.with_name("items.parquet"))["scores"].map(list) for path in records_in(tmp_path / "results")]
    assert not scores[0].equals(scores[1])


def test_two_models_under_one_name_in_one_run(tiny, tmp_path):
    other = another(tiny, tmp_path / "models" / "other")
    done = inside("run", "--model", f"same={tiny}", "--model", f"same={other}", *MINI, cwd=tmp_path)
    assert_refused(done, 2, "Two models have the name 'same'", str(other), "--model NAME=PATH")
    assert records_in(tmp_path / "results") == [], "it is said before any work"


def test_generic_folder_names_take_their_parents_name_along(tiny, tmp_path):
    other = another(tiny, tmp_path / "base" / "checkpoint-1000")
    done = inside("run", "--model", other, *MINI, "--limit", "4", "--json", cwd=tmp_path)
    assert done.json["results"][0]["model"]["name"] == "base__checkpoint-1000"


def test_what_the_trainers_wrote_names_the_model_and_flags_override_it(tiny, tmp_path):
    other = another(tiny, tmp_path / "chck_10M")
    about = {"schema_version": 1, "condition": "plain", "seed": 3, "words_seen": 9_000_000, "parent_digest": "ab"}
    (other / "babyeval.json").write_text(json.dumps(about))
    command = ("run", "--model", other, *MINI, "--limit", "4", "--json")
    model = inside(*command, cwd=tmp_path).json["results"][0]["model"]
    facts = ("name", "condition", "train_seed", "words_seen", "parent_digest")
    assert [model[key] for key in facts] == ["plain-seed_3", "plain", 3, 9_000_000, "ab"]
    model = inside(*command, "--condition", "x", "--train-seed", "5", cwd=tmp_path).json["results"][0]["model"]
    assert [model[key] for key in facts] == ["plain-seed_3", "x", 5, 9_000_000, "ab"]
    (other / "babyeval.json").unlink()
    model = inside(*command, cwd=tmp_path).json["results"][0]["model"]
    assert (model["words_seen"], model["condition"]) == (10_000_000, None)


def test_word_masking_is_refused_for_a_causal_model(tiny, tmp_path):
    done = inside("run", "--model", tiny, *MINI, "--masking", "word-l2r", cwd=tmp_path)
    assert_refused(done, 2, "--masking word-l2r", "causal", "'tiny'")
    assert files_in(tmp_path) == []


def test_fast_split_and_full_split_lie_side_by_side(tiny, tmp_path):
    data = data_folder(tmp_path / "data", 3)
    (data / "fast_eval").mkdir()
    (data / "full_eval" / "blimp_filtered").rename(data / "fast_eval" / "blimp_fast")
    done = inside("run", "--model", tiny, "--tasks", "blimp", "--split", "fast", "--data-dir", data, cwd=tmp_path)
    assert done.code == 0, done.err
    (record,) = records_in(tmp_path / "results")
    assert record.parent.parent.name == "fast-causal"
    assert {file["name"] for file in json.loads(record.read_text())["data"]["files"]} == {
        "fast_eval/blimp_fast/made_up_0.jsonl",
        "fast_eval/blimp_fast/made_up_1.jsonl",
    }


def test_parent_of_the_data_folder_and_the_environment_variable_do_as_well(tiny, tmp_path):
    data_folder(tmp_path / "download" / "evaluation_data", 3)
    command = ("run", "--model", tiny, "--tasks", "blimp", "--json")
    by_parent = inside(*command, "--data-dir", tmp_path / "download", "--out", "a", cwd=tmp_path)
    variable = {"BABYEVAL_DATA": str(tmp_path / "download" / "evaluation_data")}
    by_variable = inside(*command, "--out", "b", cwd=tmp_path, env=variable)
    assert by_parent.code == by_variable.code == 0
    assert by_parent.json["results"][0]["data"]["digest"] == by_variable.json["results"][0]["data"]["digest"]


def test_group_average_says_what_it_lacks(tiny, tmp_path):
    data = data_folder(tmp_path / "data", 4)
    command = ("run", "--model", tiny, "--tasks", "blimp,zero-shot,blimp_supplement", "--data-dir", data)
    (group,) = inside(*command, "--json", cwd=tmp_path).json["groups"]
    assert (group["group"], group["protocol"], group["model"]) == ("zero-shot", "robust", "tiny")
    assert {"blimp", "blimp_supplement"} <= set(group["tasks"])
    assert sorted(group["tasks"] + group["missing"]) == sorted(PROTOCOLS["robust"].macro["zero-shot"])
    assert (group["value"] is None) == bool(group["missing"])
    table = " ".join(inside(*command, cwd=tmp_path).out.split())
    expected = f"not formed; {', '.join(group['missing'])} missing" if group["missing"] else f"{group['value']:.2f}, mean of"
    assert f"tiny (main), zero-shot average (robust): {expected}" in table
    mini = inside("run", "--model", tiny, "--split", "mini", "--tasks", "zero-shot", "--json", cwd=tmp_path).json
    assert mini["groups"] == []


def test_record_of_a_bfloat16_run_says_what_was_checked(tiny, tmp_path):
    done = inside("run", "--model", tiny, *MINI, "--dtype", "bfloat16", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    (result,) = done.json["results"]
    assert result["provenance"]["dtype"] == "bfloat16"
    assert result["provenance"]["precision"]["sampled"] == result["headline"]["n"]
    exact = inside("run", "--model", tiny, *MINI, "--json", cwd=tmp_path).json["results"][0]
    assert exact["provenance"]["dtype"] == "float32"
    assert exact["headline"]["value"] == result["headline"]["value"]
