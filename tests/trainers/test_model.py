"""The model of a recipe: its size against the papers' and against arithmetic, its special tokens, and wrong shapes."""

from __future__ import annotations

import pytest
import torch
from babyeval.trainers.model import model_config, new_model, parameter_count
from babyeval.trainers.recipe import ModelSpec, Recipe, TokenizerSpec, Training, load_recipe
from tiny import VOCABULARY, make_tokenizer

from babyeval.errors import MissingError, UsageError

SIZES = {"hidden_size": 24, "layers": 3, "heads": 4, "max_length": 40, "intermediate_size": 56}
KINDS = {"llama": "bos_eos", "gpt2": "eos", "bert": "bart", "roberta": "bart"}  # tokenizers of VOCABULARY tokens


def spec(**changes) -> ModelSpec:
    return ModelSpec(**{**SIZES, **changes})


def recipe(**changes) -> Recipe:
    training = Training(learning_rate=1e-3, attention=changes.pop("attention", "auto"))
    return Recipe(model=spec(**changes), tokenizer=TokenizerSpec(vocab_size=VOCABULARY), pretrain=training)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("class-it-140m", 140_231_872), ("class-it-100m", 100_684_288)],  # as the paper states them
)
def test_class_it_has_exactly_the_papers_parameters(name, parameters):
    shipped = load_recipe(name)
    assert parameter_count(shipped.model, shipped.tokenizer.vocab_size) == parameters


def test_tiny_has_two_to_three_million_parameters():
    shipped = load_recipe("tiny")
    assert 2_000_000 <= parameter_count(shipped.model, shipped.tokenizer.vocab_size) <= 3_000_000


def by_hand(architecture: str, tied: bool, vocabulary: int, positions: int) -> int:
    """Parameters by the architectures' papers."""
    h, f, layers = SIZES["hidden_size"], SIZES["intermediate_size"], SIZES["layers"]
    if architecture == "llama":  # no biases, gated, RMS norms, rotary positions
        return layers * (4 * h * h + 3 * h * f + 2 * h) + h + (1 if tied else 2) * vocabulary * h
    layer = 4 * h * h + 4 * h + 2 * h * f + f + h + 4 * h
    if architecture == "gpt2":
        return layers * layer + 2 * h + positions * h + (1 if tied else 2) * vocabulary * h
    segments = 2 if architecture == "bert" else 1
    head = h * h + h + 2 * h + vocabulary  # a layer, its norm and the bias of the output
    return layers * layer + (positions + segments) * h + 2 * h + head + (1 if tied else 2) * vocabulary * h


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bert", "roberta"])
@pytest.mark.parametrize("tied", [False, True])
def test_parameters_are_those_of_the_architectures_papers(architecture, tied):
    positions = 40 + (4 if architecture == "roberta" else 0)  # behind the padding id, 3
    expected = by_hand(architecture, tied, 500, positions)
    assert parameter_count(spec(architecture=architecture, tie_embeddings=tied), 500, {"pad_token_id": 3}) == expected


def test_a_roberta_counts_positions_from_behind_the_first_id_unless_told_otherwise():
    """Padding is the first token of every tokenizer that is trained here."""
    assert parameter_count(spec(architecture="roberta"), 500) == by_hand("roberta", False, 500, 40 + 1)


@pytest.mark.parametrize("architecture", list(KINDS))
def test_a_new_model_is_what_was_counted_and_takes_the_longest_sequence(architecture):
    tokenizer = make_tokenizer(KINDS[architecture])
    asked = recipe(architecture=architecture)
    torch.manual_seed(0)
    model = new_model(asked, tokenizer)
    ids = {"pad_token_id": tokenizer.pad_token_id}
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    assert sum(weight.numel() for weight in trained) == parameter_count(asked.model, VOCABULARY, ids)
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    config = model.config
    assert (config.bos_token_id, config.eos_token_id) == (tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert config.pad_token_id == tokenizer.pad_token_id
    with torch.no_grad():
        logits = model(input_ids=torch.full((1, SIZES["max_length"]), VOCABULARY - 1)).logits
    assert logits.shape == (1, SIZES["max_length"], VOCABULARY)
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("architecture", list(KINDS))
@pytest.mark.parametrize("tied", [False, True])
def test_every_trained_weight_gets_a_gradient(architecture, tied):
    """DDP waits for each, and a weight that nothing reads would be counted as one of the model's."""
    model = new_model(recipe(architecture=architecture, tie_embeddings=tied), make_tokenizer(KINDS[architecture]))
    ids = torch.arange(30)[None]
    model(input_ids=ids, labels=ids).loss.backward()
    assert [name for name, weight in model.named_parameters() if weight.requires_grad and weight.grad is None] == []


def test_the_seed_decides_the_weights():
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return new_model(recipe(), make_tokenizer("bos_eos")).model.layers[1].mlp.up_proj.weight

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bert", "roberta"])
def test_dropout_reaches_the_model(architecture):
    config = model_config(spec(architecture=architecture, dropout=0.25), 300)
    dropouts = {key: value for key, value in config.to_dict().items() if value == 0.25}
    assert dropouts.keys() >= {"llama": {"attention_dropout"}, "gpt2": {"embd_pdrop", "attn_pdrop", "resid_pdrop"}}.get(
        architecture, {"hidden_dropout_prob", "attention_probs_dropout_prob"}
    )


def test_attention_and_extra_keys_reach_the_model():
    config = model_config(spec(extra={"num_key_value_heads": 2, "rms_norm_eps": 1e-4}), 300, attention="eager")
    assert (config.num_key_value_heads, config.rms_norm_eps, config._attn_implementation) == (2, 1e-4, "eager")


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"rms_norm_epz": 1e-5}, ("'rms_norm_epz'", "'rms_norm_eps'")),
        ({"hidden_size": 32}, ("hidden_size", "second time")),
        ({"vocab_size": 32}, ("vocab_size", "second time")),
        ({"rms_norm_eps": "small"}, ("rms_norm_eps",)),
        ({"hidden_act": "nothing"}, ("nothing",)),
        ({"num_key_value_heads": 3}, ("4 heads", "3 heads")),
        ({"head_dim": 5}, ("5 dimensions", "in pairs")),
    ],
)
def test_an_extra_key_that_cannot_be_is_refused(extra, words):
    with pytest.raises(UsageError) as error:
        parameter_count(spec(extra=extra), 300)
    for word in words:
        assert word in error.value.what


def test_another_name_of_a_key_is_the_same_key():
    with pytest.raises(UsageError, match="second time"):
        parameter_count(spec(architecture="gpt2", extra={"hidden_size": 32}), 300)


def test_a_tokenizer_of_another_size_is_refused():
    asked = recipe().model_copy(update={"tokenizer": TokenizerSpec(vocab_size=VOCABULARY + 1)})
    with pytest.raises(UsageError, match=f"has {VOCABULARY} tokens.* {VOCABULARY + 1}"):
        new_model(asked, make_tokenizer("bos_eos"))


def test_attention_that_is_not_installed_is_missing():
    from transformers.utils import is_flash_attn_2_available

    if is_flash_attn_2_available():
        pytest.skip("flash attention is installed here")
    with pytest.raises(MissingError, match="not installed"):
        new_model(recipe(attention="flash_attention_2"), make_tokenizer("bos_eos"))
