"""The configuration of a run: command over environment over file over defaults."""

from __future__ import annotations

from pathlib import Path

import pytest

from babyeval.config import RunConfig, load_config
from babyeval.errors import MissingError, UsageError


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def write(tmp_path: Path, text: str, name: str = "babyeval.toml") -> Path:
    (tmp_path / name).write_text(text)
    return tmp_path / name


def test_defaults_are_those_of_the_design():
    config = load_config({"models": ["m"]}, {})
    expected = {
        "models": ("m",), "tasks": ("all",), "split": "full", "protocol": "robust", "data_dir": None, "out": Path("results"),
        "backend": "auto", "masking": "pll", "dtype": "float32", "device": "auto", "limit": None, "condition": None,
        "train_seed": None, "dry_run": False, "fresh": False, "offline": False, "trust_remote_code": False,
    }  # fmt: skip
    assert {key: getattr(config, key) for key in expected} == expected


def test_each_layer_wins_over_the_ones_below(tmp_path):
    write(tmp_path, 'models = ["file"]\nsplit = "fast"\nprotocol = "babylm-2025"\nlimit = 1\n')
    environment = {"BABYEVAL_PROTOCOL": "babylm-2026", "BABYEVAL_LIMIT": "2", "HOME": "/root", "OTHER_SPLIT": "mini"}
    config = load_config({"limit": 3, "split": None}, environment)
    assert (config.models, config.split, config.protocol, config.limit) == (("file",), "fast", "babylm-2026", 3)


def test_text_of_the_environment_becomes_what_the_field_is():
    environment = {
        "BABYEVAL_MODELS": "a=x, b=y", "BABYEVAL_TASKS": "blimp,blimp_supplement", "BABYEVAL_FRESH": "true",
        "BABYEVAL_OUT": "here", "BABYEVAL_TRAIN_SEED": "7", "BABYEVAL_OFFLINE": "0",
    }  # fmt: skip
    config = load_config({}, environment)
    assert config.models == ("a=x", "b=y")
    assert config.tasks == ("blimp", "blimp_supplement")
    assert (config.fresh, config.out, config.train_seed, config.offline) == (True, Path("here"), 7, False)


def test_variables_that_are_no_options_do_not_disturb():
    environment = {"BABYEVAL_CACHE": "c", "BABYEVAL_DATA": "d"}
    assert load_config({"models": ["m"]}, environment) == RunConfig(models=("m",))


def test_named_file_takes_the_place_of_the_one_in_the_folder(tmp_path):
    write(tmp_path, 'split = "fast"')
    named = write(tmp_path, 'split = "mini"', "other.toml")
    assert load_config({"models": ["m"]}, {"BABYEVAL_CONFIG": str(named)}).split == "mini"
    with pytest.raises(MissingError, match=r"absent\.toml"):
        load_config({"models": ["m"]}, {"BABYEVAL_CONFIG": "absent.toml"})


@pytest.mark.parametrize(
    ("file", "environment", "given", "words"),
    [
        ('sptil = "mini"', {}, {}, ("unknown key 'sptil' (did you mean 'split'?)", "the file babyeval.toml")),
        ("", {"BABYEVAL_PROTOCL": "x"}, {}, ("unknown key 'protocl' (did you mean 'protocol'?)", "the environment")),
        ("", {}, {"tsaks": "x"}, ("unknown key 'tsaks' (did you mean 'tasks'?)", "the command")),
        ("limit = 0", {}, {}, ("limit", "greater than or equal to 1", "the file babyeval.toml")),
        ("", {"BABYEVAL_LIMIT": "many"}, {}, ("limit", "integer", "the environment")),
        ("[run]\nsplit = 1", {}, {}, ("unknown key 'run'", "the file babyeval.toml")),
        ("limit = ", {}, {}, ("not valid TOML", "babyeval.toml")),
    ],
)
def test_mistakes_name_the_key_and_the_layer(tmp_path, file, environment, given, words):
    write(tmp_path, file)
    with pytest.raises(UsageError) as error:
        load_config({"models": ["m"], **given}, environment)
    for word in words:
        assert word in str(error.value)


def test_run_without_a_model_is_told_how_to_name_one():
    with pytest.raises(UsageError, match="models"):
        load_config({}, {})
    with pytest.raises(UsageError, match="--model"):
        load_config({"models": []}, {})


def test_configuration_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        load_config({"models": ["m"]}, {}).split = "mini"
