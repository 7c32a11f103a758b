"""babyeval check and doctor: what they say of sound, random and damaged models and of this machine."""

from __future__ import annotations

import json
import re

import pytest

from babyeval.registry import list_tasks
from cli.support import SHARED, assert_refused, copied, damaged, files_in, inside


def test_check_warns_of_a_random_model_but_takes_it(tiny, tmp_path):
    done = inside("check", tiny, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    (warning,) = done.json["warnings"]
    assert "no better than chance" in warning
    assert done.json["unusable"] is False
    facts = done.json["facts"]
    assert facts["backend"].startswith("causal, because its architecture is LlamaForCausalLM")
    assert (facts["window"], facts["vocabulary"], facts["prefix sharing"]) == ("128 tokens", "512 ids", "proven on this model")
    assert "<s>" in facts["around a text"]
    assert re.match(r"6\.\d\d nats per token", facts["mean surprisal"])
    assert set(done.json["tasks"]) == {listing.name for listing in list_tasks()}
    assert files_in(tmp_path) == []


def test_check_as_a_table(tiny, tmp_path):
    done = inside("check", tiny, cwd=tmp_path)
    assert done.code == 0
    for word in ("tiny", "parameters", "mean surprisal", "Warning: ", "blimp", "1 warnings"):
        assert word in done.out


def test_check_finds_a_trained_model_sound(tmp_path):
    model = SHARED / "models" / "tiny-llama"
    if not model.is_dir():
        pytest.skip(f"not here: {model}")
    done = inside("check", model, cwd=tmp_path)
    assert done.code == 0
    assert "No problem found." in done.out


def test_check_ends_with_1_for_a_model_that_gives_nan(tiny, tmp_path):
    broken = damaged(tiny, tmp_path / "broken")
    done = inside("check", broken, "--json", cwd=tmp_path)
    assert (done.code, done.json["unusable"]) == (1, True)
    assert any("NaN" in warning for warning in done.json["warnings"])
    table = inside("check", broken, cwd=tmp_path)
    assert table.code == 1
    assert "NaN" in table.out


def test_check_finds_a_tokenizer_that_cuts_into_letters(tiny, tmp_path):
    broken = copied(tiny, tmp_path / "broken")
    content = json.loads((broken / "tokenizer.json").read_text(encoding="utf-8"))
    content["model"]["merges"] = []
    (broken / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    done = inside("check", broken, "--json", cwd=tmp_path)
    assert any("single letters" in warning for warning in done.json["warnings"])


def test_check_refuses_what_run_refuses(tiny, tmp_path):
    assert_refused(inside("check", "./nowhere", cwd=tmp_path), 3, "does not exist")
    assert_refused(inside("check", tiny, "--backend", "mlm", cwd=tmp_path), 2, "mask token")
    assert_refused(inside("check", tiny, "--backend", "gpt", cwd=tmp_path), 2, "Unknown backend 'gpt'", "causal")
    assert inside("check", cwd=tmp_path).code == 2


def test_check_of_a_device_that_does_not_exist(tiny, tmp_path):
    assert_refused(inside("check", tiny, "--device", "tpu", cwd=tmp_path), 2, "tpu", "cuda")


def test_doctor_says_what_this_machine_can_do(tmp_path):
    done = inside("doctor", "--json", cwd=tmp_path)
    assert (done.code, done.json["problems"]) == (0, [])
    findings = done.json["findings"]
    for name in ("babyeval", "python", "libraries", "device", "matrix products", "row cache", "data", "tasks"):
        assert findings[name], name
    assert "torch " in findings["libraries"]
    assert str(tmp_path / "cache") in findings["row cache"]
    assert findings["data"].startswith("none found")
    (tmp_path / "evaluation_data").mkdir()
    assert inside("doctor", "--json", cwd=tmp_path).json["findings"]["data"] == "evaluation_data"


def test_doctor_says_that_no_data_was_found_and_what_is_wrong_with_the_settings(tmp_path):
    done = inside("doctor", cwd=tmp_path)
    assert done.code == 0
    assert "No benchmark data was found" in done.out
    (tmp_path / "evaluation_data").mkdir()
    assert "No benchmark data was found" not in inside("doctor", cwd=tmp_path).out
    done = inside("doctor", cwd=tmp_path, env={"BABYEVAL_DATA_DIR": "evaluation_dta"})
    assert done.code == 3
    assert "Problem: The data folder 'evaluation_dta' does not exist." in done.out
    (tmp_path / "babyeval.toml").write_text("splt = 'mini'")
    assert "Problem: The configuration is wrong: unknown key 'splt'" in inside("doctor", cwd=tmp_path).out


def test_doctor_reports_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    done = inside("doctor", cwd=tmp_path, env={"BABYEVAL_CACHE": "file/cache"})
    assert done.code == 3
    assert "Problem: The row cache file/cache/rows cannot be written" in done.out
    assert "BABYEVAL_CACHE" in done.out
