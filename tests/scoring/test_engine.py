"""The engine: each question is computed once, kept, and found again without opening the weights."""

from __future__ import annotations

import contextlib
import math

import pytest
import torch
from asking import encoder, keyed, opened, rows_of
from brute import Brute
from tiny import SENTENCES, make_model, make_tokenizer
from transformers import BertForMaskedLM, BertModel

from babyeval.errors import MissingError, ModelError, UsageError
from babyeval.models import load
from babyeval.models.checkpoint import from_memory
from babyeval.progress import Quiet
from babyeval.scoring import batching
from babyeval.scoring.engine import Engine
from babyeval.scoring.model_view import ModelView, full_precision
from babyeval.scoring.rowcache import RowCache
from babyeval.types import Query, Read, Span

SPANS = [Span(sentence) for sentence in SENTENCES]


class Notes(Quiet):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


@pytest.fixture
def checkpoint(tiny_folder):
    return opened(tiny_folder("llama", "bos"))


@pytest.fixture
def parts(checkpoint):
    return list(encoder(checkpoint).encode(SPANS))


@pytest.fixture
def queries(parts):
    return [query for part in parts for query in part.queries]


@pytest.fixture
def no_weights(monkeypatch):
    """From now on, opening weights fails."""

    def refuse():
        def load_model(*_):
            raise AssertionError("the weights were opened")

        monkeypatch.setattr(load, "load_model", load_model)

    return refuse


def test_what_was_computed_is_found_again_without_the_weights(checkpoint, parts, queries, no_weights):
    first = Engine(checkpoint, device="cpu")
    rows = rows_of(first, parts)
    done = first.computations["float32"]
    assert (done.computed, done.cached) == (len(set(queries)), 0)
    first.close()
    no_weights()
    second = Engine(checkpoint, device="cpu")
    assert rows_of(second, parts) == rows
    done = second.computations["float32"]
    assert (done.computed, done.cached) == (0, len(set(queries)))
    assert (second.attention(), second.split_head(), second.device_name()) == (None, None, None)
    second.close()


def test_only_what_is_missing_is_computed(checkpoint, parts, queries):
    first = Engine(checkpoint, device="cpu")
    rows_of(first, parts[:4])
    first.close()
    second = Engine(checkpoint, device="cpu")
    wanted = keyed(queries, second.salt)
    known = keyed([query for part in parts[:4] for query in part.queries], second.salt)
    assert set(second.missing(wanted)) == set(wanted) - set(known)
    rows_of(second, parts)
    done = second.computations["float32"]
    assert (done.computed, done.cached) == (len(wanted) - len(known), len(known))
    second.close()


def test_asking_again_asks_memory(checkpoint, parts, no_weights):
    engine = Engine(checkpoint, device="cpu")
    rows = rows_of(engine, parts)
    no_weights()
    engine._views.clear()
    assert rows_of(engine, parts) == rows
    assert engine.computations["float32"].cached == engine.computations["float32"].computed
    engine.close()


def test_fresh_computes_again_and_keeps_the_new_rows(checkpoint, parts, queries):
    key = queries[0].key(Engine(checkpoint).salt)
    with RowCache(checkpoint.digest, "float32", 1) as cache:
        cache.put([(key, (1.0,) * len(queries[0].reads))])
    stale = Engine(checkpoint, device="cpu")
    assert rows_of(stale, parts)[0].logprobs[0] == 1.0
    stale.close()
    fresh = Engine(checkpoint, device="cpu", fresh=True)
    right = rows_of(fresh, parts)
    assert right[0].logprobs[0] < 0
    assert fresh.computations["float32"].cached == 0
    fresh.close()
    after = Engine(checkpoint, device="cpu")
    assert rows_of(after, parts) == right
    after.close()


def test_unsaved_answers_touch_no_cache(checkpoint, queries):
    engine = Engine(checkpoint, device="cpu")
    wanted = keyed(queries, engine.salt)
    answers = engine.compute_unsaved(wanted)
    assert answers.keys() == wanted.keys()
    assert set(engine.missing(wanted)) == set(wanted)
    saved = engine.answer(wanted)
    assert [saved[key] for key in wanted] == [pytest.approx(answers[key], abs=1e-6) for key in wanted]
    engine.close()


def test_only_the_models_failures_are_told_as_its(checkpoint, queries, monkeypatch):
    class Broken(Quiet):
        def bar(self, label, total, unit="rows", share=None):
            return contextlib.nullcontext(lambda count: 1 + "of the user's own reporter")

    engine = Engine(checkpoint, device="cpu", reporter=Broken())
    with pytest.raises(TypeError, match="unsupported operand"):
        engine.answer(keyed(queries, engine.salt))
    engine.close()
    failing = Engine(checkpoint, device="cpu", fresh=True)
    monkeypatch.setattr(type(failing._view("float32").model), "forward", lambda *_, **__: 1 + "of the model's code")
    with pytest.raises(ModelError, match=r"TypeError: .*unsupported operand"):
        failing.answer(keyed(queries, failing.salt))
    failing.close()


def test_what_was_in_use_is_said(checkpoint, parts):
    engine = Engine(checkpoint, device="cpu")
    rows_of(engine, parts)
    assert (engine.attention(), engine.split_head(), engine.device_name()) == ("sdpa", True, "cpu")
    engine.close()


def test_a_damaged_cache_is_reported_and_the_numbers_are_the_same(checkpoint, parts):
    first = Engine(checkpoint, device="cpu")
    rows = rows_of(first, parts)
    path = first._cache("float32").path
    first.close()
    path.write_bytes(path.read_bytes()[:100] + b"\xff" * 5000)
    notes = Notes()
    second = Engine(checkpoint, device="cpu", reporter=notes)
    assert [row.logprobs for row in rows_of(second, parts)] == [pytest.approx(row.logprobs, abs=1e-6) for row in rows]
    assert len(notes.said) == 1
    assert "damaged" in notes.said[0]
    assert str(path.parent) in notes.said[0]
    assert second.computations["float32"].cached == 0
    second.close()


def test_a_full_disk_loses_nothing_of_earlier_batches(tiny_folder, monkeypatch):
    monkeypatch.setattr(batching, "_POSITIONS_CPU", 1)  # each input is a batch
    checkpoint = opened(tiny_folder("bert", "cls_sep"))
    parts = list(encoder(checkpoint).encode(SPANS[:4]))
    put, kept = RowCache.put, []

    def put_on_small_disk(self, answers):
        if len(kept) == 5:
            pages = self._db.execute("PRAGMA page_count").fetchone()[0]
            self._db.execute(f"PRAGMA max_page_count = {pages}")
            answers = [(key, row * 2000) for key, row in answers]
        put(self, answers)
        kept.extend(key for key, _ in answers)

    engine = Engine(checkpoint, device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(RowCache, "put", put_on_small_disk)
        with pytest.raises(MissingError, match="full"):
            rows_of(engine, parts)
    engine.close()
    assert len(kept) == 5
    again = Engine(checkpoint, device="cpu")
    wanted = keyed([query for part in parts for query in part.queries], again.salt)
    assert set(again.missing(wanted)) == set(wanted) - set(kept)
    rows_of(again, parts)
    assert again.computations["float32"].computed == len(wanted) - 5
    again.close()


def test_nan_and_minus_infinity_survive_the_cache(tiny_folder, no_weights):
    model = make_model("gpt2", make_tokenizer("bos"))
    model.transformer.wte.weight.data[300] = torch.nan
    checkpoint = from_memory(model, make_tokenizer("bos"))
    query = Query((2, 300, 5), (Read(0, 7), Read(2, 8)))
    engine = Engine(checkpoint, device="cpu")
    wanted = keyed([query], engine.salt)
    ((key, row),) = engine.answer(wanted).items()
    assert math.isnan(row[1])
    engine.close()
    no_weights()
    again = Engine(checkpoint, device="cpu")
    assert [value.hex() for value in again.answer(wanted)[key]] == [value.hex() for value in row]
    again.close()


def test_heads_of_one_checkpoint_do_not_share_rows(tiny_folder):
    folder = tiny_folder("bert", "cls_sep")
    masked, mntp, causal = (Engine(opened(folder, backend=name)) for name in ("mlm", "mntp", "causal"))
    assert masked.salt == mntp.salt != causal.salt


def test_a_tokenizer_with_more_ids_than_the_model_is_refused(tiny_folder):
    checkpoint = from_memory(make_model("gpt2", make_tokenizer("cls_sep")), make_tokenizer("bos"), name="odd")
    engine = Engine(checkpoint, device="cpu")
    with pytest.raises(UsageError, match="has only 80 embeddings") as caught:
        rows_of(engine, list(encoder(checkpoint).encode(SPANS)))
    assert "'odd'" in str(caught.value)
    engine.close()


@pytest.mark.parametrize("target", [400, (3, 400)])
def test_a_target_outside_the_vocabulary_is_refused_too(checkpoint, target):
    engine = Engine(checkpoint, device="cpu")
    with pytest.raises(UsageError, match="the id 400"):
        engine.answer(keyed([Query((1, 2), (Read(1, target),))], engine.salt))
    engine.close()


def test_an_input_that_never_fits_into_memory_is_an_error_with_a_way_out(checkpoint, parts, monkeypatch):
    engine = Engine(checkpoint, device="cpu")
    rows_of(engine, parts[:1])

    def read(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(ModelView, "read", read)
    with pytest.raises(MissingError, match="single input does not fit"):
        rows_of(engine, parts)
    engine.close()


def test_a_device_that_holds_one_input_at_a_time_gives_all_answers(checkpoint, parts, monkeypatch):
    """The probes that come first must live with as little as the batches."""
    plenty = Engine(checkpoint, device="cpu")
    rows = rows_of(plenty, parts)
    plenty.close()
    for name in ("_logits", "_hidden"):
        monkeypatch.setattr(ModelView, name, _narrow(getattr(ModelView, name)))
    scarce = Engine(checkpoint, device="cpu", fresh=True)
    assert [row.logprobs for row in rows_of(scarce, parts)] == [pytest.approx(row.logprobs, abs=1e-4) for row in rows]
    assert scarce.works["float32"].halvings > 0
    scarce.close()


def _narrow(function):
    def narrow(self, inputs):
        if len(inputs["input_ids"]) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return function(self, inputs)

    return narrow


class MixesPadding(BertModel):
    """Attends to padding, whatever the mask says."""

    def forward(self, input_ids=None, attention_mask=None, **kwargs):
        return super().forward(input_ids=input_ids, **kwargs)


def test_a_model_that_mixes_padding_in_is_run_one_length_at_a_time(tiny_folder):
    folder = tiny_folder("bert", "cls_sep")
    model = BertForMaskedLM.from_pretrained(folder).eval()
    model.bert.__class__ = MixesPadding
    checkpoint = from_memory(model, make_tokenizer("cls_sep"))
    engine = Engine(checkpoint, device="cpu")
    rows = rows_of(engine, list(encoder(checkpoint).encode(SPANS)))
    assert "one length at a time" in engine.works["float32"].path
    engine.close()
    brute = Brute(folder, masked=True)
    for span, row in zip(SPANS, rows, strict=True):
        assert row.logprobs == pytest.approx(brute.masked(span.text, robust=True).logprobs, abs=1e-4, rel=0)


def test_reduced_precision_of_matrix_products_is_off_while_scoring(checkpoint, queries, monkeypatch):
    """Whatever the caller has set, which is put back."""
    before = torch.get_float32_matmul_precision()
    seen = []
    hidden = ModelView._hidden
    monkeypatch.setattr(
        ModelView, "_hidden", lambda self, inputs: seen.append(torch.get_float32_matmul_precision()) or hidden(self, inputs)
    )
    try:
        torch.set_float32_matmul_precision("medium")
        engine = Engine(checkpoint, device="cpu")
        engine.compute_unsaved(keyed(queries, engine.salt))
        assert set(seen) == {"highest"}
        assert torch.get_float32_matmul_precision() == "medium"
        with pytest.raises(RuntimeError), full_precision():
            raise RuntimeError
        assert torch.get_float32_matmul_precision() == "medium"
        engine.close()
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(("architecture", "kind"), [("llama", "bos"), ("bert", "cls_sep"), ("t5", "t5")])
def test_the_share_of_work_done_is_that_of_positions_not_of_rows(architecture, kind, tiny_folder, monkeypatch):
    """Short inputs come first: by rows, the time left is far too short."""
    monkeypatch.setattr(batching, "_POSITIONS_CPU", 60)
    seen: list[tuple[float, float, int]] = []

    class Listening(Quiet):
        @contextlib.contextmanager
        def bar(self, label, total, unit="rows", share=None):
            rows = 0

            def advance(count):
                nonlocal rows
                rows += count
                seen.append((share(), rows / total, engine.works["float32"].positions))

            yield advance

    checkpoint = opened(tiny_folder(architecture, kind))
    engine = Engine(checkpoint, device="cpu", reporter=Listening())
    rows_of(engine, list(encoder(checkpoint).encode(SPANS)))
    engine.close()
    total = engine.works["float32"].positions
    assert len(seen) > 1
    assert [share for share, _, _ in seen] == pytest.approx([positions / total for _, _, positions in seen])
    assert max(abs(share - rows) for share, rows, _ in seen) > 0.05
