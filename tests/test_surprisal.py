"""Surprisal of texts: every backend and tokenizer against plain forward passes, words, windows, progress, resuming."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from brute import Answer, Brute, BruteSeq2Seq, scored_robust, tokenized, with_front
from tiny import CAUSAL, KINDS, MASKED, SENTENCES, SEQ2SEQ, SEQ2SEQ_KINDS, make_model
from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

import babyeval
from babyeval.errors import DataError, ModelError, UsageError
from babyeval.scoring.rowcache import RowCache
from babyeval.texts import surprisal as module
from babyeval.texts.table import NO_CONTEXT, NO_TOKEN

TEXTS = (
    *SENTENCES[:5],
    "",
    "  Two  spaces,\ta tab and\u00a0more ",
    "naïve café déjà",
    "a",
    "what? \U0001f600 is\u3000there",
)
FEW = (SENTENCES[0], " ", TEXTS[6], TEXTS[7], "a")
LONG = " ".join(SENTENCES[:6])


def words_begun(text: str, end: int) -> int:
    """The word in which a token ends that ends here, by counting; white space belongs to what follows."""
    count = len(text[:end].split())
    at_space = end == 0 or text[end - 1].isspace()
    return min(count, len(text.split()) - 1) if at_space else count - 1


def assert_is(folder: Path, texts: tuple[str, ...], answer: Callable[[str], Answer], **options: Any) -> None:
    """Token and word tables are what the reference gives."""
    tokens, words = (babyeval.surprisal(folder, texts, unit=unit, device="cpu", **options) for unit in ("token", "word"))
    seen = 0
    for line, text in enumerate(texts, start=1):
        rows, sums = tokens[tokens["line"] == line], words[words["line"] == line]
        text = text.rstrip()
        if not text:
            assert len(rows) == len(sums) == 0
            continue
        reference = answer(text)
        unscored, values = rows["surprisal"].isna(), rows["surprisal"].dropna()
        assert values.tolist() == pytest.approx([-value for value in reference.logprobs], abs=1e-4, rel=0), text
        assert unscored.tolist() == [i < reference.unscored for i in range(len(rows))], text
        assert [bool(note) for note in rows["note"]] == unscored.tolist()
        assert rows["token_index"].tolist() == list(range(len(rows)))
        assert sums["word"].tolist() == text.split()
        assert [text[a:b] for a, b in zip(sums["start"], sums["end"], strict=True)] == text.split()
        assert rows["word_index"].tolist() == [words_begun(text, end) for end in rows["end"]], text
        for _, word in sums.iterrows():
            own = rows[rows["word_index"] == word["word_index"]]
            assert word["tokens"] == len(own)
            if own["surprisal"].isna().any() or not len(own):
                assert math.isnan(word["surprisal"])
                assert word["note"] == (NO_CONTEXT if len(own) else NO_TOKEN)
            else:
                assert word["surprisal"] == pytest.approx(sum(own["surprisal"]), abs=1e-12)
            assert (own["word"] == word["word"]).all()
            seen += 1
    assert not tokens["truncated"].any()
    assert seen == len(words) == sum(len(text.split()) for text in texts)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", CAUSAL)
def test_causal(architecture, kind, tiny_folder):
    folder = tiny_folder(architecture, kind)
    brute = Brute(folder, masked=False)
    assert_is(folder, TEXTS, lambda text: brute.causal(text, robust=True))


@pytest.mark.parametrize("backend", ["mlm", "mlm-words", "mntp"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("architecture", MASKED)
def test_masked(architecture, kind, backend, tiny_folder):
    folder, words = tiny_folder(architecture, kind), backend == "mlm-words"
    # The reference takes the tokenizer's own words, which may run over several spaces.
    texts = tuple(text for text in FEW if not (words and "  " in text))
    brute = Brute(folder, masked=True)
    assert_is(
        folder, texts, lambda text: brute.masked(text, robust=True, early=backend == "mntp", words=words),
        backend=backend.removesuffix("-words"), masking="word-l2r" if words else "pll",
    )  # fmt: skip


@pytest.mark.parametrize("backend", ["enc-dec-mask", "enc-dec-prefix"])
@pytest.mark.parametrize("kind", SEQ2SEQ_KINDS)
@pytest.mark.parametrize("architecture", SEQ2SEQ)
def test_encoder_decoder(architecture, kind, backend, tiny_folder):
    folder = tiny_folder(architecture, kind)
    brute = BruteSeq2Seq(folder)
    way = brute.masked if backend == "enc-dec-mask" else brute.prefixed
    assert_is(folder, FEW, lambda text: way(text, robust=True), backend=backend)


def test_the_texts_hold_the_hard_cases(tiny_folder):
    """Tokens of no width, tokens that are a space, a first token with nothing before it, and unknown ones."""
    tables = {kind: babyeval.surprisal(tiny_folder("llama", kind), TEXTS, unit="token") for kind in KINDS}
    assert any((table["start"] == table["end"]).any() for table in tables.values())
    assert "\u0120" in tables["bos"]["token"].tolist(), "a space by itself"
    assert (tables["none"]["note"] == NO_CONTEXT).sum() == len([text for text in TEXTS if text.strip()])
    assert tables["eos"]["surprisal"].notna().all(), "EOS stands in for BOS (D9)"
    assert tables["cls_sep"]["unknown"].sum() == 1
    words = babyeval.surprisal(tiny_folder("llama", "cls_sep"), TEXTS)
    assert words["unknown"].sum() == tables["cls_sep"]["unknown"].sum()
    first = babyeval.surprisal(tiny_folder("llama", "none"), TEXTS).groupby("line").first()
    assert first["unscored"].tolist() == [1] * len(first)


@cache
def superwords() -> tuple[Any, PreTrainedTokenizerFast]:
    """A model whose vocabulary has pieces of several words."""
    pieces = ["<unk>", "<s>", "in spite of", "the ", "rain", *"abcdefghinoprst "]
    backend = Tokenizer(models.Unigram([(piece, -10.0 if len(piece) == 1 else -2.0) for piece in pieces], unk_id=0))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<s>")  # noqa: S106
    return make_model("llama", tokenizer), tokenizer


def test_tokens_that_straddle_words_are_marked():
    model, tokenizer = superwords()
    tokens, words = (
        babyeval.surprisal(model, "in spite of the rain", unit=unit, tokenizer=tokenizer) for unit in ("token", "word")
    )
    parts = list(zip(tokens["token"], tokens["word"], tokens["straddles"], strict=True))
    assert parts[0] == ("in spite of", "of", True)
    assert ("the ", "rain", True) in parts, "a space at its end brings it to the word that follows"
    assert words["word"].tolist() == ["in", "spite", "of", "the", "rain"]
    assert words["straddles"].all()
    assert words["note"].tolist() == [NO_TOKEN, NO_TOKEN, "", words["note"][3], ""]
    assert words["surprisal"].isna().tolist() == [note == NO_TOKEN for note in words["note"]]
    assert words["surprisal"].sum() == pytest.approx(tokens["surprisal"].sum())


def test_a_loaded_model_gives_what_its_folder_gives(tiny_folder):
    brute = Brute(tiny_folder("gpt2", "bos"), masked=False)
    loaded = babyeval.surprisal(brute.model, list(TEXTS), tokenizer=brute.tokenizer, name="mine")
    stored = babyeval.surprisal(tiny_folder("gpt2", "bos"), TEXTS)
    assert loaded.drop(columns="surprisal").equals(stored.drop(columns="surprisal"))
    assert loaded["surprisal"].tolist() == pytest.approx(stored["surprisal"].tolist(), abs=1e-4)
    assert (loaded.attrs["model"], loaded.attrs["backend"], stored.attrs["unit"]) == ("mine", "causal", "word")


def test_long_texts_slide_through_the_window(tiny_folder):
    """24 positions: pieces of 11 tokens, each with BOS and as many tokens before it as fit (D40)."""
    folder = tiny_folder("llama", "bos", positions=24)
    brute = Brute(folder, masked=False)
    ids = brute.tokenizer(LONG)["input_ids"]
    table = babyeval.surprisal(folder, [LONG, SENTENCES[0]], unit="token")
    short, table = table[table["line"] == 2], table[table["line"] == 1]
    assert not short["truncated"].any()
    expected, cut = [], []
    for i in range(1, len(ids)):
        last = min((i - 1) // 11 * 11 + 11, len(ids) - 1)  # of its piece
        begin = max(1, last - 23)
        expected.append(-float(brute.logprobs(ids[:1] + ids[begin:i])[-1, ids[i]]))
        cut.append(begin > 1)
    assert len(expected) > 40
    assert table["surprisal"].tolist() == pytest.approx(expected, abs=1e-4)
    assert table["truncated"].tolist() == cut
    words = babyeval.surprisal(folder, LONG)
    assert words["truncated"].tolist() == [bool(table[table["word_index"] == i]["truncated"].any()) for i in range(len(words))]


@pytest.mark.parametrize("backend", ["mlm", "mntp"])
def test_long_texts_slide_around_the_mask(tiny_folder, backend):
    folder, early = tiny_folder("bert", "bos_eos", positions=24), backend == "mntp"
    brute = Brute(folder, masked=True)
    text = with_front(tokenized(brute.tokenizer, LONG), None)
    end = len(text.ids) - 1
    expected = []
    for i in scored_robust(text, 0):
        begin = min(max(1, i - 11), end - 22)
        ids = [text.ids[0], *text.ids[begin : begin + 22], text.ids[-1]]
        ids[i - begin + 1] = brute.tokenizer.mask_token_id
        expected.append(-float(brute.logprobs(ids)[i - begin + 1 - early, text.ids[i]]))
    table = babyeval.surprisal(folder, LONG, unit="token", backend=backend)
    assert table["surprisal"].tolist() == pytest.approx(expected, abs=1e-4)
    assert table["truncated"].all()


@pytest.mark.parametrize("backend", ["enc-dec-mask", "enc-dec-prefix"])
def test_long_texts_and_encoder_decoders(tiny_folder, backend):
    folder = tiny_folder("bart", "bart", positions=24)
    table = babyeval.surprisal(folder, [LONG, "The dog barks."], unit="token", backend=backend)
    text = tokenized(BruteSeq2Seq(folder).tokenizer, LONG)
    long, short = table[table["line"] == 1], table[table["line"] == 2]
    assert len(long) == len(text.ids) - 2
    assert long["surprisal"].notna().all()
    cut = long["truncated"].tolist()
    assert not short["truncated"].any()
    assert cut[-1]
    # Read left to right, what stands within the first window lacks nothing.
    assert cut == sorted(cut)
    assert cut[0] == (backend == "enc-dec-mask")


class Seen:
    """A reporter that remembers what its bars were told."""

    def __init__(self) -> None:
        self.bars: list[tuple[str, int, str]] = []
        self.moves: list[int] = []

    def bar(self, label, total, unit="rows", share=None):
        self.bars.append((label, total, unit))
        return contextlib.nullcontext(self.moves.append)

    def note(self, text):
        raise AssertionError(text)


def test_blocks_change_nothing_and_one_bar_shows_them_all(tiny_folder, monkeypatch):
    folder, texts = tiny_folder("bert", "cls_sep"), [*SENTENCES, *SENTENCES]
    whole = babyeval.surprisal(folder, texts, fresh=True)
    monkeypatch.setattr(module, "_BLOCK_POSITIONS", 200)
    for fresh in (True, False):
        seen = Seen()
        pieces = babyeval.surprisal(folder, texts, fresh=fresh, reporter=seen)
        assert pieces["surprisal"].tolist() == pytest.approx(whole["surprisal"].tolist(), abs=1e-4)
        assert pieces.drop(columns="surprisal").equals(whole.drop(columns="surprisal"))
        assert seen.bars == [(folder.name, sum(map(len, texts)), "characters")]
        assert sum(seen.moves) == sum(map(len, texts))
        assert min(seen.moves) >= 0
    assert len(seen.moves) > 5, "there were several blocks"


@pytest.mark.parametrize(("architecture", "kind", "count"), [("gpt2", "eos", 12), ("bert", "cls_sep", 2)])
def test_broken_off_it_computes_only_what_is_missing(tiny_folder, monkeypatch, architecture, kind, count):
    folder, texts = tiny_folder(architecture, kind), [f"{a} {b}" for a in SENTENCES[:count] for b in SENTENCES]
    computed: list[bytes] = []
    put, batches = RowCache.put, []

    def stop_after_three(self, answers):
        answers = list(answers)
        put(self, answers)
        computed.extend(key for key, _ in answers)
        batches.append(len(answers))
        if len(batches) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(RowCache, "put", stop_after_three)
    monkeypatch.setattr("babyeval.scoring.batching._POSITIONS_CPU", 256)
    with pytest.raises(KeyboardInterrupt):
        babyeval.surprisal(folder, texts)
    first = len(computed)
    table = babyeval.surprisal(folder, texts)
    assert 0 < first < len(computed)
    assert len(set(computed)) == len(computed), "nothing twice"
    monkeypatch.setattr(RowCache, "put", put)
    again = babyeval.surprisal(folder, texts, fresh=True)
    assert table["surprisal"].tolist() == pytest.approx(again["surprisal"].tolist(), abs=1e-4)
    monkeypatch.setattr("babyeval.models.load.load_model", None)
    assert babyeval.surprisal(folder, texts).equals(table), "all is cached: no weights are loaded"


def test_a_file_is_read_line_by_line(tiny_folder, tmp_path):
    path = tmp_path / "text.txt"
    path.write_bytes("\ufeffThe dog barks.\r\n\r\nA form\x0cfeed ends no line.\n".encode())
    table = babyeval.surprisal(tiny_folder("llama", "bos"), path)
    assert table["word"].tolist() == ["The", "dog", "barks.", "A", "form", "feed", "ends", "no", "line."]
    assert table["line"].tolist() == [1] * 3 + [3] * 6


@pytest.mark.parametrize(
    ("texts", "options", "error", "message"),
    [
        ([], {}, DataError, "There is no text"),
        ([" ", "\n"], {}, DataError, "There is no text"),
        (["a", None], {}, UsageError, "Text 2 is a NoneType"),
        (["a", "\ud800"], {}, UsageError, "Text 2 holds half a character"),
        ("a", {"unit": "letter"}, UsageError, "no unit 'letter'.*\n.*word or token"),
        ("a", {"dtype": "bfloat16"}, UsageError, "float32"),
        ("a", {"split": "full"}, UsageError, "no option 'split'"),
        ("a", {"masking": "word-l2r"}, UsageError, "for masked models"),
        ("a", {"masking": "words"}, UsageError, "masking"),
        ("a", {"backend": "enc-dec-mask"}, UsageError, "encoder-decoder"),
    ],
)
def test_refused(tiny_folder, texts, options, error, message):
    with pytest.raises(error, match=message):
        babyeval.surprisal(tiny_folder("llama", "bos"), texts, **options)


def test_a_loaded_model_needs_its_tokenizer(tiny_folder):
    with pytest.raises(UsageError, match="tokenizer"):
        babyeval.surprisal(Brute(tiny_folder("llama", "bos"), masked=False).model, "a")


def test_nan_names_its_place(tiny_folder):
    brute = Brute(tiny_folder("llama", "bos"), masked=False)
    brute.model.model.norm.weight.data[:] = float("nan")
    with pytest.raises(ModelError, match=r"NaN.\n.*line 2, token 0"):
        babyeval.surprisal(brute.model, ["", "The dog barks."], tokenizer=brute.tokenizer)


def test_a_text_without_tokens_has_words_and_says_so(tiny_folder):
    """BERT's normaliser drops control characters."""
    table = babyeval.surprisal(tiny_folder("bert", "cls_sep"), ["\x07", "The \x07 dog"])
    assert table["tokens"].tolist() == [0, 1, 0, 1]
    assert table["note"].tolist() == [NO_TOKEN, "", NO_TOKEN, ""]
    assert len(babyeval.surprisal(tiny_folder("bert", "cls_sep"), ["\x07"], unit="token")) == 0
