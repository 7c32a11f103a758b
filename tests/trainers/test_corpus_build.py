"""A corpus as a whole: every word accounted for, built once, never half, within its budget."""

from __future__ import annotations

import gzip
import lzma
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from babyeval.trainers.corpus import build
from babyeval.trainers.corpus.build import build_corpus
from babyeval.trainers.corpus.types import Corpus
from babyeval.trainers.folders import file_digest
from babyeval.trainers.recipe import Data

from babyeval.errors import DataError, MissingError, UsageError
from babyeval.progress import Quiet


class Notes(Quiet):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def article(number: int, sentences: int = 6) -> str:
    return f"= = = Pond {number} = = = " + " ".join(f"Frog {number} sat on leaf {leaf}." for leaf in range(sentences)) + " "


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "wiki.train.txt.xz").write_bytes(lzma.compress("".join(article(number) for number in range(60)).encode()))
    turns = "".join(f"{'AB'[i % 3 > 0]}:\tI saw frog {i} today.\n{'AB'[i % 2]}:\tYes.\n" for i in range(200))
    (folder / "talk.txt.gz").write_bytes(gzip.compress(turns.encode()))
    (folder / "talk.dev.txt").write_text("A:\tThis is held out.\n")
    return folder


def make(folder: Path, notes: Notes | None = None, **settings: Any) -> Corpus:
    data = Data.model_validate({"corpus": folder, "section_words": 100, **settings})
    return build_corpus(data, folder.parent / "out", notes or Notes())


def check_account(corpus: Corpus) -> None:
    """Counts again what the manifest says."""
    for name, counts in corpus.manifest.domains.items():
        train, valid = list(corpus.documents("train", name)), list(corpus.documents("valid", name))
        assert all(document.words == len(document.text.split()) and document.domain == name for document in train + valid)
        assert (len(train), len(valid)) == (counts.train_documents, counts.valid_documents)
        assert sum(document.words for document in train) == counts.train_words
        assert sum(document.words for document in valid) == counts.valid_words
        found = sum(file.words for file in counts.files)
        assert found == counts.words + sum(removed.words for removed in counts.removed.values())
    assert {name: file_digest(corpus.folder / name) for name in corpus.manifest.outputs} == corpus.manifest.outputs


def test_every_word_is_accounted_for(folder: Path) -> None:
    notes = Notes()
    corpus = make(folder, notes)
    check_account(corpus)
    assert corpus.domains == ("talk", "wiki")
    talk, wiki = corpus.manifest.domains["talk"], corpus.manifest.domains["wiki"]
    raw = gzip.decompress((folder / "talk.txt.gz").read_bytes())
    assert talk.files[0].words == len(raw.split())
    assert (talk.files[0].form, wiki.files[0].form) == ("turns", "titled")
    assert talk.files[0].sha256 == file_digest(folder / "talk.txt.gz")
    assert talk.removed["min_words"].entries == 200
    assert talk.removed["join_turns"].entries > 0
    assert wiki.train_documents + wiki.valid_documents == 60
    assert 0.05 < corpus.valid_words / (corpus.valid_words + corpus.train_words) < 0.2
    assert notes.said == ["Left out: talk.dev.txt (held out)."]
    assert next(corpus.documents("train", "wiki")).text.split("\n")[0].startswith("Pond ")
    assert sorted(path.name for path in corpus.folder.iterdir()) == sorted([*corpus.manifest.outputs, "manifest.json"])


def test_training_and_validation_share_no_document(folder: Path) -> None:
    corpus = make(folder)
    parts = [{document.text for document in corpus.documents(part)} for part in ("train", "valid")]
    assert not parts[0] & parts[1]
    assert len(parts[0] | parts[1]) == sum(domain.documents for domain in corpus.manifest.domains.values())


def test_the_same_content_is_built_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(folder)
    with monkeypatch.context() as patch:
        patch.setattr(build, "_read_all", None)  # it would fail if it were built again
        notes = Notes()
        moved = folder.rename(folder.with_name("moved"))
        again = make(moved, notes)
    assert again == first
    assert any("is used" in note for note in notes.said)
    assert make(moved, split_seed=1).digest != first.digest
    assert make(moved, valid_share=0.1).folder == first.folder


def test_a_damaged_corpus_is_built_again(folder: Path) -> None:
    first = make(folder)
    for damage in (b"", b"{"):
        (first.folder / ("wiki.train.parquet" if not damage else "manifest.json")).write_bytes(damage)
        notes = Notes()
        again = make(folder, notes)
        assert any("damaged" in note for note in notes.said)
        assert again == first
        check_account(again)


def test_an_interrupted_build_leaves_nothing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(build, "_write_all", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            make(folder)
    assert not list((folder.parent / "out" / "_data").iterdir())
    check_account(make(folder))


def test_documents_seen_before_are_dropped_in_any_domain(folder: Path) -> None:
    (folder / "more.txt").write_text(article(1) + article(100) + article(100) + article(101))
    corpus = make(folder)
    texts = Counter(document.text for part in ("train", "valid") for document in corpus.documents(part))
    assert max(texts.values()) == 1
    removed = {name: domain.removed.get("duplicates") for name, domain in corpus.manifest.domains.items()}
    assert sum(count.entries for count in removed.values() if count) == 2
    check_account(corpus)
    kept = make(folder, clean={"duplicates": False})
    assert kept.manifest.domains["more"].documents == 4


def test_a_budget_refuses_or_samples(folder: Path) -> None:
    whole = make(folder)
    total = whole.train_words + whole.valid_words
    with pytest.raises(UsageError, match=f"{total:,} words.*budget of {1000:,}") as caught:
        make(folder, words=1000)
    assert "data.over=sample" in (caught.value.hint or "")
    notes = Notes()
    corpus = make(folder, notes, words=1000, over="sample")
    check_account(corpus)
    longest = {name: max(d.words for part in ("train", "valid") for d in whole.documents(part, name)) for name in whole.domains}
    assert 1000 - sum(longest.values()) < corpus.train_words + corpus.valid_words <= 1000
    for name, domain in corpus.manifest.domains.items():
        share = 1000 * whole.manifest.domains[name].words / total
        assert share - longest[name] - 1 < domain.words < share + 1
        assert domain.removed["budget"].words == whole.manifest.domains[name].words - domain.words
    assert any("sample within the budget" in note for note in notes.said)
    assert make(folder, words=1000, over="sample", split_seed=3).digest != corpus.digest


def test_a_corpus_smaller_than_the_budget_is_taken_whole_and_said(folder: Path) -> None:
    whole, notes = make(folder), Notes()
    total = whole.train_words + whole.valid_words
    assert make(folder, notes, words=total + 1).digest == whole.digest
    assert (
        f"The corpus holds {total:,} words after cleaning, fewer than the budget of {total + 1:,}: all are taken." in notes.said
    )
    assert make(folder, words=total).manifest.notes == ()


def test_a_budget_below_any_document_is_an_error(folder: Path) -> None:
    with pytest.raises(UsageError, match="less than one document"):
        make(folder, words=3, over="sample")


def test_a_domain_of_one_document_is_for_training_and_is_said(folder: Path) -> None:
    (folder / "letter.txt").write_text("Dear frog, the pond is cold.\n")
    notes = Notes()
    corpus = make(folder, notes)
    assert corpus.manifest.domains["letter"].valid_documents == 0
    assert list(corpus.documents("valid", "letter")) == []
    assert any("'letter' has one document only" in note for note in notes.said)
    with pytest.raises(UsageError, match="Nothing is left for validation"):
        make(folder, include=["letter.txt"])


def test_a_domain_of_which_nothing_is_left_is_said(folder: Path) -> None:
    (folder / "short.txt").write_text("Oh no.\nYes yes.\n")
    notes = Notes()
    assert make(folder, notes).manifest.domains["short"].words == 0
    assert "Nothing is taken of 'short': min_words removed 4 words." in notes.said


def test_no_domain_takes_the_name_that_stands_for_all(folder: Path) -> None:
    (folder / "all.txt").write_text("It rained on frog one.\nIt rained on frog two.\n" * 30)
    with pytest.raises(UsageError, match="cannot be called 'all'") as caught:
        make(folder)
    assert caught.value.where == str(folder / "all.txt")
    assert make(folder, include=["all.txt"], section_words=10, clean={"duplicates": False}).domains == ("all",)


def test_forms_can_be_said_and_plain_files_are_lines(folder: Path) -> None:
    (folder / "plain.txt").write_text("It rained on frog one.\nIt rained on frog two.\n" * 3)
    assert make(folder).manifest.domains["plain"].files[0].form == "lines"
    corpus = make(folder, forms={"talk": "lines"})
    assert corpus.manifest.domains["talk"].files[0].form == "lines"
    check_account(corpus)
    with pytest.raises(UsageError, match="'walk'"):
        make(folder, forms={"walk": "turns"})


@pytest.mark.parametrize(
    ("name", "content", "error", "match"),
    [
        ("a.txt", b"", DataError, "empty"),
        ("a.train", b"\x89PNG\x00\x01", DataError, "binary"),
        ("a.txt.xz", lzma.compress(b"It rained all day.\n")[:-4], DataError, "cut off"),
        ("a.txt", "Der Fluß".encode("latin-1"), DataError, "no UTF-8"),
    ],
)
def test_bad_files_are_named_and_nothing_is_left(
    folder: Path, name: str, content: bytes, error: type[Exception], match: str
) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(error, match=match) as caught:
        make(folder)
    assert str(folder / name) in str(caught.value)
    assert not list((folder.parent / "out" / "_data").iterdir())


def test_a_corpus_has_to_be_named_and_be_there(folder: Path) -> None:
    with pytest.raises(UsageError, match="names no corpus"):
        build_corpus(Data(), folder.parent / "out", Quiet())
    with pytest.raises(MissingError, match="no corpus folder"):
        make(folder / "nowhere")


def test_real_text_of_each_form(shared: Path, tmp_path: Path) -> None:
    source = shared / "corpus"
    include = ("simple_wiki.dev*", "switchboard*", "childes.dev*", "*mystery*")
    data = Data(corpus=source, include=include, words=200_000, over="sample")
    corpus = build_corpus(data, tmp_path, Quiet())
    check_account(corpus)
    assert 196_000 < corpus.train_words + corpus.valid_words <= 200_000
    forms = {name: domain.files[0].form for name, domain in corpus.manifest.domains.items()}
    assert forms == {
        "childes": "turns",
        "gutenberg_books_mystery_books": "titled",
        "simple_wiki": "titled",
        "switchboard": "turns",
    }
    wiki = lzma.decompress((source / "simple_wiki.dev.txt.xz").read_bytes()).decode()
    assert corpus.manifest.domains["simple_wiki"].files[0].words == len(wiki.split())
    texts = [document.text for part in ("train", "valid") for document in corpus.documents(part)]
    assert not any("= = =" in text or "PROJECT GUTENBERG" in text or "\ufeff" in text for text in texts)
