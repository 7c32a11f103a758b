"""The classifier: what it reads under each protocol (D13), and that neither padding nor company changes it under robust."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from fitting import OFFICIAL_2025, OFFICIAL_2026, ROBUST, example, examples
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import make_model, make_tokenizer

from babyeval.errors import UsageError
from babyeval.fit.classifier import Body, PooledClassifier, open_body
from babyeval.fit.encode import encode
from babyeval.models.checkpoint import Checkpoint, from_memory, open_checkpoint
from babyeval.models.naming import parse_model

CPU = torch.device("cpu")
KIND_OF = {"llama": "bos", "gpt2": "eos", "bert": "cls_sep", "roberta": "bos_eos", "t5": "t5", "bart": "bart"}


@cache
def opened(architecture: str, positions: int = 96) -> tuple[Checkpoint, Body, PooledClassifier]:
    tokenizer = make_tokenizer(KIND_OF[architecture])
    checkpoint = from_memory(make_model(architecture, tokenizer, positions=positions), tokenizer)
    body = open_body(checkpoint, CPU)
    return checkpoint, body, PooledClassifier(body, 3, 0.1, seed=1).eval()


@torch.no_grad()
def logits(architecture, hyper, chosen, together=True):
    checkpoint, body, classifier = opened(architecture)
    rows = encode(checkpoint.tokenizer, chosen, replace(hyper, max_length=checkpoint.window or 512))
    collate = body.collator(hyper, typed=rows[0].token_types is not None)
    batches = [rows] if together else [[row] for row in rows]
    inputs = [collate(batch) for batch in batches]
    return torch.cat([classifier(**{k: v for k, v in one.items() if k != "labels"}) for one in inputs])


@pytest.mark.parametrize("architecture", list(KIND_OF))
@pytest.mark.parametrize("pooling", ["auto", "mean"])
@settings(max_examples=20)
@given(data=st.data())
def test_robust_logits_depend_neither_on_padding_nor_on_company(architecture, pooling, data):
    chosen = examples(6, start=data.draw(st.integers(0, 100)))
    company = data.draw(st.lists(st.sampled_from(chosen), min_size=2, max_size=5, unique=True))
    hyper = replace(ROBUST, pooling=pooling)
    alone = logits(architecture, hyper, company, together=False)
    right = logits(architecture, hyper, company)
    left = logits(architecture, replace(hyper, padding="left"), company)
    assert alone.std(0).max() > 1e-2  # they do differ between examples
    torch.testing.assert_close(right, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(left, alone, rtol=0, atol=1e-5)


@pytest.mark.parametrize("architecture", list(KIND_OF))
def test_what_is_pooled(architecture):
    """Against the whole model, run on one example without padding, and the head applied to the states by hand."""
    checkpoint, body, classifier = opened(architecture)
    (row,) = encode(checkpoint.tokenizer, examples(1, start=7), ROBUST)
    inputs = {"input_ids": torch.tensor([row.input_ids])}
    if body.decoder_start is not None:
        inputs["decoder_input_ids"] = torch.tensor([[checkpoint.config.decoder_start_token_id]])
    with torch.no_grad():
        output = checkpoint.loaded(**inputs, output_hidden_states=True)
        states = output["decoder_hidden_states" if body.decoder_start is not None else "hidden_states"][-1][0]
        places = {"first": 0, "last": -1, "auto": -1 if architecture in ("llama", "gpt2") else 0}
        for pooling in ("first", "last", "auto", "mean"):
            wanted = states.mean(0) if pooling == "mean" else states[0 if len(states) == 1 else places[pooling]]
            found = logits(architecture, replace(ROBUST, pooling=pooling), examples(1, start=7))[0]
            normal = torch.nn.functional.layer_norm(wanted, wanted.shape, eps=1e-5)
            first, last = classifier.head[1], classifier.head[5]
            hidden = torch.nn.functional.gelu(first.weight @ normal + first.bias)
            expected = last.weight @ torch.nn.functional.layer_norm(hidden, hidden.shape, eps=1e-5) + last.bias
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_officially_2025_a_causal_model_is_read_before_it_has_read(shared):
    """D13: what begins alike is classified alike, whatever follows."""
    checkpoint = open_checkpoint(parse_model(str(shared / "models" / "tiny-llama")))
    body = open_body(checkpoint, CPU)
    classifier = PooledClassifier(body, 2, 0.1, seed=42).eval()
    chosen = [
        example(0, "The dog barks.", "It is awake."),
        example(1, "The cup is on the table.", "No child who sings is unhappy."),
    ]
    found = {}
    for hyper in (OFFICIAL_2025, ROBUST):
        rows = encode(checkpoint.tokenizer, chosen, hyper)
        assert rows[0].input_ids[0] == rows[1].input_ids[0]
        inputs = body.collator(hyper, typed=False)(rows)
        del inputs["labels"]
        with torch.no_grad():
            found[hyper.pooling] = classifier(**inputs)
    torch.testing.assert_close(found["first"][0], found["first"][1], rtol=0, atol=1e-6)
    assert (found["auto"][0] - found["auto"][1]).abs().max() > 1e-2


def test_officially_2026_padding_shifts_the_positions_of_some_models():
    chosen = examples(5, start=3)
    shifted = {}
    for architecture in ("gpt2", "bert", "llama"):
        alone, beside = (logits(architecture, OFFICIAL_2026, chosen, together) for together in (False, True))
        shifted[architecture] = (alone - beside).abs().max() > 1e-3
    assert shifted == {"gpt2": True, "bert": True, "llama": False}  # Llama's positions are distances


def test_officially_2026_reads_the_last_token_of_encoders_too():
    chosen = examples(1, start=3)
    last = logits("bert", replace(ROBUST, pooling="last"), chosen)
    officially = logits("bert", replace(OFFICIAL_2026, explicit_positions=False), chosen)
    checkpoint = opened("bert")[0]
    same = (
        encode(checkpoint.tokenizer, chosen, ROBUST)[0].input_ids
        == encode(checkpoint.tokenizer, chosen, OFFICIAL_2026)[0].input_ids
    )
    assert not same  # the official pair has no SEP with this tokenizer
    assert (last - officially).abs().max() > 1e-3
    (row,) = encode(checkpoint.tokenizer, chosen, OFFICIAL_2026)
    inputs = opened("bert")[1].collator(OFFICIAL_2026, typed=False)([row], width=40)
    assert inputs["reads"].nonzero().tolist() == [[0, 39]]
    assert inputs["input_ids"][0, -len(row.input_ids) :].tolist() == list(row.input_ids)


def test_a_tokenizer_without_padding_token_pads_with_eos_else_zero():
    for kind, pad in (("eos", "eos"), ("none", 0)):
        tokenizer = make_tokenizer(kind)
        model = make_model("gpt2", tokenizer)
        tokenizer.pad_token = None
        body = open_body(from_memory(model, tokenizer), CPU)
        assert body.pad == (tokenizer.eos_token_id if pad == "eos" else pad)
        rows = encode(tokenizer, examples(2, start=1), ROBUST)
        inputs = body.collator(ROBUST, typed=False)(rows)
        short = min(range(2), key=lambda i: len(rows[i].input_ids))
        assert (inputs["input_ids"][short, len(rows[short].input_ids) :] == body.pad).all()
        assert inputs["attention_mask"].sum(1).tolist() == [len(row.input_ids) for row in rows]


@pytest.mark.parametrize(("architecture", "read"), [("gpt2", False), ("roberta", False), ("llama", False), ("bert", True)])
def test_segments_are_given_to_bodies_that_know_two(architecture, read):
    """A tokenizer may speak of segments that its model does not have: GPT-2 would add words to every position."""
    tokenizer = make_tokenizer(KIND_OF[architecture])
    body = open_body(from_memory(make_model(architecture, tokenizer, positions=96), tokenizer), CPU)
    classifier = PooledClassifier(body, 2, 0.0, seed=1).eval()
    found = []
    for names in (["input_ids", "attention_mask"], ["input_ids", "token_type_ids", "attention_mask"]):
        tokenizer.model_input_names = names
        rows = encode(tokenizer, examples(2, start=1), ROBUST)
        inputs = body.collator(ROBUST, typed=rows[0].token_types is not None)(rows)
        assert ("token_type_ids" in inputs) == (read and len(names) == 3)
        del inputs["labels"]
        with torch.no_grad():
            found.append(classifier(**inputs))
    assert torch.equal(*found) == (not read)


def test_a_frozen_model_is_trained_whole():
    tokenizer = make_tokenizer("bos")
    frozen = make_model("llama", tokenizer).requires_grad_(False)
    body = open_body(from_memory(frozen, tokenizer), CPU)
    assert all(weight.requires_grad for weight in PooledClassifier(body, 2, 0.0, seed=1).parameters())
    assert not any(weight.requires_grad for weight in frozen.parameters())


def test_positions_begin_where_the_body_itself_begins():
    begins = {name: opened(name)[1].first_position for name in KIND_OF}
    pad = opened("roberta")[0].config.pad_token_id
    assert begins == {"llama": 0, "gpt2": 0, "bert": 0, "roberta": pad + 1, "t5": None, "bart": None}


@pytest.mark.parametrize("architecture", ["llama", "bert", "t5", "bart"])
def test_a_folder_and_a_loaded_model_have_one_body(architecture, tiny_folder):
    folder = tiny_folder(architecture, KIND_OF[architecture])
    checkpoint = open_checkpoint(parse_model(str(folder)))
    loaded = make_model(architecture, checkpoint.tokenizer)  # the same seed as the folder's
    from_folder = open_body(checkpoint, CPU)
    in_memory = open_body(from_memory(loaded, checkpoint.tokenizer), CPU)
    hyper = replace(ROBUST, max_length=60)
    inputs = from_folder.collator(hyper, typed=False)(encode(checkpoint.tokenizer, examples(3), hyper))
    del inputs["labels"]
    with torch.no_grad():
        a, b = (PooledClassifier(body, 2, 0.0, seed=3).eval()(**inputs) for body in (from_folder, in_memory))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-6)
    in_memory.model.requires_grad_(False)
    assert all(weight.requires_grad for weight in loaded.parameters())  # the caller's model stays as it is


def test_a_seed_makes_the_head_and_leaves_the_body_alone():
    _, body, _ = opened("llama")
    before = {name: weight.clone() for name, weight in body.model.state_dict().items()}
    first, again, other = (PooledClassifier(body, 2, 0.0, seed) for seed in (1, 1, 2))
    assert torch.equal(first.head[1].weight, again.head[1].weight)
    assert not torch.equal(first.head[1].weight, other.head[1].weight)
    with torch.no_grad():
        for weight in first.parameters():
            weight.zero_()
    assert all(torch.equal(weight, before[name]) for name, weight in body.model.state_dict().items())


def test_a_model_whose_body_cannot_be_had_is_refused():
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.config, self.weight = opened("llama")[0].config, torch.nn.Linear(2, 2)

        base_model = property(lambda self: self)

        def get_output_embeddings(self):
            return self.weight

    checkpoint = replace(opened("llama")[0], loaded=Odd())
    with pytest.raises(UsageError, match="body of Odd cannot be had"):
        open_body(checkpoint, CPU)
