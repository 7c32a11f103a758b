"""Forms of corpora: the same documents come out whether a text has lines or is flattened, and however it is cut."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator

import pytest
from babyeval.trainers.corpus import forms
from babyeval.trainers.corpus.clean import cut_licences, keep
from babyeval.trainers.corpus.forms import Form, Section
from babyeval.trainers.corpus.types import Tally
from babyeval.trainers.recipe import Clean
from hypothesis import given
from hypothesis import strategies as st

from babyeval.errors import DataError

NO_RULES = Clean(special_characters=False, licence=False, min_words=0, join_turns=False, duplicates=False)

WORDS = st.sampled_from(["a", "pond", "frog", "it", "sleeps", "deep", "Mr.", "reed", "1984", "a=b", "*", "I."])
SENTENCES = st.builds(
    lambda words, end: " ".join(["The", *words]) + end, st.lists(WORDS, min_size=2, max_size=12), st.sampled_from(".?!")
)
BODIES = st.lists(SENTENCES, min_size=1, max_size=8)
TITLES = st.lists(st.sampled_from(["Pond", "of", "St.", "1984", "(film)", "A=b"]), min_size=1, max_size=4).map(" ".join)


def parse(
    chunks: Iterable[str], form: Form, section_words: int = 0, rules: Clean = NO_RULES, wrapped: bool = False
) -> tuple[list[Section], Tally]:
    tally = Tally()
    marked: Iterable[forms.Event] = forms.events(forms.blocks(chunks, "file"), form, rules.licence)
    if rules.licence:
        marked = cut_licences(marked, tally)
    entries = forms.turns(marked) if form == "turns" else forms.lines(marked, wrapped, section_words)
    return list(forms.sections(keep(entries, rules, tally), section_words, tally)), tally


def texts(chunks: Iterable[str], form: Form, **options: object) -> list[str]:
    return [section.text for section in parse(chunks, form, **options)[0]]  # type: ignore[arg-type]


def cut(text: str, sizes: list[int]) -> Iterator[str]:
    start = 0
    for size in sizes:
        yield text[start : start + size]
        start += size
    yield text[start:]


@given(st.lists(st.tuples(TITLES, BODIES), min_size=1, max_size=6), st.booleans())
def test_titled_documents_come_back_from_lines_and_from_one_flattened_line(
    articles: list[tuple[str, list[str]]], flattened: bool
) -> None:
    space = " " if flattened else "\n"
    text = space.join(f"= = = {title} = = ={space}{' '.join(body)}" for title, body in articles)
    assert texts([text], "titled") == [f"{title}\n{' '.join(body)}" for title, body in articles]


@given(st.lists(st.tuples(st.sampled_from(["*MOT:", "*CHI:", "*PAR1:"]), SENTENCES), min_size=1, max_size=20), st.booleans())
def test_turns_come_back_from_lines_and_from_one_flattened_line(turns: list[tuple[str, str]], flattened: bool) -> None:
    lines = [f"{speaker} {sentence}" for speaker, sentence in turns]
    assert texts([(" " if flattened else "\n").join(lines)], "turns") == ["\n".join(lines)]


def test_switchboard_lines_keep_their_labels_and_lose_the_tab() -> None:
    assert texts(["A:\tI fish.\nB:\tDo you?\nB:\tAt the\npond?\n"], "turns") == ["A: I fish.\nB: Do you?\nB: At the pond?"]


def test_transcripts_are_documents_and_their_file_names_no_text() -> None:
    text = "you fell in. *CHI: wet. = = = childes/Pond/frog.cha = = = *MOT: dry now. %add: CHI *CHI: no!"
    assert texts([text], "turns") == ["you fell in.\n*CHI: wet.", "*MOT: dry now.\n%add: CHI\n*CHI: no!"]


def test_titles_of_books() -> None:
    text = "= = = 765 The Deep Pond\nIt rained.\n= = = 1984\nIt froze.\n= = = PG123 = = =\nIt thawed. a = = b\n"
    assert texts([text], "titled") == ["The Deep Pond\nIt rained.", "1984\nIt froze.", "It thawed. a = = b"]


def test_plain_lines_take_no_marks() -> None:
    text = "= = = no title = = =\n*MOT: no turn\n\nlast"
    assert texts([text], "lines") == [text.replace("\n\n", "\n")]


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), TITLES), st.sampled_from(["*MOT:", "*A:", "B:\t", ""]), BODIES), min_size=1, max_size=20
    ),
    st.lists(st.integers(1, 300), max_size=30),
    st.sampled_from(["titled", "turns", "lines"]),
    st.sampled_from([" ", "\n", "\n\n"]),
    st.sampled_from([0, 7, 40]),
)
def test_where_the_text_is_cut_while_reading_changes_nothing(
    pieces: list[tuple[str | None, str, list[str]]], sizes: list[int], form: Form, space: str, section_words: int
) -> None:
    parts = [f"{f'= = = {title} = = ={space}' if title else ''}{label} {' '.join(body)}" for title, label, body in pieces]
    text = space.join(parts)
    for wrapped in (False, True):
        whole = parse([text], form, section_words, Clean(), wrapped)
        piecewise = parse(cut(text, sizes), form, section_words, Clean(), wrapped)
        assert piecewise[0] == whole[0]
        assert piecewise[1].removed() == whole[1].removed()


@given(st.lists(SENTENCES, min_size=30, max_size=120), st.lists(st.integers(1, 700), max_size=30), st.sampled_from([5, 30]))
def test_a_line_too_long_for_memory_gives_the_same_sections(sentences: list[str], sizes: list[int], section_words: int) -> None:
    text = " ".join(sentences)
    whole = parse([text], "titled", section_words)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "_LONG_LINE", 200)
        patch.setattr(forms, "_LONGEST_MARK", 20)
        assert parse(cut(text, sizes), "titled", section_words)[0] == whole
    assert " ".join(section.text for section in whole) == text


@given(st.lists(st.integers(1, 60), min_size=1, max_size=30), st.integers(1, 25))
def test_sections_lose_no_word_and_keep_their_bound(lengths: list[int], section_words: int) -> None:
    lines = [" ".join(f"w{number}" for number in range(length)) for length in lengths]
    found = parse(["\n".join(lines)], "lines", section_words)[0]
    assert " ".join(section.text for section in found).split() == " ".join(lines).split()
    assert all(section.words == len(section.text.split()) <= section_words for section in found)
    if max(lengths) <= section_words:  # then they end where lines do, and as late as possible
        assert "\n".join(section.text for section in found).split("\n") == lines
        for one, other in itertools.pairwise(found):
            assert one.words + len(other.text.split("\n")[0].split()) > section_words


def test_long_entries_are_cut_between_sentences() -> None:
    text = 'Mr. A. Reed swam far. "Is it cold?" asked Dr. Moss. It was cold.'
    assert texts([text], "lines", section_words=7) == ["Mr. A. Reed swam far.", '"Is it cold?" asked Dr. Moss.', "It was cold."]


def test_a_title_alone_is_no_section_and_no_document() -> None:
    found, tally = parse(["= = = Empty = = =\n= = = Long Pond = = =\n" + "deep " * 9], "titled", 9)
    assert [section.text for section in found] == ["Long Pond\n" + " ".join(["deep"] * 9)]
    assert tally.removed()["marks"].words == 13  # twelve equals signs and a title


def test_wrapped_paragraphs_are_joined() -> None:
    paragraph = "The heron stands where the reeds are\nthick, and waits for a frog that has\nforgotten it."
    text = f"{paragraph}\n\n  \n{paragraph}\n"
    assert forms.is_wrapped(text)
    joined = " ".join(paragraph.split())
    assert texts([text], "titled", wrapped=True) == [f"{joined}\n{joined}"]
    assert not forms.is_wrapped("Hello there.\nHow are you?\n\nFine.\nAnd you?\n\n" * 9)
    assert not forms.is_wrapped("one paragraph a line, of whatever length\n\nanother one")
    assert not forms.is_wrapped("line after line\nwithout any\nblank one\n")


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("*CHI: more. *MOT: more juice?", "turns"),
        ("A:\tYes, I do.\nB:\tSo do I.\n", "turns"),
        ("HERON: Stand still.\nFROG: Why?\n", "turns"),
        ("= = = Pond = = = A pond is small water.", "titled"),
        ("NOTE: read this.\nWARNING: wet.\n" + "It rained all day and the pond grew.\n" * 20, "titled"),
        ("Just a line.\nAnd another: one.\n", "titled"),
    ],
)
def test_the_form_is_seen_at_the_beginning(text: str, form: Form) -> None:
    assert forms.looks_like(text) == form


@given(st.text(alphabet=" \n\tab", max_size=60), st.lists(st.integers(1, 9), max_size=9))
def test_blocks_add_up_and_end_between_words(text: str, sizes: list[int]) -> None:
    found = list(forms.blocks(cut(text, sizes), "file"))
    assert "".join(found) == text
    assert all(re.search(r"\s\Z", block) for block in found[:-1])


def test_text_without_any_white_space_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forms, "_LONGEST_WORD", 100)
    with pytest.raises(DataError, match="no white space in 120 characters"):
        list(forms.blocks(["x" * 40] * 5, "file"))


def test_megabytes_of_one_line_come_out_as_they_are_read() -> None:
    read = 0

    def chunks() -> Iterator[str]:
        nonlocal read
        for _ in range(5):
            read += 1
            yield "The pond is deep. " * 30_000

    tally = Tally()
    entries = forms.lines(forms.events(forms.blocks(chunks(), "file"), "titled", False), False, 1000)
    found = forms.sections(keep(entries, NO_RULES, tally), 1000, tally)
    assert next(found).words == 1000
    assert read <= 2  # what follows has not been read yet
    assert 1000 + sum(section.words for section in found) == 5 * 30_000 * 4
