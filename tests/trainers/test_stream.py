"""What a model reads: the order, the words seen, the masks, and that no document ever bears on another."""

from __future__ import annotations

import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from babyeval.trainers.model import model_config
from babyeval.trainers.recipe import ModelSpec, TokenizerSpec
from babyeval.trainers.shards import Shards, TokenFacts, build_shards
from babyeval.trainers.stream import BlockData, TrainStream, collate, mask_tokens
from babyeval.trainers.tokenizer import train_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from small_corpus import small_corpus
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from babyeval.progress import Quiet

LENGTH = 16
CAUSAL = {"llama": True, "gpt2": True, "bert": False, "roberta": False}


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Shards]:
    """Packed text for causal and for masked models."""
    out, spec = tmp_path_factory.mktemp("out"), TokenizerSpec(vocab_size=300, min_frequency=1)
    corpus = small_corpus(20)
    made = {}
    for causal in (True, False):
        folder = train_tokenizer(corpus, spec, causal, out, 64, Quiet())
        made[causal] = build_shards(corpus, folder, LENGTH, causal, out, Quiet())
    return made


def as_lists(row: dict) -> dict:
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in row.items()}


@pytest.mark.parametrize("causal", [True, False])
def test_every_epoch_reads_every_block_once_in_another_order(shards, causal):
    blocks = shards[causal].train
    stream = TrainStream(blocks, samples=3 * len(blocks), seed=1)
    places = [stream.place(i) for i in range(len(stream))]
    orders = [[block for epoch, block in places if epoch == e] for e in range(3)]
    assert [epoch for epoch, _ in places] == [0] * len(blocks) + [1] * len(blocks) + [2] * len(blocks)
    assert [sorted(order) for order in orders] == [list(range(len(blocks)))] * 3
    assert len({tuple(order) for order in orders}) == 3
    other = TrainStream(blocks, samples=len(blocks), seed=2)
    assert [other.place(i)[1] for i in range(len(other))] != orders[0]
    with pytest.raises(IndexError):
        stream[len(stream)]


def test_words_seen_are_those_of_the_blocks_read(shards):
    blocks = shards[True].train
    stream = TrainStream(blocks, samples=2 * len(blocks) + 5, seed=3)
    seen = 0
    assert stream.words_after(0) == 0
    for i in range(len(stream)):
        seen += int(blocks.words[stream.place(i)[1]])
        assert stream.words_after(i + 1) == stream.words_after_each[i] == seen
    assert stream.words_after(2 * len(blocks)) == 2 * shards[True].manifest.train.words
    assert TrainStream(blocks, samples=0, seed=3).words_after(0) == 0


@pytest.mark.parametrize("causal", [True, False])
def test_an_item_depends_on_nothing_but_its_number(shards, causal):
    def stream(samples: int) -> TrainStream:
        return TrainStream(shards[causal].train, samples=samples, seed=5)

    whole = stream(200)
    expected = [as_lists(whole[i]) for i in range(len(whole))]
    resumed = stream(150)  # read from the middle, backwards, in another process
    assert [as_lists(resumed[i]) for i in reversed(range(60, 150))] == expected[60:150][::-1]
    assert as_lists(pickle.loads(pickle.dumps(whole))[77]) == expected[77]  # noqa: S301 (our own)
    workers = DataLoader(stream(40), batch_size=None, num_workers=2, collate_fn=as_lists)
    assert list(workers) == expected[:40]


@pytest.mark.parametrize("causal", [True, False])
def test_rows_hold_the_blocks_pieces(shards, causal):
    blocks, facts = shards[causal].train, shards[causal].facts
    stream = TrainStream(blocks, samples=len(blocks), seed=0)
    padded = 0
    for i in range(len(stream)):
        block, row = stream.place(i)[1], as_lists(stream[i])
        tokens, starts = blocks.tokens(block).tolist(), blocks.starts(block).tolist()
        missing = LENGTH - len(tokens)
        padded += missing
        positions = []
        for place in range(LENGTH):
            positions.append(0 if place in (*starts, len(tokens)) else positions[-1] + 1)
        assert row["position_ids"] == positions
        if causal:
            assert row["input_ids"] == tokens + [facts.pad] * missing
            assert row["labels"] == [-100 if p == 0 or k >= len(tokens) else tokens[k] for k, p in enumerate(positions)]
        else:
            assert row["input_ids"][len(tokens) :] == [facts.pad] * missing
            for k, (given_id, label) in enumerate(zip(row["input_ids"], row["labels"], strict=True)):
                if label == -100:
                    assert k >= len(tokens) or given_id == tokens[k]
                else:
                    assert label == tokens[k]
    assert padded > 0


def test_masks_change_from_epoch_to_epoch_but_not_in_validation(shards):
    blocks = shards[False].train
    stream = TrainStream(blocks, samples=2 * len(blocks), seed=0)
    by_block = [
        {stream.place(i)[1]: stream[i]["labels"].tolist() for i in range(e * len(blocks), (e + 1) * len(blocks))} for e in (0, 1)
    ]
    assert sum(by_block[0][b] != by_block[1][b] for b in by_block[0]) > 0.9 * len(blocks)
    valid = shards[False].valid["tales"]
    assert [as_lists(row) for row in map(BlockData(valid).__getitem__, range(len(valid)))] == [
        as_lists(BlockData(valid)[i]) for i in range(len(valid))
    ]


def test_validation_reads_no_more_words_than_told(shards):
    blocks = shards[True].valid["tales"]
    total = np.cumsum(blocks.words).tolist()
    for most in (1, total[0], total[2] - 1, total[2], total[-1], 10**9):
        data = BlockData(blocks, most_words=most)
        assert data.words == total[len(data) - 1]
        assert len(data) == max(1, sum(words <= most for words in total))
    assert (len(BlockData(blocks)), BlockData(blocks).words) == (len(blocks), total[-1])
    with pytest.raises(IndexError):
        BlockData(blocks, most_words=1)[1]


# ---- masking: published shares (Devlin et al. 2019, section 3.1), by frequency and by hand

FACTS = TokenFacts(vocab_size=60, causal=False, pad=0, mask=4, special=(0, 1, 2, 3, 4), front=(2,), back=(3,))


def test_masking_has_the_published_shares():
    draw, ids = np.random.default_rng(0), np.tile(np.r_[2, 5:60, 3], 40)
    text = int((ids > 4).sum())
    asked = hidden = changed = kept = 0
    replaced = np.zeros(60, dtype=int)
    for _ in range(60):
        inputs, labels = mask_tokens(ids, FACTS, 0.15, draw)
        chosen = labels != -100
        asked += int(chosen.sum())
        assert (inputs[~chosen] == ids[~chosen]).all()
        assert (labels[chosen] == ids[chosen]).all()
        assert (ids[chosen] > 4).all()
        assert abs(chosen.sum() - 0.15 * text) < 1
        hidden += int((inputs[chosen] == 4).sum())
        kept += int((inputs[chosen] == ids[chosen]).sum())
        other = chosen & (inputs != 4) & (inputs != ids)
        changed += int(other.sum())
        replaced += np.bincount(inputs[other], minlength=60)
    assert abs(asked / (60 * text) - 0.15) < 1e-3
    # A random token is the same one with probability 1/55, and then looks kept.
    expected = np.array([0.8, 0.1 * 54 / 55, 0.1 + 0.1 / 55]) * asked
    assert stats.chisquare([hidden, changed, kept], expected).pvalue > 0.001
    assert replaced[:5].tolist() == [0] * 5
    assert stats.chisquare(replaced[5:]).pvalue > 0.001


@given(st.lists(st.integers(0, 59), min_size=1, max_size=30), st.floats(0.01, 0.99), st.integers(0, 2**32))
def test_masking_asks_about_text_only_and_at_least_once(ids, share, seed):
    tokens = np.array(ids)
    inputs, labels = mask_tokens(tokens, FACTS, share, np.random.default_rng(seed))
    text = sum(token > 4 for token in ids)
    asked = [label for label in labels.tolist() if label != -100]
    assert all(label > 4 for label in asked)
    assert len(asked) >= min(text, 1)
    assert len(asked) == min(text, 1) or abs(len(asked) - share * text) < 1
    assert tokens.tolist() == ids  # not changed in place
    assert inputs.shape == labels.shape == tokens.shape


def test_every_place_is_asked_about_equally_often():
    ids = np.r_[2, 10:30, 3]
    times = np.zeros(22, dtype=int)
    for seed in range(3000):
        times += mask_tokens(ids, FACTS, 0.15, np.random.default_rng((1, seed)))[1] != -100
    assert (times[0], times[-1]) == (0, 0)
    assert stats.chisquare(times[1:-1]).pvalue > 0.001


# ---- no document bears on another


def tiny_model(architecture: str, attention: str, vocab_size: int, pad: int) -> torch.nn.Module:
    """Random, with weights so large that a wrong mask or position shows at once."""
    torch.manual_seed(0)
    spec = ModelSpec(
        architecture=architecture, hidden_size=32, layers=2, heads=2, max_length=LENGTH, extra={"initializer_range": 0.3}
    )
    config = model_config(spec, vocab_size, {"pad_token_id": pad})
    config._attn_implementation = "sdpa" if attention.startswith("flash") else attention
    kind = AutoModelForCausalLM if CAUSAL[architecture] else AutoModelForMaskedLM
    model = kind.from_config(config, dtype=torch.float32).eval()
    model.config._attn_implementation = attention  # the library asks for flash-attn when it builds, not when it runs
    return model


def varlen_attention(query, key, value, cu_seqlens_q, cu_seqlens_k, causal=False, softmax_scale=None, **_):
    """What flash attention's kernel for pieces of unequal length computes, written with loops."""
    assert cu_seqlens_q.dtype == cu_seqlens_k.dtype == torch.int32
    out = torch.zeros_like(query)
    for a, b in zip(cu_seqlens_q.tolist(), cu_seqlens_q.tolist()[1:], strict=False):
        scores = torch.einsum("qhd,khd->hqk", query[a:b], key[a:b]) * (softmax_scale or query.shape[-1] ** -0.5)
        if causal:
            scores = scores.masked_fill(torch.ones(b - a, b - a).triu(1).bool(), -torch.inf)
        out[a:b] = torch.einsum("hqk,khd->qhd", scores.softmax(-1), value[a:b])
    return out


@pytest.fixture
def flash(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lets transformers' own flash path run where there is no flash-attn: only the kernel is ours."""
    from transformers import modeling_flash_attention_utils as utils
    from transformers.integrations import flash_attention

    def refuse(*args, **kwargs):
        raise AssertionError("the kernel that knows no pieces was called")

    # The real kernel takes 16 bits only, and the library looks for the width in a kind of layer that GPT-2 has none of.
    monkeypatch.setattr(flash_attention, "get_target_dtype", lambda *_: None)

    def options(is_causal, softmax_scale=None, **_):
        return {"causal": is_causal, "softmax_scale": softmax_scale}

    monkeypatch.setattr(
        utils, "lazy_import_flash_attention", lambda *_: ((refuse, varlen_attention, refuse, refuse, refuse), (options, options))
    )


def rows_of_pieces(draw: np.random.Generator, facts: SimpleNamespace, lengths: list[list[int]]) -> list[dict]:
    """Rows made of pieces of these lengths."""
    rows = []
    for row in lengths:
        positions = np.concatenate([np.arange(n) for n in row])
        ids = draw.integers(5, facts.vocab_size, size=len(positions))
        labels = np.where(positions == 0, -100, ids) if facts.causal else np.where(draw.random(len(ids)) < 0.4, ids, -100)
        rows.append({"input_ids": ids, "labels": labels, "position_ids": positions, "pad": facts.pad})
    return rows


ROWS = [[5, 1, 1, 7, 2], [16], [3, 13], [1, 15]]
WAYS = [(a, attention) for a in CAUSAL for attention in ("sdpa", "eager", "flash_attention_2")]


@pytest.mark.parametrize(("architecture", "attention"), WAYS)
def test_packed_documents_get_the_scores_they_get_alone(architecture, attention, flash):
    facts = SimpleNamespace(vocab_size=40, causal=CAUSAL[architecture], pad=1)
    rows = rows_of_pieces(np.random.default_rng(0), facts, ROWS)
    model = tiny_model(architecture, attention, facts.vocab_size, facts.pad)
    plain = tiny_model(architecture, "eager", facts.vocab_size, facts.pad)
    with torch.no_grad():
        packed = model(**collate(rows, architecture, attention)).logits
        for row, lengths, scores in zip(rows, ROWS, packed, strict=True):
            for piece, found in zip(torch.from_numpy(row["input_ids"]).split(lengths), scores.split(lengths), strict=True):
                torch.testing.assert_close(found, plain(piece[None]).logits[0], rtol=1e-4, atol=1e-4)


def losses(model: torch.nn.Module, batch: dict, causal: bool) -> torch.Tensor:
    """The loss of each position, 0 where nothing is asked."""
    logits, labels = model(**batch).logits, batch["labels"]
    if causal:
        logits, labels = logits[:, :-1], labels[:, 1:]
    return torch.nn.functional.cross_entropy(logits.transpose(1, 2), labels, reduction="none")


@pytest.mark.parametrize(("architecture", "attention"), WAYS)
def test_changing_a_document_never_changes_anothers_loss(architecture, attention, flash):
    causal = CAUSAL[architecture]
    facts = SimpleNamespace(vocab_size=40, causal=causal, pad=1)
    draw = np.random.default_rng(1)
    model = tiny_model(architecture, attention, facts.vocab_size, facts.pad)
    for _ in range(5):
        lengths = [np.diff([0, *sorted(draw.choice(np.arange(1, 16), 3, replace=False)), 16]).tolist() for _ in range(2)]
        rows = rows_of_pieces(draw, facts, lengths)
        with torch.no_grad():
            before = losses(model, collate(rows, architecture, attention), causal)
        for changed in range(4):
            begin = sum(lengths[0][:changed])
            end = begin + lengths[0][changed]
            other = {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in rows[0].items()}
            other["input_ids"][begin:end] = (other["input_ids"][begin:end] - 5 + 7) % 35 + 5
            other["labels"] = np.where(other["labels"] == -100, -100, other["input_ids"])
            with torch.no_grad():
                after = losses(model, collate([other, rows[1]], architecture, attention), causal)
            own = torch.zeros_like(before, dtype=torch.bool)
            own[0, max(begin - causal, 0) : end - causal] = True
            torch.testing.assert_close(after[~own], before[~own], rtol=1e-6, atol=1e-6)
            if lengths[0][changed] > 2 and (before[own] != 0).any():
                assert (after[own] - before[own]).abs().max() > 1e-3


@pytest.mark.parametrize("architecture", CAUSAL)
def test_gradients_of_one_document_come_from_it_alone(architecture):
    """In training mode, where caches and masks are made otherwise than in evaluation."""
    facts = SimpleNamespace(vocab_size=40, causal=CAUSAL[architecture], pad=1)
    rows = rows_of_pieces(np.random.default_rng(2), facts, [[6, 10]])
    rows[0]["labels"][6:] = -100
    model = tiny_model(architecture, "sdpa", facts.vocab_size, facts.pad).train()
    model.config.use_cache = True  # a configuration's default
    model(**collate(rows, architecture, "sdpa")).loss.backward()
    table = model.get_input_embeddings().weight.grad.abs().sum(-1)
    inside, outside = set(rows[0]["input_ids"][:6].tolist()), set(rows[0]["input_ids"][6:].tolist())
    only_outside = sorted(outside - inside)
    assert only_outside
    if CAUSAL[architecture]:  # a masked model's table is tied to its output layer
        assert table[only_outside].tolist() == [0.0] * len(only_outside)
        assert table[sorted(inside)].sum() > 0
    positions = [p for name, p in model.named_parameters() if "position_embeddings" in name or "wpe" in name]
    for table in positions:
        offset = facts.pad + 1 if architecture == "roberta" else 0
        used = table.grad.abs().sum(-1).nonzero().flatten().tolist()
        assert used == list(range(offset, offset + (5 if CAUSAL[architecture] else 6)))


def test_flex_attention_of_causal_models_makes_the_mask_of_positions(monkeypatch):
    from torch.nn.attention import flex_attention
    from transformers import masking_utils

    def uncompiled(**given):  # compiling takes a minute
        return flex_attention.create_block_mask(**{**given, "_compile": False})

    monkeypatch.setattr(masking_utils, "create_block_mask", uncompiled)
    facts = SimpleNamespace(vocab_size=40, causal=True, pad=1)
    batch = collate(rows_of_pieces(np.random.default_rng(0), facts, ROWS), "llama", "flex_attention")
    model = tiny_model("llama", "flex_attention", facts.vocab_size, facts.pad)
    embedded = model.get_input_embeddings()(batch["input_ids"])
    block = masking_utils.create_causal_mask(model.config, embedded, None, None, position_ids=batch["position_ids"])
    found = flex_attention.create_mask(block.mask_mod, len(ROWS), 1, LENGTH, LENGTH, device="cpu")[:, 0]
    assert torch.equal(found, same_piece().tril())


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_flex_attention_of_masked_models_gets_what_is_added_to_scores(architecture):
    facts = SimpleNamespace(vocab_size=40, causal=False, pad=1)
    mask = collate(rows_of_pieces(np.random.default_rng(0), facts, ROWS), architecture, "flex_attention")["attention_mask"][:, 0]
    assert torch.equal(mask == 0, same_piece())
    assert (mask[~same_piece()] < -1e38).all()
    assert torch.isfinite(mask.to(torch.bfloat16)).all()


def same_piece() -> torch.Tensor:
    pieces = torch.stack([torch.repeat_interleave(torch.arange(len(row)), torch.tensor(row)) for row in ROWS])
    return pieces[:, :, None] == pieces[:, None, :]


def test_rows_of_one_document_need_no_mask():
    facts = SimpleNamespace(vocab_size=40, causal=False, pad=1)
    rows = rows_of_pieces(np.random.default_rng(0), facts, [[16], [16]])
    assert "attention_mask" not in collate(rows, "bert", "sdpa")
    rows = rows_of_pieces(np.random.default_rng(0), facts, [[16], [4, 12]])
    assert collate(rows, "bert", "sdpa")["attention_mask"].dtype == torch.bool


@pytest.mark.parametrize("architecture", CAUSAL)
def test_the_models_own_loss_is_the_mean_over_what_is_asked(shards, architecture):
    """Whole path, from packed text to the loss: the first token of a piece is never asked about."""
    causal = CAUSAL[architecture]
    part = shards[causal]
    stream = TrainStream(part.train, samples=len(part.train), seed=0)
    last = next(i for i in range(len(stream)) if stream.place(i)[1] == len(part.train) - 1)  # the one with padding
    batch = collate([stream[i] for i in (0, 1, 2, last)], architecture, "sdpa")
    model = tiny_model(architecture, "sdpa", part.facts.vocab_size, part.facts.pad)
    with torch.no_grad():
        each = losses(model, batch, causal)
        asked = (batch["labels"] != -100).sum()
        torch.testing.assert_close(model(**batch).loss, each.sum() / asked)
    if causal:
        assert asked == sum(
            len(part.train.tokens(b)) - len(part.train.starts(b)) for b in (stream.place(i)[1] for i in (0, 1, 2, last))
        )


def test_a_stream_sent_to_another_process_holds_no_text(shards):
    stream = TrainStream(shards[True].train, samples=10, seed=0)
    assert len(pickle.dumps(stream)) < 3000
