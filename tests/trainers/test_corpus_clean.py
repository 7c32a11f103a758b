"""Cleaning rules against plain reference implementations."""

from __future__ import annotations

import itertools

import pytest
from babyeval.trainers.corpus.clean import FOOTER_CHARACTERS, HEADER_CHARACTERS, clean_blocks, clean_text, keep
from babyeval.trainers.corpus.forms import DOCUMENT, LINE, MORE, TIER, TURN, Entry
from babyeval.trainers.corpus.types import Tally
from babyeval.trainers.recipe import Clean
from hypothesis import given
from hypothesis import strategies as st
from test_corpus_forms import parse, texts

ENTRIES = st.lists(
    st.tuples(st.sampled_from(["A:", "B:", "*MOT:"]), st.lists(st.sampled_from(["yes", "uh-huh", "pond", "-", "2"]), max_size=5)),
    max_size=30,
)


@given(ENTRIES, st.integers(0, 4), st.booleans())
def test_short_turns_go_and_then_turns_of_one_speaker_are_joined(
    turns: list[tuple[str, list[str]]], min_words: int, join: bool
) -> None:
    tally = Tally()
    entries: list[Entry] = [(TURN, label, list(words)) for label, words in turns]
    found = list(keep(entries, Clean(min_words=min_words, join_turns=join, special_characters=False), tally))
    left = [(label, words) for label, words in turns if words and len(words) >= min_words]
    runs = [(label, list(group)) for label, group in itertools.groupby(left, key=lambda turn: turn[0])]
    wanted = [(label, list(itertools.chain(*(words for _, words in group)))) for label, group in runs] if join else left
    assert [(label, words) for _, label, words in found] == wanted
    before = sum(1 + len(words) for _, words in turns)
    after = sum(1 + len(words) for _, _, words in found)
    removed = tally.removed()
    assert before - after == sum(count.words for count in removed.values())
    assert sum(count.entries for count in removed.values()) == len(turns) - len(wanted)


def test_turns_are_not_joined_across_documents_nor_without_a_speaker() -> None:
    entries: list[Entry] = [
        (TURN, "A:", ["one"]),
        (DOCUMENT, "", []),
        (TURN, "A:", ["two"]),
        (TURN, "", ["x"]),
        (TURN, "", ["y"]),
    ]
    assert list(keep(entries, Clean(min_words=0), Tally())) == entries


def test_annotations_and_entries_without_letters_are_no_text() -> None:
    entries: list[Entry] = [
        (LINE, "", ["*", "*", "*", "*"]),
        (LINE, "", ["-", "a", "dash"]),
        (TIER, "%add:", ["to", "the", "child"]),
        (MORE, "", ["..."]),  # the end of a line that came in pieces
    ]
    tally = Tally()
    assert list(keep(entries, Clean(), tally)) == [entries[1], entries[3]]
    assert (tally.removed()["special_characters"].entries, tally.removed()["special_characters"].words) == (2, 8)
    assert list(keep(entries, Clean(special_characters=False), Tally())) == entries


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("\ufeffA\u00ad pond\x07 of\u200b water\ufffd.", "A pond of water."),
        ("a<br/>b <i>c</i><span class='x'>d</span> <laughter> 1 < 2 > 0", "a b cd <laughter> 1 < 2 > 0"),
        ("fish &amp; frogs &#233;t&eacute; &nothing;", "fish & frogs été &nothing;"),
        ("the _very_ deep _old pond_, snake_case_name __init__", "the very deep old pond, snake_case_name init"),
        ("'''Pond''' is ''small'' [[water body|water]] in [[France]]", "Pond is small water in France"),
        ("``quoted'' and ``quoted'' don't 'single'", "``quoted'' and ``quoted'' don't 'single'"),
        ("line\nnext\ttab é ß 水 🐸 می‌خواهم", "line\nnext\ttab é ß 水 🐸 می‌خواهم"),
    ],
)
def test_signs_that_are_no_text(text: str, cleaned: str) -> None:
    assert clean_text(text) == cleaned


@given(st.lists(st.text(alphabet="a\ufeff \n_&;<>br'[]|é\x07"), max_size=6))
def test_words_that_cleaning_removes_are_counted(blocks: list[str]) -> None:
    tally = Tally()
    found = list(clean_blocks(blocks, tally))
    words = sum(len(block.split()) for block in blocks) - sum(len(block.split()) for block in found)
    assert sum(count.words for count in tally.removed().values()) == words


HEADER = (
    "The Project Gutenberg eBook of {0}\nYou may copy it under some terms.\n*** START OF THE PROJECT GUTENBERG EBOOK {0} ***\n"
)
FOOTER = "*** END OF THE PROJECT GUTENBERG EBOOK {0} ***\nTerms follow.\nSubscribe to our newsletter to hear about new eBooks.\n"
LICENCE = Clean(special_characters=False, min_words=0)


@pytest.mark.parametrize("flattened", [False, True])
@pytest.mark.parametrize("titled", [False, True])
def test_licences_around_books_are_cut(flattened: bool, titled: bool) -> None:
    def book(name: str, text: str) -> str:
        return (f"= = = {name} = = =\n" if titled else "") + HEADER.format(name.upper()) + text + FOOTER.format(name.upper())

    text = book("One", "Rain fell. It fell on.\n") + book("Two", "Snow fell.\n")
    found, tally = parse([text.replace("\n", " ") if flattened else text], "titled", rules=LICENCE)
    heads = ["One\n", "Two\n"] if titled else ["", ""]
    assert [section.text for section in found] == [f"{heads[0]}Rain fell. It fell on.", f"{heads[1]}Snow fell."]
    kept = sum(section.words for section in found)
    assert kept + sum(count.words for count in tally.removed().values()) == len(text.split())


def test_the_end_of_older_books_is_known_too() -> None:
    text = "Rain fell. End of Project Gutenberg's Rain, by A. Cloud = = = PG12 = = = Snow fell."
    assert texts([text], "titled", rules=LICENCE) == ["Rain fell.", "Snow fell."]


def test_a_sign_that_is_only_quoted_takes_no_book_with_it() -> None:
    story = "It rained on the pond. "
    before, behind = story * (HEADER_CHARACTERS // len(story) + 2), story * (FOOTER_CHARACTERS // len(story) + 2)
    text = f"{before}\n{HEADER.format('X').splitlines()[2]}\n{behind}"
    assert " ".join(texts([text], "titled", rules=LICENCE)).split() == (before + behind).split()
    text = f"{before}\n{FOOTER.format('X').splitlines()[0]}\n{behind}"
    assert behind.split() == " ".join(texts([text], "titled", rules=LICENCE)).split()[-len(behind.split()) :]
    text = "You can subscribe to hear about new eBooks. Or not."
    assert texts([text], "titled", rules=LICENCE) == [text]


def test_without_the_rule_licences_stay() -> None:
    text = HEADER.format("X") + "Rain fell."
    assert texts([text], "titled", rules=LICENCE.model_copy(update={"licence": False})) == [text]
