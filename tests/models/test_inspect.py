"""Looking at a checkpoint: what is said about it, and what a user is warned of."""

from __future__ import annotations

import math

import pytest
import torch
from asking import opened
from tiny import make_model, make_tokenizer

from babyeval.errors import UsageError
from babyeval.models.checkpoint import from_memory
from babyeval.models.inspect import inspect_checkpoint


def looked(kind: str, architecture: str = "gpt2", change=lambda model: None, **options):
    tokenizer = make_tokenizer(kind)
    model = make_model(architecture, tokenizer)
    change(model)
    return inspect_checkpoint(from_memory(model, tokenizer, **options), "cpu")


def test_the_facts_of_a_model(tiny_folder):
    checkpoint = opened(tiny_folder("llama", "bos_eos"))
    found = inspect_checkpoint(checkpoint, "cpu")
    assert found.facts["backend"].startswith("causal, because its architecture is LlamaForCausalLM")
    assert found.facts["parameters"] == f"{checkpoint.parameters:,}"
    assert found.facts["window"] == "64 tokens"
    assert found.facts["around a text"] == "<s> ... </s>"
    assert found.facts["prefix sharing"] == "proven on this model"
    assert "blimp" in found.tasks
    assert not found.unusable
    assert set(found.as_dict()) == {"facts", "tasks", "warnings", "unusable"}


@pytest.mark.parametrize(
    ("kind", "architecture", "words"),
    [
        ("none", "gpt2", "never scored"),
        ("eos", "gpt2", "robust puts </s> in front"),
        ("bos", "gpt2", "scored given <s>, under every protocol"),
        ("cls_sep", "bert", "scored like every other"),
    ],
)
def test_how_the_first_token_is_treated(kind, architecture, words):
    """D9."""
    assert words in looked(kind, architecture).facts["first token"]


@pytest.mark.parametrize(
    ("kind", "architecture", "backend", "words"),
    [
        ("t5", "t5", "enc-dec-mask", "scored like every other"),
        (
            "t5",
            "t5",
            "enc-dec-prefix",
            "given <pad> <extra_id_0> in the decoder; the official protocols begin it with <extra_id_0>",
        ),
        ("bart", "bart", "enc-dec-prefix", "scored given <s> <mask> in the decoder, under every protocol"),
    ],
)
def test_the_facts_of_an_encoder_decoder(kind, architecture, backend, words):
    found = looked(kind, architecture, backend=backend)
    assert words in found.facts["first token"]
    assert found.facts["window"] == ("64 tokens" if architecture == "bart" else "no limit")
    assert "nats per token" in found.facts["mean surprisal"]
    other = {"enc-dec-mask": "enc-dec-prefix", "enc-dec-prefix": "enc-dec-mask"}[backend]
    assert f"--backend {other}" in found.facts["asked"]
    assert not found.unusable


@pytest.mark.parametrize(
    ("kind", "architecture", "said", "unsaid"),
    [
        ("bos", "gpt2", "(D11)", "(D10)"),
        ("bos_eos", "gpt2", "behind </s> (D10)", "no such text"),
        ("cls_sep", "gpt2", "behind [SEP] (D10)", "(D11)"),
        ("cls_sep", "bert", "the right ones", "(D10)"),
    ],
)
def test_what_the_official_reading_scores_ask_for_is_said(kind, architecture, said, unsaid):
    words = looked(kind, architecture).facts["words"]
    assert said in words
    assert unsaid not in words


def test_a_decoder_without_anything_to_begin_with_is_noticed():
    tokenizer = make_tokenizer("bart")
    tokenizer.bos_token = tokenizer.mask_token = None
    model = make_model("bart", make_tokenizer("bart"))
    model.config.decoder_start_token_id = None
    found = inspect_checkpoint(from_memory(model, tokenizer, backend="enc-dec-prefix"), "cpu")
    assert found.facts["first token"].startswith("never scored")


def test_an_untrained_model_is_noticed():
    found = looked("bos", change=lambda model: [weight.data.mul_(0.01) for weight in model.parameters()])
    assert any("no better than chance" in warning for warning in found.warnings)
    assert f"guessing: {math.log(330):.2f}" in found.facts["mean surprisal"]


def test_a_model_of_nan_is_unusable():
    found = looked("bos", change=lambda model: model.transformer.ln_f.weight.data.fill_(torch.nan))
    assert found.unusable
    assert any("NaN or infinite" in warning for warning in found.warnings)


def test_a_tokenizer_of_letters_is_noticed():
    assert any("single letters" in warning for warning in looked("sentencepiece").warnings)


def test_a_tokenizer_that_does_not_know_english_is_noticed():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({"<unk>": 0, "The": 1, "dog": 2}, unk_token="<unk>"))  # noqa: S106
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="<unk>", bos_token="<unk>")  # noqa: S106
    found = inspect_checkpoint(from_memory(make_model("gpt2", tokenizer), tokenizer), "cpu")
    assert any("does not know a part of plain English" in warning for warning in found.warnings)


def test_a_model_that_looks_ahead_is_refused():
    with pytest.raises(UsageError, match="sees the words"):
        looked("cls_sep", "bert", backend="causal")
