"""The cleaning rules of a corpus, each of which counts what it removes."""

from __future__ import annotations

import html
import html.entities
import re
from collections.abc import Iterable, Iterator

from ..recipe import Clean
from .forms import DOCUMENT, LICENCE_CLOSE, LICENCE_END, LICENCE_START, MORE, TEXT, TIER, TITLE, TURN, Entry, Event
from .types import Tally

# Bounds on what may be taken for a licence, so that a sign that is quoted somewhere never takes a book with it.
HEADER_CHARACTERS = 20_000
FOOTER_CHARACTERS = 40_000

# Control characters, soft hyphens, zero-width spaces, direction signs, byte-order marks, private use, replacement characters.
_NO_TEXT = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ue000-\uf8ff\ufff0-\uffff]"
)
_ENTITY = re.compile(r"&(?:[A-Za-z][A-Za-z0-9]{1,10}|#\d{1,7}|#[xX][0-9a-fA-F]{1,6});")
_INLINE_TAG = re.compile(
    r"</?(?:b|i|u|s|em|strong|small|big|sub|sup|span|font|ref|nowiki|tt|a)(?:\s[^<>\n]{0,200})?/?>", re.IGNORECASE
)
_BLOCK_TAG = re.compile(
    r"</?(?:br|p|div|hr|table|tr|td|th|ul|ol|li|dl|dt|dd|h[1-6]|center|blockquote|pre|gallery|img)(?:\s[^<>\n]{0,200})?/?>",
    re.IGNORECASE,
)
# The first sign stands before what looks back at it, which is faster by far.
_EMPHASIS = re.compile(r"_(?<!\w_)_*(?=[^\s_])([^_\n]{1,200}?)(?<=[^\s_])_+(?!\w)")
_WIKI_EMPHASIS = re.compile(r"'(?<!\S')'+(?=[^\s'])([^'\n]{1,200}?)(?<=[^\s'])''+")
_WIKI_LINK = re.compile(r"\[\[(?:[^\[\]|\n]{1,100}\|)?([^\[\]|\n]{1,100})\]\]")
_LETTER_OR_DIGIT = re.compile(r"[^\W_]")


def clean_text(text: str) -> str:
    r"""Removes signs that are no text: control characters, markup left over, entities.

    Tags are removed by name, so that ``<laughter>`` or ``a < b`` stay; so do joiners that some scripts write with.

    Example:
        >>> clean_text("The _old_ pond&nbsp;was\u200b <b>deep</b>.<br>It froze.")
        'The old pond\xa0was deep. It froze.'
    """
    if "&" in text:
        text = _ENTITY.sub(_character, text)
    if "<" in text:
        text = _BLOCK_TAG.sub(" ", _INLINE_TAG.sub("", text))
    if "_" in text:
        text = _EMPHASIS.sub(r"\1", text)
    if "''" in text:
        text = _WIKI_EMPHASIS.sub(r"\1", text)
    if "[[" in text:
        text = _WIKI_LINK.sub(r"\1", text)
    return _NO_TEXT.sub("", text)


def _character(entity: re.Match[str]) -> str:
    # unescape would take the beginning of an unknown name for a known one
    return html.unescape(entity[0]) if "#" in entity[0] else html.entities.html5.get(entity[0][1:], entity[0])


def clean_blocks(blocks: Iterable[str], tally: Tally) -> Iterator[str]:
    """Cleans blocks of whole words, and counts the words that go."""
    for block in blocks:
        cleaned = clean_text(block)
        if cleaned != block:
            tally.add("special_characters", len(block.split()) - len(cleaned.split()), 0)
        yield cleaned


def cut_licences(events: Iterable[Event], tally: Tally) -> Iterator[Event]:
    """Leaves out the licence texts before and behind the books of Project Gutenberg.

    What stands between a document's head and the sign that its text starts goes, and what stands between the sign that
    it ends and the next head or the licence's last words; both only up to a bound.
    """
    held: list[Event] = []  # the beginning of a document, or what follows its end
    where, room = "header", HEADER_CHARACTERS
    for event in events:
        kind, text = event
        if kind == LICENCE_CLOSE and where != "footer":
            kind, event = TEXT, (TEXT, text)  # a sentence like any other
        if kind == LICENCE_START:
            _remove([*held, event], tally)
            heads = [one for one in held if one[0] != TEXT]
            yield from heads if where == "header" else [(DOCUMENT, "")]
            held, where = [], "book"
        elif kind == LICENCE_END:
            if where == "footer":
                held.append((TEXT, text))
                continue
            yield from held
            held, where, room = [(TEXT, text)], "footer", FOOTER_CHARACTERS
        elif kind == LICENCE_CLOSE:
            _remove([*held, event], tally)
            held, where, room = [(DOCUMENT, "")], "header", HEADER_CHARACTERS
        elif kind != TEXT:
            if where == "footer":
                _remove(held, tally)
            else:
                yield from held
            held, where, room = [event], "header", HEADER_CHARACTERS
        elif where == "book":
            yield event
        else:
            held.append(event)
            room -= len(text)
            if room < 0:
                yield from held
                held, where = [], "book"
    if where == "footer":
        _remove(held, tally)
    else:
        yield from held


def _remove(events: list[Event], tally: Tally) -> None:
    words = len("".join(text for kind, text in events if kind not in (TITLE, DOCUMENT)).split())
    tally.add("licence", words)


def keep(entries: Iterable[Entry], rules: Clean, tally: Tally) -> Iterator[Entry]:
    """Drops entries that are too short or no text, then joins consecutive turns of one speaker.

    Shorter turns go first, as in CLASS-IT, so that a listener's "uh-huh" does not cut a speaker's turn in two.

    Args:
        entries: Entries as `turns` or `lines` give them.
        rules: Which rules hold.
        tally: Counts what goes, labels of speakers included.
    """
    held: Entry | None = None
    for entry in entries:
        kind, label, words = entry
        if kind not in (TITLE, DOCUMENT, MORE) and (rule := _reason_to_drop(entry, rules)):
            tally.add(rule, len(words) + bool(label))
        elif kind == TURN and held and label and label == held[1]:
            held[2].extend(words)
            tally.add("join_turns", 1)
        else:
            if held:
                yield held
            held = entry if kind == TURN and rules.join_turns else None
            if not held:
                yield entry
    if held:
        yield held


def _reason_to_drop(entry: Entry, rules: Clean) -> str:
    """The rule by which an entry goes; empty where it stays."""
    kind, _, words = entry
    if len(words) < max(rules.min_words, 1):
        return "min_words"
    if rules.special_characters and (kind == TIER or not (words[0][0].isalnum() or _LETTER_OR_DIGIT.search(" ".join(words)))):
        return "special_characters"
    return ""
