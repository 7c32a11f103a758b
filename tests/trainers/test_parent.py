"""Pre-trainings that go on from a checkpoint: whether it is the recipe's model, and what is stored of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from babyeval.trainers.model import model_config
from babyeval.trainers.parent import as_parent
from babyeval.trainers.recipe import Recipe, differences
from babyeval.trainers.stages import StageResult, run_stage
from training import Listener, small_recipe

from babyeval.errors import UsageError
from babyeval.progress import Quiet

SIZES = {"hidden_size": 16, "layers": 2, "heads": 4, "max_length": 32}
NAMES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 32}


def recipe_of(**model: Any) -> Recipe:
    return small_recipe(Path("text"), parent="somewhere").model_copy(
        update={"model": type(small_recipe(Path("text")).model).model_validate({**SIZES, **model})}
    )


def parent_of(architecture: str, **config: Any) -> Any:
    """A checkpoint of 300 tokens, as far as it is looked at."""
    from transformers import AutoConfig

    values = {**NAMES, "vocab_size": 300, **config}
    if architecture == "gpt2":
        values = {AutoConfig.for_model("gpt2").attribute_map.get(name, name): value for name, value in values.items()}
    return SimpleNamespace(config=AutoConfig.for_model(architecture, **values), tokenizer=range(300))


@pytest.mark.parametrize(
    ("architecture", "config", "model"),
    [
        ("llama", {"intermediate_size": 40, "num_key_value_heads": 2, "tie_word_embeddings": True, "attention_dropout": 0.3},
         {"intermediate_size": 40, "tie_embeddings": True, "dropout": 0.3, "extra": {"num_key_value_heads": 2}}),
        ("llama", {"intermediate_size": 64, "rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}},
         {"intermediate_size": 64, "dropout": 0.0, "extra": {"rope_parameters": {"rope_theta": 5e5, "rope_type": "default"}}}),
        ("gpt2", {"n_inner": None}, {"intermediate_size": 64, "tie_embeddings": True, "dropout": 0.1, "extra": {}}),
        ("gpt2", {"n_inner": 24, "attn_pdrop": 0.2},
         {"intermediate_size": 24, "tie_embeddings": True, "dropout": 0.1, "extra": {"attn_pdrop": 0.2}}),
        ("bert", {"intermediate_size": 64}, {"dropout": 0.1, "tie_embeddings": True, "extra": {}}),
        ("roberta", {"intermediate_size": 64, "max_position_embeddings": 34},
         {"max_length": 32, "extra": {"type_vocab_size": 2}}),
    ],
)  # fmt: skip
def test_what_is_not_said_is_the_parents(architecture: str, config: dict[str, Any], model: dict[str, Any]) -> None:
    recipe, parent = recipe_of(architecture=architecture), parent_of(architecture, **config)
    completed = as_parent(recipe, parent)
    found = completed.as_json()["model"]
    assert {key: found[key] for key in model} == model
    ids = {name: getattr(parent.config, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    made, there = (one.to_dict() for one in (model_config(completed.model, 300, ids), parent.config))
    made["n_inner"], there["n_inner"] = made.get("n_inner"), there.get("n_inner") or made.get("n_inner")
    assert made == there
    assert as_parent(completed, parent) == completed  # all of it said is the parent too
    assert differences(completed.as_json(), recipe) == []


@pytest.mark.parametrize(
    ("architecture", "config", "model", "words"),
    [
        ("bert", {}, {"architecture": "llama"}, "model.architecture: bert there, llama here"),
        ("llama", {}, {"layers": 3}, "model.layers: num_hidden_layers 2 there, 3 here"),
        ("llama", {"intermediate_size": 40}, {"intermediate_size": 41}, "model.intermediate_size: intermediate_size 40 there, 41 "),
        ("gpt2", {"n_inner": None}, {"intermediate_size": 24}, "model.intermediate_size: n_inner 64 there, 24 here"),
        ("llama", {}, {"tie_embeddings": True}, "model.tie_embeddings: tie_word_embeddings False there, True here"),
        ("llama", {}, {"dropout": 0.1}, "model.dropout: attention_dropout 0.0 there, 0.1 here"),
        ("gpt2", {}, {"dropout": 0.0}, "resid_pdrop 0.1 there, 0.0 here"),
        ("bert", {"hidden_dropout_prob": 0.2}, {"dropout": 0.1}, "model.dropout: hidden_dropout_prob 0.2 there, 0.1 here"),
        ("llama", {"num_key_value_heads": 2}, {"extra": {"num_key_value_heads": 1}}, "model.extra.num_key_value_heads: num_key_value_heads 2 there, 1 here"),
    ],
)  # fmt: skip
def test_what_is_said_must_be_the_parent(architecture: str, config: dict[str, Any], model: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match="another model than the recipe's") as refused:
        as_parent(recipe_of(**{"architecture": architecture, **model}), parent_of(architecture, **config))
    assert words in str(refused.value)
    assert "Give these keys the parent's values" in str(refused.value)


@pytest.mark.parametrize("rows", [299, 301])
def test_a_parents_tokenizer_must_be_its_own(rows: int) -> None:
    with pytest.raises(UsageError, match=f"tokenizer has 300 tokens, and its model knows {rows}"):
        as_parent(recipe_of(), parent_of("llama", vocab_size=rows))


def test_settings_that_are_the_parents_are_taken() -> None:
    parent = parent_of("bert", hidden_dropout_prob=0.2, attention_probs_dropout_prob=0.3, intermediate_size=24)
    said = {
        "architecture": "bert", "dropout": 0.2, "extra": {"attention_probs_dropout_prob": 0.3},
        "intermediate_size": 24, "tie_embeddings": True,
    }  # fmt: skip
    recipe = recipe_of(**said)
    assert as_parent(recipe, parent).as_json() == recipe.as_json()


def test_a_setting_that_is_said_later_is_compared() -> None:
    stored = as_parent(recipe_of(), parent_of("llama", attention_dropout=0.3)).as_json()
    assert differences(stored, recipe_of(dropout=0.3)) == []
    assert differences(stored, recipe_of(dropout=0.2)) == ["model.dropout: 0.3 there, 0.2 here"]
    assert differences(stored, recipe_of(layers=1)) == ["model.layers: 2 there, 1 here"]
    fresh = recipe_of().model_copy(update={"parent": None})
    assert "model.dropout: 0.3 there, 0.0 here" in differences(stored, fresh)


def test_a_parent_of_unknown_exposure_has_not_seen_nothing(
    unbroken: tuple[StageResult, Listener], corpus: Path, tmp_path: Path
) -> None:
    shutil.copytree(unbroken[0].folder / "final", tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "babyeval.json").unlink()
    changes: Any = {"parent": str(tmp_path / "elsewhere"), "condition": "child", "pretrain": {"max_steps": 3}}
    full = small_recipe(corpus, checkpoints={"words": [50], "steps": 2, "resume_steps": 0}, **changes)
    shape = {key: value for key, value in full.model if key in ("hidden_size", "layers", "heads", "max_length")}
    recipe = full.model_copy(update={"model": type(full.model).model_validate(shape)})  # the parent's dropout is 0.1
    listener = Listener()
    result = run_stage("pretrain", recipe, tmp_path, False, listener)
    assert listener.heard("Nothing says how many words")
    assert listener.heard("no checkpoints by words: chck_50")
    assert result.checkpoints == ("step_2", "final")
    for name in result.checkpoints:
        facts = json.loads((result.folder / name / "babyeval.json").read_text())
        assert facts["words_seen"] is result.words is None
        assert facts["tokens_seen"] > 0
        assert facts["recipe"]["model"]["dropout"] == 0.1
    assert json.loads((result.folder / "recipe.json").read_text())["model"]["dropout"] == 0.1
    again = Listener()
    assert run_stage("pretrain", recipe, tmp_path, False, again).finished_before
    assert again.heard("is finished: 3 updates.")
    with pytest.raises(UsageError, match=r"model.dropout: 0.1 there, 0.2 here"):
        run_stage("pretrain", small_recipe(corpus, model={"dropout": 0.2}, **changes), tmp_path, False, Quiet())
