"""Sharing prefixes is proven before it is trusted: models that look ahead are refused, others take the plain path."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from asking import ask, encoder, keyed, opened, rows_of
from brute import Brute
from tiny import SENTENCES, make_tokenizer
from transformers import GPT2Config, GPT2LMHeadModel, GPT2Model, LlamaForCausalLM, MistralConfig, MistralForCausalLM
from transformers.modeling_outputs import CausalLMOutput

from babyeval.errors import UsageError
from babyeval.models.checkpoint import Checkpoint, from_memory
from babyeval.models.load import load_model
from babyeval.scoring.causal import probe_sharing
from babyeval.scoring.engine import Engine
from babyeval.scoring.model_view import ModelView
from babyeval.scoring.trie import build_trie
from babyeval.types import Query, Read, Row, Span

SPANS = [Span(sentence) for sentence in SENTENCES]


def scored(checkpoint: Checkpoint, spans: Sequence[Span] = SPANS) -> tuple[list[Row], Engine]:
    engine = Engine(checkpoint, device="cpu")
    rows = rows_of(engine, list(encoder(checkpoint).encode(spans)))
    engine.close()
    return rows, engine


def assert_plain(rows: Sequence[Row], model: torch.nn.Module, folder, spans: Sequence[Span] = SPANS) -> None:
    """The rows are what plain passes of this very model give."""
    brute = Brute(folder, masked=False)
    brute.model = model
    for span, row in zip(spans, rows, strict=True):
        assert row.logprobs == pytest.approx(brute.causal(span.text, robust=True).logprobs, abs=1e-4, rel=0)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_ordinary_models_share_prefixes(architecture, tiny_folder):
    _, engine = scored(opened(tiny_folder(architecture, "bos")))
    work = engine.works["float32"]
    assert work.path == "trie"
    assert work.nodes < sum(len(opened(tiny_folder(architecture, "bos")).tokenizer(text)["input_ids"]) for text in SENTENCES)


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_eager_attention_takes_the_trie_too(architecture, tiny_folder):
    folder = tiny_folder(architecture, "bos")
    kind = GPT2LMHeadModel if architecture == "gpt2" else LlamaForCausalLM
    model = kind.from_pretrained(folder, attn_implementation="eager").eval()
    rows, engine = scored(from_memory(model, make_tokenizer("bos")))
    assert engine.works["float32"].path == "trie"
    assert_plain(rows, model, folder)


def test_a_bidirectional_model_asked_causally_is_refused(tiny_folder):
    with pytest.raises(UsageError, match="sees the words that it should predict") as caught:
        scored(opened(tiny_folder("bert", "cls_sep"), backend="causal"))
    assert "--backend mlm" in str(caught.value)


class LooksAhead(LlamaForCausalLM):
    """A Llama whose attention sees every token."""

    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        width = input_ids.shape[1]
        everything = torch.ones(len(input_ids), 1, width, width, dtype=torch.bool)
        return super().forward(input_ids=input_ids, attention_mask=everything, **kwargs)


def test_a_model_whose_attention_looks_ahead_is_refused(tiny_folder):
    model = LooksAhead.from_pretrained(tiny_folder("llama", "bos")).eval()
    with pytest.raises(UsageError, match="sees the words that it should predict"):
        scored(from_memory(model, make_tokenizer("bos"), backend="causal"))


class IgnoresMasks(GPT2Model):
    """Takes a custom mask and does as it always does."""

    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        if attention_mask is not None and attention_mask.dim() == 4:
            attention_mask = None
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, **kwargs)


class IgnoresPositions(GPT2Model):
    def forward(self, input_ids=None, position_ids=None, **kwargs):
        return super().forward(input_ids=input_ids, **kwargs)


class TakesNoPositions(GPT2Model):
    """As in a checkpoint's own code: two arguments, here and in its head."""

    def forward(self, input_ids=None, attention_mask=None):
        return super().forward(input_ids=input_ids, attention_mask=attention_mask)


class PlainHead(GPT2LMHeadModel):
    def forward(self, input_ids=None, attention_mask=None):
        return CausalLMOutput(logits=self.lm_head(self.transformer(input_ids, attention_mask)[0]))


class RefusesMasks(GPT2Model):
    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        if attention_mask is not None and attention_mask.dim() != 2:
            raise ValueError("attention_mask should be two-dimensional")
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, **kwargs)


class NanUnderMasks(GPT2Model):
    """Gives NaN at some nodes if the mask is a custom one, as a kernel may that divides by an empty sum."""

    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        out = super().forward(input_ids=input_ids, attention_mask=attention_mask, **kwargs)
        if attention_mask is not None and attention_mask.dim() == 4:
            out.last_hidden_state[:, 8:] = torch.nan
        return out


UNABLE = {
    IgnoresMasks: "sharing prefixes changes log-probabilities",
    IgnoresPositions: "sharing prefixes changes log-probabilities",
    TakesNoPositions: "it takes no custom attention mask: TypeError",
    RefusesMasks: "it takes no custom attention mask: ValueError",
    NanUnderMasks: "sharing prefixes changes log-probabilities",
}


@pytest.mark.parametrize("body", UNABLE)
def test_a_model_that_cannot_share_takes_the_plain_path_with_right_numbers(body, tiny_folder):
    folder = tiny_folder("gpt2", "bos", positions=256)
    model = (PlainHead if body is TakesNoPositions else GPT2LMHeadModel).from_pretrained(folder).eval()
    model.transformer.__class__ = body
    rows, engine = scored(from_memory(model, make_tokenizer("bos"), backend="causal"))
    assert_plain(rows, model, folder)
    assert engine.works["float32"].path.startswith(f"batched ({UNABLE[body]}")


@pytest.fixture(scope="module")
def sliding() -> MistralForCausalLM:
    """Each token sees the last eight only."""
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=330, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=64, sliding_window=8, initializer_range=0.2,
    )  # fmt: skip
    return MistralForCausalLM(config).eval()


def test_a_sliding_window_shorter_than_an_input_takes_the_plain_path(sliding, tiny_folder):
    rows, engine = scored(from_memory(sliding, make_tokenizer("bos")))
    assert "sliding window of 8" in engine.works["float32"].path
    assert engine.works["float32"].path.startswith("batched")
    assert_plain(rows, sliding, tiny_folder("gpt2", "bos"))


def test_what_was_proven_on_short_questions_is_not_trusted_for_longer_ones(sliding, tiny_folder):
    """The same engine is asked twice: a short sentence fits the sliding window, the next ones do not."""
    checkpoint = from_memory(sliding, make_tokenizer("bos"))
    engine = Engine(checkpoint, device="cpu")
    encoded = [list(encoder(checkpoint).encode(spans)) for spans in ([Span("a")], SPANS)]
    rows_of(engine, encoded[0])
    rows = rows_of(engine, encoded[1])
    engine.close()
    assert_plain(rows, sliding, tiny_folder("gpt2", "bos"))


def test_one_token_texts_are_no_reason_to_fail(tiny_folder):
    """Nothing to test for looking ahead, and nothing to share."""
    rows = ask(opened(tiny_folder("llama", "bos")), [Span("a")])
    assert [len(row.logprobs) for row in rows] == [1]


def test_probe_says_nothing_against_a_model_of_nan(tiny_folder):
    """A broken model is not the probe's business: equal NaN on both ways is no difference (D2 deals with it)."""
    checkpoint = opened(tiny_folder("llama", "bos"))
    model = load_model(checkpoint, torch.device("cpu"))
    model.lm_head.weight.data[:] = torch.nan
    view = ModelView(model, torch.device("cpu"))
    queries = list(keyed([q for part in encoder(checkpoint).encode(SPANS) for q in part.queries]).values())
    assert probe_sharing(view, queries, build_trie(queries)) is None


def test_a_vocabulary_that_one_text_uses_up_is_no_reason_to_fail():
    """Models of letters or phonemes: no id is left that does not occur in the text."""
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=4, n_embd=32, n_layer=2, n_head=4, n_positions=32, initializer_range=0.2, bos_token_id=0, eos_token_id=0
    )
    view = ModelView(GPT2LMHeadModel(config).eval(), torch.device("cpu"))
    queries = [Query((0, 1, 2, 3) * 3, (Read(11, 1),)), Query((0, 1, 3), (Read(2, 0),))]
    assert probe_sharing(view, queries, build_trie(queries)) is None
