"""Wrong commands, settings and models: what is said, with which exit code, and that nothing is written."""

from __future__ import annotations

import json

import pytest

from cli.support import assert_refused, copied, edit_json, files_in, inside, process, refuse_weights, with_weights

MINI = ("--split", "mini", "--tasks", "blimp")


@pytest.fixture(autouse=True)
def _nothing_is_loaded_and_nothing_written(tmp_path, monkeypatch, request):
    """Every refusal comes before work, and leaves no file in the results folder."""
    if "opens_weights" not in request.fixturenames:
        refuse_weights(monkeypatch)
    yield
    assert not (tmp_path / "results").exists() or files_in(tmp_path / "results") == []


@pytest.fixture
def opens_weights():
    """For models whose fault is in their weights."""


def test_a_refusal_as_a_process_sees_it(tmp_path):
    done = process("run", "--model", "./nowhere", *MINI, cwd=tmp_path)
    assert_refused(done, 3, "Error: The model folder './nowhere' does not exist.")
    assert done.out == ""


def test_model_folder_that_does_not_exist_names_its_neighbours(tiny, tmp_path):
    done = inside("run", "--model", tiny.parent / "tini", *MINI, cwd=tmp_path)
    assert_refused(done, 3, str(tiny.parent / "tini"), "does not exist", "tiny")
    assert_refused(inside("run", "--model", "./a/b/c", *MINI, cwd=tmp_path), 3, "./a/b/c", "'a/b' does not exist either")
    assert_refused(inside("run", "--model", "~/x", *MINI, cwd=tmp_path), 3, "did not expand '~'")


def test_folder_that_is_no_checkpoint(tiny, tmp_path):
    (tmp_path / "empty").mkdir()
    assert_refused(inside("run", "--model", "empty", *MINI, cwd=tmp_path), 3, "no config.json", "Where: empty")
    done = inside("run", "--model", tiny.parent, *MINI, cwd=tmp_path)
    assert_refused(
        done,
        3,
        "no config.json",
        str(tiny.parent),
        "It holds checkpoints: ",
        "tiny",
        "'babyeval run' takes several by --revisions",
    )
    done = inside("run", "--model", tiny / "config.json", *MINI, cwd=tmp_path)
    assert_refused(done, 2, "config.json' is a file", "folder")


@pytest.mark.parametrize(
    ("file", "code", "words"),
    [("model.safetensors", 3, ("no weights", "*.safetensors")), ("tokenizer", 3, ("no tokenizer", "tokenizer.json"))],
)
def test_checkpoint_without_a_part(tiny, tmp_path, file, code, words):
    broken = copied(tiny, tmp_path / "broken")
    for path in broken.glob(f"{file}*"):
        path.unlink()
    assert_refused(inside("run", "--model", broken, *MINI, cwd=tmp_path), code, *words, str(broken))


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "babyeval.json"])
def test_checkpoint_with_a_cut_json_file(tiny, tmp_path, file):
    broken = copied(tiny, tmp_path / "broken")
    text = (tiny / file).read_text(encoding="utf-8") if (tiny / file).exists() else '{"seed": 1}'
    (broken / file).write_text(text[: len(text) // 2], encoding="utf-8")
    assert_refused(inside("run", "--model", broken, *MINI, cwd=tmp_path), 2, str(broken))


@pytest.mark.usefixtures("opens_weights")
def test_checkpoint_with_cut_weights(tiny, tmp_path):
    broken = copied(tiny, tmp_path / "broken")
    whole = (tiny / "model.safetensors").read_bytes()
    (broken / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    assert_refused(inside("run", "--model", broken, *MINI, cwd=tmp_path), 2, str(broken))


@pytest.mark.usefixtures("opens_weights")
def test_checkpoint_that_lacks_weights_is_not_filled_with_random_ones(tiny, tmp_path):
    broken = with_weights(tiny, tmp_path / "broken", lambda weights: weights.pop("model.layers.1.mlp.up_proj.weight"))
    done = inside("run", "--model", broken, *MINI, cwd=tmp_path)
    assert_refused(done, 2, "lacks 1 weights", "model.layers.1.mlp.up_proj.weight", str(broken))


@pytest.mark.usefixtures("opens_weights")
def test_tokenizer_of_another_model(tiny, tmp_path):
    broken = copied(tiny, tmp_path / "broken")
    content = json.loads((broken / "tokenizer.json").read_text(encoding="utf-8"))
    content["model"]["vocab"]["\u0120the"] = 70000
    (broken / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
    assert_refused(inside("run", "--model", broken, *MINI, cwd=tmp_path), 2, "the id 70000", "512 embeddings", "'broken'")


def test_weights_in_a_format_that_can_run_code(tiny, tmp_path):
    broken = copied(tiny, tmp_path / "broken")
    (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
    done = inside("run", "--model", broken, *MINI, cwd=tmp_path)
    assert_refused(done, 2, "not as safetensors", "pytorch_model.bin", "--allow-pickle")


def test_slow_tokenizer(tiny, tmp_path):
    broken = copied(tiny, tmp_path / "broken")
    (broken / "tokenizer.json").unlink()
    (broken / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "ByT5Tokenizer"}), encoding="utf-8")
    done = inside("run", "--model", broken, *MINI, cwd=tmp_path)
    assert_refused(done, 2, "ByT5Tokenizer", "no character offsets", str(broken), "fast")


@pytest.mark.parametrize("backend", ["mlm", "mntp"])
def test_masked_backend_without_a_mask_token(tiny, tmp_path, backend):
    done = inside("run", "--model", tiny, *MINI, "--backend", backend, cwd=tmp_path)
    assert_refused(done, 2, f"'{backend}' needs a mask token", "'tiny'", "--backend causal")


def test_checkpoint_that_brings_code_is_not_run_unasked(tiny, tmp_path):
    broken = copied(tiny, tmp_path / "broken")
    edit_json(broken / "config.json", model_type="home_made", auto_map={"AutoConfig": "home.Config"})
    (broken / "home.py").write_text(f"open({str(tmp_path / 'was_run')!r}, 'w').close()\nclass Config: pass\n")
    done = inside("run", "--model", broken, *MINI, cwd=tmp_path)
    assert_refused(done, 2, "its own Python code", "home.Config", "--trust-remote-code")
    assert not (tmp_path / "was_run").exists()


HOME_MADE = """
from transformers import LlamaConfig, LlamaForCausalLM
class HomeConfig(LlamaConfig):
    model_type = "home_made"
class HomeForCausalLM(LlamaForCausalLM):
    config_class = HomeConfig
"""


@pytest.mark.usefixtures("opens_weights")
def test_checkpoint_that_brings_code_is_run_when_it_is_trusted(tiny, tmp_path):
    home = copied(tiny, tmp_path / "home_made")
    own = {"AutoConfig": "home.HomeConfig", "AutoModelForCausalLM": "home.HomeForCausalLM"}
    edit_json(home / "config.json", model_type="home_made", architectures=["HomeForCausalLM"], auto_map=own)
    (home / "home.py").write_text(HOME_MADE)
    command = ("run", *MINI, "--json", "--out", "trusted", "--trust-remote-code", "--model", home)
    done = process(*command, cwd=tmp_path, env={"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"})
    assert done.code == 0, done.err
    values = [result["headline"]["value"] for result in done.json["results"]]
    plain = inside("run", *MINI, "--json", "--out", "plain", "--model", tiny, cwd=tmp_path)
    assert values == [result["headline"]["value"] for result in plain.json["results"]]


def test_model_of_an_unknown_kind(tiny, tmp_path):
    broken = copied(tiny, tmp_path / "broken")
    edit_json(broken / "config.json", model_type="no_such_kind")
    assert_refused(inside("run", "--model", broken, *MINI, cwd=tmp_path), 2, "no_such_kind", str(broken / "config.json"))


def test_local_folder_with_a_revision(tiny, tmp_path):
    done = inside("run", "--model", f"{tiny}@chck_1M", *MINI, cwd=tmp_path)
    assert_refused(done, 2, "has no revisions", "@chck_1M", f"{tiny}/chck_1M")
    done = inside("run", "--model", f"{tiny}@chck_*", *MINI, cwd=tmp_path)
    assert_refused(done, 2, "has no revisions", f"--model {tiny} --revisions 'chck_*'")


@pytest.mark.parametrize("text", ["", "=x", "name="])
def test_model_that_names_nothing(tmp_path, text):
    (tmp_path / "empty").mkdir()
    assert_refused(inside("run", "--model", text, *MINI, cwd=tmp_path / "empty"), 2, "names no model", "--model")


def test_a_glob_that_the_shell_expanded(tiny, tmp_path):
    done = inside("run", "--model", tiny, "--revisions", "chck_1M", "chck_2M", *MINI, cwd=tmp_path)
    assert_refused(done, 2, "chck_2M", "in quotes", "--revisions 'chck_*'")


def test_an_empty_glob(tiny, tmp_path):
    done = inside("run", "--model", tiny, "--revisions", "", *MINI, cwd=tmp_path)
    assert_refused(done, 2, "'revisions' is empty", "--revisions 'chck_*'")


def test_no_model(tmp_path):
    assert_refused(inside("run", *MINI, cwd=tmp_path), 2, "models", "--model")


@pytest.mark.parametrize(
    ("wrong", "right"), [("blmp", "blimp"), ("zero_shot", "zero-shot"), ("blimp_suplement", "blimp_supplement")]
)
def test_unknown_task_suggests_the_nearest(tiny, tmp_path, wrong, right):
    done = inside("run", "--model", tiny, "--split", "mini", "--tasks", f"blimp,{wrong}", cwd=tmp_path)
    assert_refused(done, 2, f"Unknown task '{wrong}'", f"Did you mean '{right}'?", "tasks list")


def test_no_task_at_all(tiny, tmp_path):
    done = inside("run", "--model", tiny, "--split", "mini", "--tasks", ",", cwd=tmp_path)
    assert_refused(done, 2, "task")


def test_unknown_option_suggests_the_nearest(tmp_path):
    done = inside("run", "--taks", "blimp", cwd=tmp_path)
    assert done.code == 2
    assert "No such option: --taks" in done.err
    assert "--tasks" in done.err


@pytest.mark.parametrize(
    ("option", "value", "right"),
    [
        ("split", "fats", "fast"),
        ("protocol", "babylm-2024", "babylm-2025"),
        ("backend", "gpt", "causal"),
        ("dtype", "float16", "bfloat16"),
        ("device", "tpu", "cuda"),
        ("masking", "words", "word-l2r"),
        ("limit", "0", "1"),
    ],
)
def test_wrong_value_names_the_option_and_what_it_takes(tiny, tmp_path, option, value, right):
    done = inside("run", "--model", tiny, *(() if option == "split" else MINI), f"--{option}", value, cwd=tmp_path)
    assert_refused(done, 2, option, right, "the command")


@pytest.mark.usefixtures("opens_weights")
def test_device_that_is_not_there(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    done = inside("run", "--model", tiny, *MINI, "--device", "cuda", cwd=tmp_path)
    assert_refused(done, 3, "no GPU", "--device")


def test_unknown_key_in_the_configuration_file(tmp_path):
    (tmp_path / "babyeval.toml").write_text('splitt = "mini"\n')
    done = inside("run", "--model", "x", cwd=tmp_path)
    assert_refused(done, 2, "unknown key 'splitt'", "did you mean 'split'?", "babyeval.toml")


def test_configuration_file_that_is_no_toml(tmp_path):
    (tmp_path / "mine.toml").write_text("split = mini\n")
    done = inside("run", "--model", "x", cwd=tmp_path, env={"BABYEVAL_CONFIG": "mine.toml"})
    assert done.code == 2
    assert "not valid TOML" in done.err
    assert "mine.toml" in done.err
    absent = inside("run", "--model", "x", cwd=tmp_path, env={"BABYEVAL_CONFIG": "absent.toml"})
    assert_refused(absent, 3, "absent.toml", "BABYEVAL_CONFIG")


def test_unknown_variable_suggests_the_nearest(tmp_path):
    done = inside("run", "--model", "x", cwd=tmp_path, env={"BABYEVAL_SPILT": "mini"})
    assert_refused(done, 2, "spilt", "did you mean 'split'?", "the environment")


@pytest.mark.parametrize("out", ["file/out", "/proc/babyeval-results"])
def test_results_folder_that_cannot_be_written(tiny, tmp_path, out):
    (tmp_path / "file").write_text("I am no folder")
    done = inside("run", "--model", tiny, *MINI, "--out", out, cwd=tmp_path)
    assert_refused(done, 3, "Could not write", out, "--out")


def test_cache_folder_that_cannot_be_written(tiny, tmp_path):
    (tmp_path / "file").write_text("I am no folder")
    done = inside("run", "--model", tiny, *MINI, cwd=tmp_path, env={"BABYEVAL_CACHE": "file/cache"})
    assert_refused(done, 3, "row cache", "file/cache", "BABYEVAL_CACHE")
