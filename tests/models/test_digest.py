"""Digests: the same for the same model wherever it lies, another for whatever changes an answer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from tiny import make_model, make_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2LMHeadModel

from babyeval.models.digest import (
    folder_digest,
    generation_digest,
    loaded_digest,
    parameter_count,
    tokenizer_digest,
    weight_files,
)


@pytest.fixture
def folder(tiny_folder, tmp_path) -> Path:
    return Path(shutil.copytree(tiny_folder("gpt2", "bos"), tmp_path / "model"))


def test_a_copy_has_the_same_digest(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "elsewhere" / "copy")
    assert folder_digest(tmp_path / "elsewhere" / "copy") == folder_digest(folder)


def change_weights(folder: Path) -> None:
    model = GPT2LMHeadModel.from_pretrained(folder)
    with torch.no_grad():
        model.transformer.ln_f.bias[3] += 1e-6
    model.save_pretrained(folder)


def change_config(folder: Path) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "layer_norm_epsilon": 1e-3}))


def change_tokenizer(folder: Path) -> None:
    path = folder / "tokenizer.json"
    path.write_text(path.read_text().replace('"add_prefix_space": false', '"add_prefix_space": true').replace("<pad>", "<gap>"))


CHANGES = {
    "weights": change_weights,
    "configuration": change_config,
    "tokenizer": change_tokenizer,
    "tokenizer's configuration": lambda folder: (folder / "tokenizer_config.json").write_text("{}"),
    "code": lambda folder: (folder / "modeling.py").write_text("x = 1"),
    "vocabulary file": lambda folder: (folder / "vocab.json").write_text("{}"),
    "merges": lambda folder: (folder / "merges.txt").write_text("a b"),
    "another weight file": lambda folder: (folder / "extra.safetensors").write_bytes(b"x"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=list(CHANGES))
def test_whatever_changes_an_answer_changes_the_digest(folder, change):
    before = folder_digest(folder)
    change(folder)
    assert folder_digest(folder) != before


@pytest.mark.parametrize("name", ["README.md", "training_args.bin", "trainer_state.json", "optimizer.pt", "babyeval.json"])
def test_what_changes_no_answer_does_not(folder, name):
    before = folder_digest(folder)
    (folder / name).write_text("{}")
    assert folder_digest(folder) == before


@pytest.mark.parametrize("name", ["chat_template.jinja", "additional_chat_templates/a.jinja", "generation_config.json"])
def test_what_changes_only_what_is_written_has_a_digest_of_its_own(folder, name):
    before, whole = generation_digest(folder), folder_digest(folder)
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("{}")
    assert generation_digest(folder) != before
    assert folder_digest(folder) == whole, "records are found by it"
    assert generation_digest(folder / "nothing") == ""


def test_swapped_files_are_another_model(tmp_path):
    """Names count, not contents alone."""
    for name, (one, two) in {"a": ("1", "2"), "b": ("2", "1")}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "model-1.safetensors").write_text(one)
        (tmp_path / name / "model-2.safetensors").write_text(two)
    assert folder_digest(tmp_path / "a") != folder_digest(tmp_path / "b")


def test_weight_files(tmp_path):
    assert weight_files(tmp_path) == []
    (tmp_path / "pytorch_model.bin").touch()
    (tmp_path / "training_args.bin").touch()
    assert [path.name for path in weight_files(tmp_path)] == ["pytorch_model.bin"]
    assert parameter_count(tmp_path) is None
    (tmp_path / "model-2.safetensors").touch()
    (tmp_path / "model-1.safetensors").touch()
    assert [path.name for path in weight_files(tmp_path)] == ["model-1.safetensors", "model-2.safetensors"]


def loaded(folder: Path) -> str:
    return loaded_digest(AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder))


def test_a_loaded_model_has_one_digest_wherever_it_came_from(folder, tmp_path):
    """Else rows would be computed again for a moved folder, and one model would pass for two."""
    shutil.copytree(folder, tmp_path / "copy")
    assert loaded(folder) == loaded(tmp_path / "copy")


def test_a_loaded_model_is_told_from_others():
    tokenizer = make_tokenizer("bos")
    model = make_model("gpt2", tokenizer)
    digests = {loaded_digest(model, tokenizer), loaded_digest(model, make_tokenizer("bos_eos"))}
    digests.add(loaded_digest(make_model("gpt2", tokenizer, seed=1), tokenizer))
    model.config.layer_norm_epsilon = 1e-3
    digests.add(loaded_digest(model, tokenizer))
    assert len(digests) == 4


def test_a_loaded_model_changes_with_one_weight_and_back():
    tokenizer = make_tokenizer("bos")
    model = make_model("llama", tokenizer)
    before = loaded_digest(model, tokenizer)
    weight = model.lm_head.weight.data
    kept = weight[3, 3].item()
    weight[3, 3] += 1e-6
    assert loaded_digest(model, tokenizer) != before
    weight[3, 3] = kept
    assert loaded_digest(model, tokenizer) == before


@pytest.mark.parametrize("change", [{"eos_token": None}, {"bos_token": "</s>"}, {"model_max_length": 16}])
def test_a_loaded_model_changes_with_what_its_tokenizer_calls_its_tokens(change):
    """Else a record that put EOS in front would be kept for a tokenizer that has none (D9)."""
    tokenizer = make_tokenizer("eos")
    model = make_model("gpt2", tokenizer)
    before = loaded_digest(model, tokenizer)
    for name, value in change.items():
        setattr(tokenizer, name, value)
    assert loaded_digest(model, tokenizer) != before


def test_a_loaded_model_may_be_in_half_precision():
    tokenizer = make_tokenizer("bos")
    model = make_model("gpt2", tokenizer)
    before = loaded_digest(model, tokenizer)
    assert loaded_digest(model.to(torch.bfloat16), tokenizer) != before


def test_tokenizers_are_told_apart_by_what_they_make_of_texts():
    digests = {kind: tokenizer_digest(make_tokenizer(kind)) for kind in ("none", "eos", "bos", "bos_eos")}
    assert len(set(digests.values())) == 4
    same = make_tokenizer("bos")
    same.backend_tokenizer.enable_truncation(5)
    same.backend_tokenizer.enable_padding()
    assert tokenizer_digest(same) == digests["bos"], "scoring switches both off"
    same.add_tokens(["unbelievable"])
    assert tokenizer_digest(same) != digests["bos"]
