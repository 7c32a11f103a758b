"""What kind a model is, by which backend it is scored, and how much it takes at once."""

from __future__ import annotations

import pytest
from transformers import (
    BartConfig,
    BertConfig,
    CamembertConfig,
    EncoderDecoderConfig,
    GPT2Config,
    LEDConfig,
    LlamaConfig,
    LlavaConfig,
    MarianConfig,
    ModernBertConfig,
    MPNetConfig,
    OPTConfig,
    PreTrainedConfig,
    RobertaConfig,
    T5Config,
    T5GemmaConfig,
    ViTConfig,
)

from babyeval.errors import UsageError
from babyeval.models.kind import BACKENDS, KindChoice, context_window, detect_backend, kind_of


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


@pytest.mark.parametrize(
    ("config", "architecture"),
    [
        (T5Config(), "T5ForConditionalGeneration"),
        (BartConfig(), "BartForConditionalGeneration"),
        (MarianConfig(), "MarianMTModel"),
        (T5Config(), None),
        (T5Config(is_encoder_decoder=False), "T5ForConditionalGeneration"),
        (PreTrainedConfig(auto_map={"AutoModelForSeq2SeqLM": "own.Own"}), "OwnForConditionalGeneration"),
    ],
)
def test_encoder_decoders_are_asked_for_masked_tokens_unless_told_otherwise(config, architecture):
    config.architectures = [architecture] if architecture else None
    choice = detect_backend(config, "auto")
    assert choice.backend == "enc-dec-mask"
    assert (architecture or "t5") in choice.reason
    assert "--backend enc-dec-prefix" in choice.reason
    assert detect_backend(config, "enc-dec-prefix") == KindChoice("enc-dec-prefix", "asked for by --backend")


def test_only_text_to_text_models_are_encoder_decoders():
    """Decoders that look at pictures have the same ending, and BART's decoder alone is a causal model."""
    pictures = LlavaConfig(architectures=["LlavaForConditionalGeneration"])
    with pytest.raises(UsageError, match="cannot be told"):
        detect_backend(pictures, "auto")
    decoder = BartConfig(is_encoder_decoder=False, is_decoder=True, architectures=["BartForCausalLM"])
    assert detect_backend(decoder, "auto").backend == "causal"


@pytest.mark.parametrize("wanted", ["causal", "mlm", "mntp"])
def test_an_encoder_decoder_is_not_asked_as_something_else(wanted):
    with pytest.raises(UsageError, match=f"'{wanted}' is not for encoder-decoder models, and this is one") as caught:
        detect_backend(T5Config(architectures=["T5ForConditionalGeneration"]), wanted)
    assert "T5ForConditionalGeneration" in str(caught.value)
    assert "enc-dec-mask, enc-dec-prefix" in caught.value.hint


@pytest.mark.parametrize("wanted", ["enc-dec-mask", "enc-dec-prefix"])
@pytest.mark.parametrize("config", [GPT2Config(architectures=["GPT2LMHeadModel"]), BertConfig()])
def test_something_else_is_not_asked_as_an_encoder_decoder(config, wanted):
    with pytest.raises(UsageError, match=f"'{wanted}' is for encoder-decoder models, and this is none") as caught:
        detect_backend(config, wanted)
    assert "causal, mlm, mntp" in caught.value.hint


def test_a_model_without_words_is_refused_with_the_choice():
    with pytest.raises(UsageError, match="'vit'") as caught:
        detect_backend(ViTConfig(), "auto")
    assert len(BACKENDS) == 5
    for backend in BACKENDS:
        assert f"--backend {backend}" in str(caught.value)


@pytest.mark.parametrize("wanted", BACKENDS)
def test_what_the_user_says_wins_where_the_configuration_says_nothing(wanted):
    assert detect_backend(PreTrainedConfig(), wanted) == KindChoice(wanted, "asked for by --backend")


@pytest.mark.parametrize("wanted", ["causal", "mlm", "mntp"])
def test_what_the_user_says_wins(wanted):
    choice = detect_backend(GPT2Config(architectures=["GPT2LMHeadModel"]), wanted)
    assert (choice.backend, choice.reason) == (wanted, "asked for by --backend")


def test_kinds():
    assert [kind_of(backend) for backend in BACKENDS] == ["causal", "masked", "masked", "encoder-decoder", "encoder-decoder"]


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
        (T5Config(n_positions=512), None),
        (BartConfig(max_position_embeddings=99), 99),
        (LEDConfig(max_encoder_position_embeddings=4096, max_decoder_position_embeddings=96), 96),
        (T5GemmaConfig(), 8192),
        (EncoderDecoderConfig(encoder=RobertaConfig(max_position_embeddings=66).to_dict(), decoder=BertConfig().to_dict()), 64),
    ],
)
def test_the_window_is_what_the_positions_allow(config, window):
    """RoBERTa and its kin begin to count behind the padding id, so that some entries are never used."""
    assert context_window(config, Tokenizer()) == window


def test_the_tokenizers_limit_counts_only_where_the_model_states_none():
    """The official pipelines ignore it."""
    assert context_window(GPT2Config(n_positions=1024), Tokenizer(256)) == 1024
    assert context_window(PreTrainedConfig(), Tokenizer(512)) == 512
    assert context_window(PreTrainedConfig(), Tokenizer(None)) is None


def test_a_model_that_knows_distances_only_is_never_cut():
    """T5 was trained on 512 tokens, which its tokenizer and its configuration tell, and takes any number."""
    assert context_window(T5Config(n_positions=512), Tokenizer(512)) is None


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
