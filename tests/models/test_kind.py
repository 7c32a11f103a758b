"""What kind a model is, by which backend it is scored, and how much it takes at once."""

from __future__ import annotations

import pytest
from transformers import (
    BartConfig,
    BertConfig,
    CamembertConfig,
    GPT2Config,
    LlamaConfig,
    ModernBertConfig,
    MPNetConfig,
    OPTConfig,
    PreTrainedConfig,
    RobertaConfig,
    T5Config,
    ViTConfig,
)

from babyeval.errors import UsageError
from babyeval.models.kind import BACKENDS, context_window, detect_backend


@pytest.mark.parametrize(
    ("config", "architecture", "backend"),
    [
        (GPT2Config(), "GPT2LMHeadModel", "causal"),
        (LlamaConfig(), "LlamaForCausalLM", "causal"),
        (BertConfig(), "BertForMaskedLM", "mlm"),
        (BertConfig(), "BertForPreTraining", "mlm"),
        (BertConfig(is_decoder=True), "BertLMHeadModel", "causal"),
        (ModernBertConfig(), "ModernBertForMaskedLM", "mlm"),
        (PreTrainedConfig(), "GPTBertForCausalLM", "causal"),
        (PreTrainedConfig(), "LTGBertForMaskedLM", "mlm"),
        (GPT2Config(), None, "causal"),
        (LlamaConfig(), "LlamaModel", "causal"),
        (RobertaConfig(), None, "mlm"),
        (RobertaConfig(is_decoder=True), None, "causal"),
    ],
)
def test_the_backend_follows_the_architecture_else_the_type(config, architecture, backend):
    config.architectures = [architecture] if architecture else None
    choice = detect_backend(config, "auto")
    assert choice.backend == backend
    assert (architecture if architecture and architecture != "LlamaModel" else config.model_type) in choice.reason


@pytest.mark.parametrize("config", [T5Config(), BartConfig()])
def test_encoder_decoder_models_are_refused(config):
    config.architectures = ["SomethingForConditionalGeneration"]
    with pytest.raises(UsageError, match="Encoder-decoder") as caught:
        detect_backend(config, "auto")
    assert "SomethingForConditionalGeneration" in str(caught.value)


def test_a_model_without_words_is_refused_with_the_choice():
    with pytest.raises(UsageError, match="'vit'") as caught:
        detect_backend(ViTConfig(), "auto")
    for backend in BACKENDS:
        assert f"--backend {backend}" in str(caught.value)


@pytest.mark.parametrize("wanted", BACKENDS)
def test_what_the_user_says_wins(wanted):
    choice = detect_backend(GPT2Config(architectures=["GPT2LMHeadModel"]), wanted)
    assert (choice.backend, choice.reason) == (wanted, "asked for by --backend")


def test_an_unknown_backend_is_refused():
    with pytest.raises(UsageError, match="'clm'"):
        detect_backend(GPT2Config(), "clm")


class Tokenizer:
    """What a tokenizer states about lengths; by default nothing, which transformers writes as a huge number."""

    def __init__(self, model_max_length: object = int(1e30)) -> None:
        self.model_max_length = model_max_length


@pytest.mark.parametrize(
    ("config", "window"),
    [
        (GPT2Config(n_positions=77), 77),
        (LlamaConfig(max_position_embeddings=128), 128),
        (OPTConfig(max_position_embeddings=64), 64),
        (BertConfig(max_position_embeddings=512), 512),
        (RobertaConfig(max_position_embeddings=514, pad_token_id=1), 512),
        (RobertaConfig(max_position_embeddings=514, pad_token_id=0), 513),
        (CamembertConfig(max_position_embeddings=514, pad_token_id=1), 512),
        (MPNetConfig(max_position_embeddings=514, pad_token_id=1), 512),
        (T5Config(), None),
    ],
)
def test_the_window_is_what_the_positions_allow(config, window):
    """RoBERTa and its kin begin to count behind the padding id, so that some entries are never used."""
    assert context_window(config, Tokenizer()) == window


def test_the_tokenizers_limit_counts_only_where_the_model_states_none():
    """The official pipelines ignore it."""
    assert context_window(GPT2Config(n_positions=1024), Tokenizer(256)) == 1024
    assert context_window(T5Config(), Tokenizer(512)) == 512
    assert context_window(T5Config(), Tokenizer(None)) is None


@pytest.mark.parametrize("padding", [1, 3])
def test_robertas_window_is_the_longest_input_that_runs(padding, tiny_folder):
    """Against the model itself: one token more leaves its table of positions."""
    import torch
    from transformers import RobertaForMaskedLM

    config = RobertaConfig(
        vocab_size=30, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=20, pad_token_id=padding, type_vocab_size=1,
    )  # fmt: skip
    model = RobertaForMaskedLM(config).eval()
    window = context_window(config, Tokenizer())
    with torch.inference_mode():
        model(input_ids=torch.full((1, window), 7))
        with pytest.raises((IndexError, RuntimeError)):
            model(input_ids=torch.full((1, window + 1), 7))
