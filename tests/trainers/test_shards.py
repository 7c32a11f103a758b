"""Packed text: nothing lost, documents whole and in the order drawn, each word counted once and where it stands."""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
import pytest
from babyeval.trainers.encoding import encode
from babyeval.trainers.recipe import TokenizerSpec
from babyeval.trainers.shards import Blocks, build_shards, open_shards, token_facts
from babyeval.trainers.tokenizer import train_tokenizer
from hypothesis import given
from hypothesis import strategies as st
from small_corpus import SmallCorpus, document, small_corpus

from babyeval.errors import DataError, MissingError, UsageError
from babyeval.models.tokenizer import load_tokenizer
from babyeval.progress import Quiet

KINDS = ("bpe", "wordpiece", "unigram")
LENGTH = 16


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, bool, bool], Path]:
    """Tokenizers by kind, whether causal, and whether anything is put around a text."""
    out = tmp_path_factory.mktemp("tokenizers")

    def folder(kind: str, causal: bool, around: bool) -> Path:
        rarest = {} if kind == "unigram" else {"min_frequency": 1}
        spec = TokenizerSpec(kind=kind, vocab_size=300, bos=around, eos=around, lowercase=kind == "wordpiece", **rarest)
        return train_tokenizer(small_corpus(), spec, causal, out, 64, Quiet())

    made = {(kind, causal, True): folder(kind, causal, True) for kind in KINDS for causal in (True, False)}
    return made | {(kind, True, False): folder(kind, True, False) for kind in KINDS}


@pytest.fixture(scope="module")
def tokenizers(folders):
    return {key: load_tokenizer(folder) for key, folder in folders.items()}


CASES = [(kind, causal, around) for kind in KINDS for causal, around in ((True, True), (True, False), (False, True))]


def all_tokens(blocks: Blocks) -> list[int]:
    return [token for i in range(len(blocks)) for token in blocks.tokens(i).tolist()]


def pieces(blocks: Blocks) -> list[tuple[int, list[int]]]:
    """The file cut at all starts, each with its place."""
    found = []
    for i in range(len(blocks)):
        tokens, starts = blocks.tokens(i).tolist(), [*blocks.starts(i).tolist(), len(blocks.tokens(i))]
        found += [(i * blocks.length + a, tokens[a:b]) for a, b in pairwise(starts)]
    return found


def written(tokenizer, text: str, causal: bool) -> list[int]:
    """How a document must be written, by the tokenizer's own ordinary call."""
    ids = tokenizer(text)["input_ids"]
    return [*ids, tokenizer.eos_token_id] if causal and tokenizer.eos_token_id is not None else ids


def kept(documents: Iterable[list[int]]) -> list[int]:
    """A last token that would be a block of its own is left out."""
    tokens = list(chain.from_iterable(documents))
    return tokens[:-1] if len(tokens) % LENGTH == 1 else tokens


@pytest.mark.parametrize(("kind", "causal", "around"), CASES)
def test_packs_every_document_whole(folders, tokenizers, tmp_path, kind, causal, around):
    corpus, tokenizer = small_corpus(), tokenizers[kind, causal, around]
    shards = build_shards(corpus, folders[kind, causal, around], LENGTH, causal, tmp_path, Quiet())
    for domain, blocks in shards.valid.items():
        assert all_tokens(blocks) == kept(written(tokenizer, d.text, causal) for d in corpus.documents("valid", domain))
    expected = [written(tokenizer, d.text, causal) for d in corpus.train]
    tokens = all_tokens(shards.train)
    starts = shards.train._documents.tolist()
    documents = [tokens[a:b] for a, b in zip(starts, [*starts[1:], len(tokens)], strict=True)]
    order = [next(i for i, own in enumerate(expected) if own[: len(document)] == document) for document in documents]
    assert sorted(order) == list(range(len(expected)))
    assert order != sorted(order)
    assert tokens == kept(expected[i] for i in order)
    assert shards.train.n_tokens == len(tokens) == shards.manifest.train.tokens
    assert [len(shards.train.tokens(i)) for i in range(len(shards.train) - 1)] == [LENGTH] * (len(shards.train) - 1)
    assert 1 < len(shards.train.tokens(len(shards.train) - 1)) <= LENGTH
    cuts = sorted({*starts, *range(0, len(tokens), LENGTH)})
    assert [place for place, _ in pieces(shards.train)] == cuts
    assert list(chain.from_iterable(piece for _, piece in pieces(shards.train))) == tokens


@pytest.mark.parametrize(("kind", "causal", "around"), CASES)
def test_counts_all_words(folders, tmp_path, kind, causal, around):
    corpus = small_corpus()
    shards = build_shards(corpus, folders[kind, causal, around], LENGTH, causal, tmp_path, Quiet())
    assert shards.train.words.sum() == corpus.train_words > 3000
    assert {domain: int(blocks.words.sum()) for domain, blocks in shards.valid.items()} == {
        domain: sum(d.words for d in corpus.documents("valid", domain)) for domain in ("talk", "tales")
    }


def words_by_hand(tokenizer, texts: list[str], facts) -> list[int]:
    """The place of the token of each word, character by character and token by token."""
    places, behind = [], 0
    for text in texts:
        encoded = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False)
        inside = len(encoded.ids) + len(facts.front) + len(facts.back)
        for i, letter in enumerate(text):
            if letter.isspace() or (i and not text[i - 1].isspace()):
                continue
            holding = [t for t, (_, end) in enumerate(encoded.offsets) if end > i]  # the first that reaches beyond it
            places.append(behind + (len(facts.front) + holding[0] if holding else inside - 1))
        behind += inside
    return places


# Everything that can go wrong: many kinds of space, marks alone, letters of several bytes, unknown and removed signs.
_AWKWARD = st.text(
    st.one_of(
        st.sampled_from("abtheséI.,'\n\t \u00a0\u3000\u2028\x1c\x85\u0301\u200b\x00ﬁ中🦊ẞİ"),
        st.characters(exclude_categories=["Cs"]),
    ),
    min_size=1,
    max_size=40,
)


@pytest.mark.parametrize(("kind", "causal", "around"), CASES)
@given(texts=st.lists(_AWKWARD, min_size=1, max_size=4))
def test_a_word_counts_where_its_first_character_is(tokenizers, kind, causal, around, texts):
    tokenizer = tokenizers[kind, causal, around]
    facts = token_facts(tokenizer, causal)
    encoded = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    ids, starts, tokens = encode(tokenizer.backend_tokenizer, texts, facts)
    assert ids.tolist() == [token for own in encoded for token in (*facts.front, *own, *facts.back)]
    assert starts.tolist() == [sum(len(facts.front + facts.back) + len(own) for own in encoded[:i]) for i in range(len(texts))]
    if all(encoded) or around:  # a document without any token has no place of its own
        assert tokens.tolist() == words_by_hand(tokenizer, texts, facts)
    if len(ids):
        assert len(tokens) == sum(len(text.split()) for text in texts)


def test_words_lie_where_reading_finds_them(folders, tokenizers, tmp_path):
    """Independent of offsets: what byte-level tokens spell, block by block."""
    corpus, tokenizer = small_corpus(), tokenizers["bpe", True, True]
    shards = build_shards(corpus, folders["bpe", True, True], 7, True, tmp_path, Quiet())
    for blocks in (shards.train, *shards.valid.values()):
        before, counts = " ", []
        for i in range(len(blocks)):
            text = tokenizer.decode(blocks.tokens(i)).replace("<s>", " ").replace("</s>", " ")
            joined = before + text.replace("\ufffd", "x")  # half a letter
            counts.append(sum(not b.isspace() and a.isspace() for a, b in pairwise(joined)))
            before = joined[-1]
        assert counts == blocks.words.tolist()


def test_special_tokens_in_a_corpus_are_text(folders, tokenizers, tmp_path):
    corpus = SmallCorpus([document("they wrote </s> and <s> here <pad>")])
    shards = build_shards(corpus, folders["bpe", True, True], 64, True, tmp_path, Quiet())
    tokens, facts = all_tokens(shards.train), shards.facts
    assert [t for t in tokens if t in facts.special] == [*facts.front, *facts.back]
    assert tokenizers["bpe", True, True].decode(tokens[1:-1]) == "they wrote </s> and <s> here <pad>"


def test_a_last_token_alone_is_left_out_but_its_words_count(folders, tokenizers, tmp_path):
    tokenizer = tokenizers["bpe", True, False]
    text = "she saw it again"
    length = len(tokenizer(text)["input_ids"]) - 1
    shards = build_shards(SmallCorpus([document(text)]), folders["bpe", True, False], length, True, tmp_path, Quiet())
    assert (len(shards.train), shards.train.n_tokens) == (1, length)
    assert shards.train.words.tolist() == [4]


def test_order_follows_the_corpus(folders, tmp_path):
    folder = folders["bpe", True, True]
    first = build_shards(small_corpus(), folder, LENGTH, True, tmp_path / "a", Quiet())
    again = build_shards(small_corpus(), folder, LENGTH, True, tmp_path / "b", Quiet())
    for file in ("train.tokens", "train.starts.npy", "train.words.npy", "tales.valid.tokens", "manifest.json"):
        assert (first.folder / file).read_bytes() == (again.folder / file).read_bytes()


def test_is_built_once(folders, tmp_path):
    folder = folders["bpe", True, True]
    first = build_shards(small_corpus(), folder, LENGTH, True, tmp_path, Quiet())
    (first.folder / "mark").touch()
    again = build_shards(small_corpus(), folder, LENGTH, True, tmp_path, Quiet())
    assert (again.folder / "mark").exists()
    assert build_shards(small_corpus(), folder, LENGTH + 1, True, tmp_path, Quiet()).folder != first.folder
    other = folders["wordpiece", True, True]
    assert build_shards(small_corpus(), other, LENGTH, True, tmp_path, Quiet()).folder != first.folder


def test_an_interrupted_build_leaves_nothing(folders, tmp_path):
    class Interrupted(SmallCorpus):
        def documents(self, part, domain=None):
            yield from super().documents(part, domain)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_shards(Interrupted(small_corpus().train), folders["bpe", True, True], LENGTH, True, tmp_path, Quiet())
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_travels_to_a_worker_process_without_its_text(folders, tmp_path):
    shards = build_shards(small_corpus(), folders["bpe", True, True], LENGTH, True, tmp_path, Quiet())
    expected = all_tokens(shards.train)
    sent = pickle.dumps(shards.train)
    assert len(sent) < 2000
    assert all_tokens(pickle.loads(sent)) == expected  # noqa: S301 (our own)


def test_large_vocabularies_fit():
    from babyeval.trainers.shards import _id_type

    for size in (300, 1 << 16, (1 << 16) + 1):
        assert np.array([size - 1], dtype=_id_type(size))[0] == size - 1


def test_refuses_damaged_files(folders, tmp_path):
    shards = build_shards(small_corpus(), folders["bpe", True, True], LENGTH, True, tmp_path, Quiet())
    path = shards.folder / "train.tokens"
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(UsageError, match="damaged"):
        open_shards(shards.folder)
    (shards.folder / "manifest.json").write_text("{}")
    with pytest.raises(UsageError, match="damaged"):
        build_shards(small_corpus(), folders["bpe", True, True], LENGTH, True, tmp_path, Quiet())


def test_refuses_what_cannot_be_packed(folders, tmp_path):
    folder = folders["bpe", True, True]
    with pytest.raises(UsageError, match="no text"):
        build_shards(SmallCorpus([]), folder, LENGTH, True, tmp_path, Quiet())
    with pytest.raises(UsageError, match="no mask"):
        build_shards(small_corpus(), folder, LENGTH, False, tmp_path, Quiet())
    with pytest.raises(MissingError, match="no tokenizer"):
        build_shards(small_corpus(), tmp_path, LENGTH, True, tmp_path, Quiet())
    wrong = SmallCorpus([document("she saw it"), type(document(""))("she saw it", 4, "tales")])
    with pytest.raises(DataError, match=r"Words were lost: 6 .* states 7"):
        build_shards(wrong, folder, LENGTH, True, tmp_path, Quiet())
    assert not list(tmp_path.rglob("manifest.json"))
