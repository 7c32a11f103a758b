"""Body and head apart: trusted only if proven, and then the same numbers; targets that are sets of ids."""

from __future__ import annotations

import pytest
import torch
from asking import opened
from brute import Brute
from tiny import CAUSAL, MASKED, SENTENCES, make_model, make_tokenizer
from torch import nn
from transformers import GPT2LMHeadModel

from babyeval.models.load import load_model
from babyeval.scoring import model_view
from babyeval.scoring.batched import run_batched
from babyeval.scoring.batching import Work
from babyeval.scoring.causal import run_causal
from babyeval.scoring.model_view import Asked, ModelView
from babyeval.scoring.trie import build_trie
from babyeval.types import Query, Read

CPU = torch.device("cpu")


def viewed(folder, **options) -> ModelView:
    return ModelView(load_model(opened(folder, **options), CPU), CPU)


def inputs(view: ModelView) -> dict[str, torch.Tensor]:
    ids = torch.arange(24).reshape(2, 12) % (view.vocabulary - 10) + 5
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    return {"input_ids": ids, "attention_mask": mask}


@pytest.mark.parametrize("architecture", [*CAUSAL, *MASKED])
def test_body_and_head_can_be_told_apart(architecture, tiny_folder):
    view = viewed(tiny_folder(architecture, "bos_eos"))
    assert view.try_split(inputs(view))
    assert view.split


@pytest.mark.parametrize("architecture", [*CAUSAL, *MASKED])
def test_the_head_sees_asked_positions_only(architecture, tiny_folder, monkeypatch):
    """And each of them once, however often it is read."""
    view = viewed(tiny_folder(architecture, "bos_eos"))
    view.try_split(inputs(view))
    seen = []
    head = view._head
    monkeypatch.setattr(view, "_head", lambda hidden: seen.append(len(hidden)) or head(hidden))
    values = view.read(inputs(view), Asked([20, 3, 3, 20, 7], [1, 2, 3, 1, 4]))
    assert seen == [3]
    assert values[0] == values[3]


@pytest.mark.parametrize("chunk", [1, 2, 256])
@pytest.mark.parametrize("split", [False, True])
def test_reads_are_answered_in_the_order_asked(tiny_folder, monkeypatch, split, chunk):
    view = viewed(tiny_folder("llama", "bos"))
    view.split = split
    monkeypatch.setattr(model_view, "_HEAD_POSITIONS_CPU", chunk)
    positions, targets = [20, 3, 3, 0, 20, 7], [1, 2, (9, 3), 8, (4,), 5]
    with torch.inference_mode():
        table = torch.log_softmax(view.model(**inputs(view)).logits.double(), -1).flatten(0, 1)
    expected = [
        float(table[p, list(t) if isinstance(t, tuple) else [t]].logsumexp(-1)) for p, t in zip(positions, targets, strict=True)
    ]
    assert view.read(inputs(view), Asked(positions, targets)) == pytest.approx(expected, abs=1e-4, rel=0)


def test_nothing_asked_is_nothing_answered(tiny_folder):
    view = viewed(tiny_folder("llama", "bos"))
    assert view.read(inputs(view), Asked([], [])) == []


def test_the_body_is_put_back_even_if_the_head_fails(tiny_folder, monkeypatch):
    view = viewed(tiny_folder("gpt2", "bos"))
    body = view.model.transformer
    monkeypatch.setattr(view.model, "lm_head", nn.Linear(7, 3))
    with pytest.raises(RuntimeError):
        view._head(torch.zeros(2, 32))
    assert view.model.transformer is body


class PositionBias(GPT2LMHeadModel):
    """Its logits depend on more than the hidden state: the head alone would give other numbers."""

    def forward(self, input_ids=None, **kwargs):
        out = super().forward(input_ids=input_ids, **kwargs)
        position = torch.arange(out.logits.shape[1], dtype=torch.float32)
        scale = torch.linspace(-0.1, 0.1, out.logits.shape[-1])
        return type(out)(logits=out.logits + position[:, None] * scale)


class ReadsIds(GPT2LMHeadModel):
    """Its head looks the input ids up, of which there are others when the head runs alone."""

    def forward(self, input_ids=None, **kwargs):
        out = super().forward(input_ids=input_ids, **kwargs)
        return type(out)(logits=out.logits.scatter(-1, input_ids[..., None], 0.0))


class NeedsMask(GPT2LMHeadModel):
    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        attention_mask.sum()  # fails without a mask, as the head is called
        return super().forward(input_ids=input_ids, attention_mask=attention_mask, **kwargs)


@pytest.mark.parametrize("kind", [PositionBias, ReadsIds, NeedsMask])
def test_a_model_with_more_behind_its_body_is_run_whole(kind, tiny_folder):
    view = ModelView(kind.from_pretrained(tiny_folder("gpt2", "bos")).eval(), CPU)
    assert not view.try_split(inputs(view))
    assert not view.split
    with torch.inference_mode():
        table = torch.log_softmax(view.model(**inputs(view)).logits, -1).flatten(0, 1)
    assert view.read(inputs(view), Asked([5, 17], [3, 4])) == pytest.approx([float(table[5, 3]), float(table[17, 4])], abs=1e-5)


def test_what_a_model_does_behind_its_body_is_done(tiny_folder):
    """Llama with scaled and capped logits: the head's own steps are part of the answer."""

    class Capped(type(viewed(tiny_folder("llama", "bos")).model)):
        def forward(self, *args, **kwargs):
            out = super().forward(*args, **kwargs)
            out.logits = 3 * torch.tanh(out.logits / 3)
            return out

    view = ModelView(Capped.from_pretrained(tiny_folder("llama", "bos")).eval(), CPU)
    assert view.try_split(inputs(view))
    with torch.inference_mode():
        table = torch.log_softmax(view.model(**inputs(view)).logits, -1).flatten(0, 1)
    assert view.read(inputs(view), Asked([5], [3])) == pytest.approx([float(table[5, 3])], abs=1e-5)


def test_log_softmax_is_float32_even_in_bfloat16():
    """D4: with thousands of words of like logits, bfloat16 sums would be off by tenths of a nat."""
    tokenizer = make_tokenizer("bos")
    model = make_model("gpt2", tokenizer).to(torch.bfloat16)
    view = ModelView(model, CPU)
    assert view.dtype == torch.bfloat16
    ids = {"input_ids": torch.tensor([[5, 6, 7]])}
    with torch.inference_mode():
        logits = model(**ids).logits[0, 2].double()
    expected = torch.log_softmax(logits, -1)
    assert view.read(ids, Asked([2] * 4, [1, 2, 3, 4])) == pytest.approx(expected[1:5].tolist(), abs=1e-5)


@pytest.mark.parametrize("architecture", ["llama", "bert"])
def test_a_set_of_targets_is_worth_the_sum_of_their_probabilities(architecture, tiny_folder):
    """Against brute force; sets and single ids in one query, on both ways."""
    folder = tiny_folder(architecture, "cls_sep")
    brute = Brute(folder, masked=architecture == "bert")
    view = viewed(folder)
    queries, expected = [], []
    for n, sentence in enumerate(SENTENCES[:6]):
        ids = tuple(brute.tokenizer(sentence)["input_ids"])
        reads = (Read(1, (3, 9, 20 + n)), Read(len(ids) - 1, 5), Read(2, (7,)), Read(1, tuple(range(view.vocabulary))))
        table = brute.logprobs(ids)
        queries.append(Query(ids, reads))
        expected.append([float(table[p, list(t) if isinstance(t, tuple) else [t]].exp().sum().log()) for p, t in reads])
    ways = [run_batched(view, queries, Work())]
    if architecture == "llama":
        ways.append(run_causal(view, queries, build_trie(queries), Work(), None))
    for way in ways:
        answers = dict(pair for batch in way for pair in batch)
        for i, values in enumerate(expected):
            assert answers[i] == pytest.approx(values, abs=1e-4, rel=0)
            assert answers[i][3] == pytest.approx(0, abs=1e-5)
