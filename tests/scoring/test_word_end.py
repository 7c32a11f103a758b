"""Word ends: corrected probabilities of all words sum to one, and are what plain forward passes give."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from asking import encoder, opened
from brute import Brute, BruteSeq2Seq
from cli.support import assert_refused, inside
from tiny import make_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

import babyeval
from babyeval.errors import UsageError
from babyeval.models.checkpoint import from_memory
from babyeval.scoring.tokens import tokenize
from babyeval.scoring.word_end import ask_ends, word_ends
from babyeval.types import Span

TEXTS = ("The dog barks.", "She put the cup on the unbelievable table.", "déjà vu: they said it twice!", "a", "  What  did you")


def letters(pieces: tuple[str, ...] = ("<s>", "</s>", "Ġ", "a", "b")) -> PreTrainedTokenizerFast:
    """Every text has one tokenisation: letters, each word behind a space of its own."""
    backend = Tokenizer(models.BPE({piece: i for i, piece in enumerate(pieces)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<s>", eos_token="</s>")  # noqa: S106


def probabilities(model: Any, ids: tuple[int, ...]) -> np.ndarray:
    with torch.inference_mode():
        return torch.softmax(model(torch.tensor([ids])).logits[0, -1].double(), -1).numpy()


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("context", ["ab", "b a"])
def test_corrected_probabilities_of_all_words_sum_to_one(context, seed):
    """Words of up to four letters, what is not one of them, and the end of the text: Pimentel and Meister's theorem."""
    tokenizer = letters()
    model = make_model("gpt2", tokenizer, seed=seed)
    words = ["".join(chosen) for count in range(1, 5) for chosen in product("ab", repeat=count)]
    table = babyeval.surprisal(model, [f"{context} {word}" for word in words], tokenizer=tokenizer, word_end="corrected")
    table = table.groupby("line").last()
    assert table["word"].tolist() == words

    ids = (0, *tokenizer(context)["input_ids"])
    bos, eos, space, *_ = range(len(tokenizer))
    first = probabilities(model, ids)
    ended = first[[bos, eos, space]].sum()  # a text may be followed by the next one's beginning
    rest = first[[bos, eos]].sum() / ended
    rest += first[space] / ended * probabilities(model, (*ids, space))[[bos, eos, space]].sum()  # a word of no letters
    for chosen in product((3, 4), repeat=5):  # words of more letters
        longer = first[space] / ended
        for i, token in enumerate(chosen):
            longer *= probabilities(model, (*ids, space, *chosen[:i]))[token]
        rest += longer
    assert math.fsum(np.exp(-table["surprisal_word_end"])) + rest == pytest.approx(1, abs=1e-6)


def bigrams(tokenizer: PreTrainedTokenizerFast, table: np.ndarray) -> Any:
    """A GPT-2 whose next token depends on the last one alone, as the table says."""
    model = make_model("gpt2", tokenizer)
    with torch.no_grad():
        model.transformer.wpe.weight.zero_()
        for block in model.transformer.h:
            for projection in (block.attn.c_proj, block.mlp.c_proj):
                projection.weight.zero_()
                projection.bias.zero_()
        states = model.transformer(torch.arange(len(tokenizer))[:, None]).last_hidden_state[:, 0]
        model.lm_head = torch.nn.Linear(states.shape[1], len(tokenizer), bias=False)
        model.lm_head.weight.copy_((torch.linalg.pinv(states) @ torch.tensor(table).float().log()).T)
    return model


def test_plain_probabilities_of_words_may_sum_to_more_than_one():
    """Oh and Schuler's theorem: behind "a" a word is likely to end, behind "b" it is not, and every word begins with "b"."""
    tokenizer = letters()
    table = np.full((5, 5), 1e-6)  # of <s>, </s>, the space, a, b
    table[0, 3:] = table[1, 3:] = 0.5
    table[2, 4] = 1.0
    table[3, 2:] = 0.9, 0.05, 0.05
    table[4, 2:] = 0.1, 0.45, 0.45
    model = bigrams(tokenizer, table / table.sum(1, keepdims=True))
    words = ["".join(chosen) for count in range(1, 9) for chosen in product("ab", repeat=count)]
    found = babyeval.surprisal(model, [f"a {word}" for word in words], tokenizer=tokenizer, word_end="corrected")
    plain, corrected = (np.exp(-found.groupby("line").last()[name]).sum() for name in ("surprisal", "surprisal_word_end"))
    assert plain > 1.5
    # P(word) = P(b) ... up to the letter behind which the space comes: what is left are words of nine letters and more.
    left = np.array([0.0, 1.0])  # probability of going on behind a, behind b
    for _ in range(8):
        left = left @ np.array([[0.05, 0.05], [0.45, 0.45]])
    assert corrected == pytest.approx(1 - left.sum(), abs=1e-4)


def marked(tokenizer: Any) -> list[int]:
    """Ids of the leading-space kinds that end a word, by their first character."""
    spaces = ("Ġ", "▁", "Ċ", "č", "ĉ", "ċ", "Č", "Ĝ", "ĝ", "Ğ", "ğ")
    special = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id} - {None}
    return [i for token, i in tokenizer.get_vocab().items() if token.startswith(spaces) or i in special]


def boundaries(tokenizer: Any, text: str) -> tuple[list[int], list[int]]:
    """The text's ids without specials, and where its words begin."""
    coded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    begun = [len(text[:end].split()) for _, end in coded["offset_mapping"]]
    words = [max(1, count + (text[end - 1 : end].isspace() or end == 0)) for count, (_, end) in
             zip(begun, coded["offset_mapping"], strict=True)]  # fmt: skip
    return list(coded["input_ids"]), [i for i, word in enumerate(words) if i == 0 or word != words[i - 1]]


def expected(tokenizer: Any, text: str, table: torch.Tensor) -> list[float]:
    """Corrected surprisals; the table's row i holds the log-probabilities of the text's token i, its last those of the end."""
    ids, starts = boundaries(tokenizer, text)
    ends, values = marked(tokenizer), []
    inside = [
        i
        for token, i in tokenizer.get_vocab().items()
        if not token.startswith(("Ġ", "▁", "Ċ", "č", "ĉ", "ċ", "Č", "Ĝ", "ĝ", "Ğ", "ğ"))
    ]
    for start, stop in zip(starts, [*starts[1:], len(ids)], strict=True):
        before = inside if start == 0 and ids[0] not in ends else ends
        total = sum(table[i, ids[i]] for i in range(start, stop))
        values.append(-float(total + table[stop, ends].logsumexp(-1) - table[start, before].logsumexp(-1)))
    return values


@pytest.mark.parametrize("kind", ["eos", "bos", "bos_eos", "sentencepiece"])
@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_causal_models_against_a_plain_forward_pass(architecture, kind, tiny_folder):
    folder = tiny_folder(architecture, kind)
    brute = Brute(folder, masked=False)
    table = babyeval.surprisal(folder, TEXTS, device="cpu", word_end="corrected")
    plain = babyeval.surprisal(folder, TEXTS, device="cpu")
    assert table.drop(columns="surprisal_word_end").equals(plain)
    for line, text in enumerate(TEXTS, start=1):
        front = brute.tokenizer.bos_token_id if kind != "eos" else brute.tokenizer.eos_token_id
        ids, _ = boundaries(brute.tokenizer, text)
        found = table.loc[table["line"] == line, "surprisal_word_end"].tolist()
        assert found == pytest.approx(expected(brute.tokenizer, text, brute.logprobs([front, *ids])), abs=1e-5), text
    assert (table["surprisal_word_end"] > 0).all()


def test_without_anything_before_it_the_first_word_has_no_value(tiny_folder):
    table = babyeval.surprisal(tiny_folder("llama", "none"), TEXTS, word_end="corrected")
    assert table["surprisal_word_end"].isna().equals(table["word_index"] == 0)


def test_encoder_decoders_that_read_left_to_right(tiny_folder):
    folder = tiny_folder("t5", "t5")
    brute, ends = BruteSeq2Seq(folder), []
    tokenizer = brute.tokenizer
    table = babyeval.surprisal(folder, TEXTS[:2], backend="enc-dec-prefix", word_end="corrected")
    for line, text in enumerate(TEXTS[:2], start=1):
        ids, starts = boundaries(tokenizer, text)
        ends = [*marked(tokenizer), *tokenizer.convert_tokens_to_ids(["<extra_id_0>", "<extra_id_1>"])]
        front = [*brute.start(robust=True), brute.sentinel]
        logprobs = brute.logprobs([brute.sentinel, tokenizer.eos_token_id], [*front, *ids])[len(front) - 1 :]
        found = table.loc[table["line"] == line, "surprisal_word_end"].tolist()
        for value, start, stop in zip(found, starts, [*starts[1:], len(ids)], strict=True):
            total = sum(logprobs[i, ids[i]] for i in range(start, stop))
            assert value == pytest.approx(
                -float(total + logprobs[stop, ends].logsumexp(-1) - logprobs[start, ends].logsumexp(-1)), abs=1e-5
            )


def test_wordpieces_begin_a_word_unless_they_continue_one_or_are_punctuation(tiny_folder):
    checkpoint = opened(tiny_folder("llama", "cls_sep"))
    vocabulary = checkpoint.tokenizer.get_vocab()
    found = word_ends(checkpoint)
    assert {vocabulary[token] for token in ("the", "dog", "a", "[UNK]", "[SEP]", "[CLS]")} <= set(found.ends)
    assert not {vocabulary[token] for token in ("##s", "##able", ".", ",", "?", "[MASK]")} & set(found.ends)


def test_a_text_longer_than_the_window_is_asked_with_the_context_of_its_tokens(tiny_folder):
    checkpoint = opened(tiny_folder("llama", "bos", positions=16))
    asking = encoder(checkpoint)
    text = " ".join(TEXTS[:3])
    (tokens,) = tokenize(checkpoint.tokenizer, [text])
    asking = type(asking)(*(getattr(asking, name) for name in asking.__slots__ if name != "ends"), ends=word_ends(checkpoint))
    count = len(asking.scored(tokens, Span(text)))
    found = ask_ends(Span(text), tokens, range(count + 1), asking)
    (plain,) = asking.encode([Span(text)])
    assert found.truncated
    seen = 0
    for query in found.queries:
        assert len(query.input_ids) <= 16
        for read in query.reads:
            before = query.input_ids[1 : read.position + 1]
            assert before == tokens.ids[1 + seen - len(before) : 1 + seen], "what stands directly before the place"
            assert len(before) >= min(seen, 7)
            seen += 1
    assert seen == count + 1
    own = [query.input_ids[: read.position + 1] for query in plain.queries[:-1] for read in query.reads]
    ends = [query.input_ids[: read.position + 1] for query in found.queries for read in query.reads]
    assert ends[: len(own)] == own, "every token's own context, but for the last piece, which is one longer"


@pytest.mark.parametrize("backend", ["mlm", "mntp"])
def test_masked_models_are_refused_before_any_work(backend, tiny_folder):
    with pytest.raises(UsageError, match="left to right") as caught:
        babyeval.surprisal(tiny_folder("bert", "cls_sep"), "a", backend=backend, word_end="corrected")
    assert "causal and enc-dec-prefix" in caught.value.hint


def ending(suffix: str) -> PreTrainedTokenizerFast:
    """Marks where words end."""
    pieces = ["<unk>", *"abcdefghijklmnopqrstuvwxyzT.,", *(f"{letter}</w>" for letter in "abcdefghijklmnopqrstuvwxyzT.,")]
    backend = Tokenizer(
        models.BPE({piece: i for i, piece in enumerate(pieces)}, [], unk_token="<unk>", end_of_word_suffix=suffix)  # noqa: S106
    )
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.decoder = decoders.BPEDecoder(suffix)
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<unk>")  # noqa: S106


def without_marks() -> PreTrainedTokenizerFast:
    pieces = ["<unk>", "<s>", "the ", *"abcdefghijklmnopqrstuvwxyzT ,."]
    backend = Tokenizer(models.Unigram([(piece, -10.0 if len(piece) == 1 else -2.0) for piece in pieces], unk_id=0))
    return PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", bos_token="<s>")  # noqa: S106


@pytest.mark.parametrize("tokenizer", [ending("</w>"), without_marks()], ids=["ends are marked", "spaces at the end"])
def test_tokenizers_that_do_not_say_where_words_begin_are_refused(tokenizer):
    checkpoint = from_memory(make_model("gpt2", tokenizer), tokenizer)
    with pytest.raises(UsageError, match="where a word begins") as caught:
        word_ends(checkpoint)
    assert "token" in caught.value.where


def test_a_word_whose_beginning_shows_in_no_token_has_no_value(tiny_folder):
    table = babyeval.surprisal(tiny_folder("llama", "bos"), ["They said\u00a0it twice"], word_end="corrected")
    assert table["surprisal_word_end"].isna().tolist() == [False, True, True, False]
    assert [bool(note) for note in table["note"]] == [False, True, True, False]
    assert table["surprisal"].notna().all()


def test_on_the_command_line(tiny_folder, tmp_path):
    folder = tiny_folder("llama", "bos")
    (tmp_path / "text.txt").write_text("They said it twice.\n")
    done = inside("surprisal", "--model", folder, "--text", "text.txt", "--word-end", "corrected", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    found = babyeval.surprisal(folder, ["They said it twice."], word_end="corrected")
    assert [row["surprisal_word_end"] for row in done.json["rows"]] == pytest.approx(found["surprisal_word_end"].tolist())
    for refused, words in (
        (("--unit", "token"), ("--word-end corrected is about words", "--unit word")),
        (("--word-end", "bow"), ("word_end",)),
    ):
        again = ("surprisal", "--model", folder, "--text", "text.txt", "--word-end", "corrected", *refused)
        assert_refused(inside(*again, cwd=tmp_path), 2, *words)
