"""The forms in which corpora are written: where documents, lines and turns begin and end, in flattened files too."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from babyeval.errors import DataError

from .types import Tally

Form = Literal["titled", "turns", "lines"]
Event = tuple[str, str]  # what it is, and its text
Entry = tuple[str, str, list[str]]  # what it is, title or label, and its words


class Section(NamedTuple):
    """A document, or a part of a long one.

    Attributes:
        document: Number of the document in its file.
        text: Its lines.
        words: Number of words.
    """

    document: int
    text: str
    words: int


# Kinds of events
TEXT, TITLE, DOCUMENT, TURN, TIER = "text", "title", "document", "turn", "tier"
LICENCE_START, LICENCE_END, LICENCE_CLOSE = "licence_start", "licence_end", "licence_close"
# Kinds of entries, besides DOCUMENT, TURN and TIER: a whole line or paragraph, and what goes on with the one before
LINE, MORE = "line", "more"

LOOK_CHARACTERS = 1 << 16
_LONGEST_MARK = 600
_LONGEST_WORD = 1 << 24
_LONG_LINE = 1 << 18

# Each mark's first character is matched by one set for all, which is what makes the search fast; the rest looks back at it.
_TITLE = (
    r"(?P<title>(?<==)(?<!\S=) = = (?:(?!= = =)[^\n]){0,300}? = = =(?!\S)"
    r"|(?<=\n=) = = (?:(?!= = =)[^\n]){1,300}(?=\n))"
)
# CHILDES (also flattened), Switchboard, and labels in capitals at the beginning of a line
_LABEL = (
    r"(?<=\*)(?<!\S\*)[A-Za-z0-9]{1,8}:(?!\S)"
    r"|(?<=[A-Z])(?<!\S[A-Z]):(?=\t)"
    r"|(?<=\n[A-Z])[A-Z0-9_.-]{0,19}:(?=[ \t])"
)
_TURN = rf"(?P<turn>{_LABEL})|(?P<tier>(?<=[%@])(?<!\S[%@])[A-Za-z][a-z0-9]{{2,7}}:(?!\S))"
_GUTENBERG = r"OF (?:THE|THIS) PROJECT GUTENBERG EBOOK[^*]{0,400}\*\*\*\S{0,80}"
_LICENCE = (
    rf"(?P<licence_start>(?<=\*)(?<!\S\*)(?:\*\* ?START {_GUTENBERG}|END\* ?THE SMALL PRINT![^*]{{0,400}}\*END\*\S{{0,80}}))"
    rf"|(?P<licence_end>(?<=\*)(?<!\S\*)\*\* ?END {_GUTENBERG}"
    r"|(?<=E)(?<!\SE)nd of (?:the |this )?Project Gutenberg(?:['’]s|\s[Ee][Bb]ook|\sEtext)(?!\w)\S{0,80})"
    r"|(?P<licence_close>(?<=to hear about new eB)ooks\.(?!\S))"
)
_CONTEXT = 32  # characters before a mark that its pattern looks back at, or more
_NO_MARK = re.compile(r"(?!)")
_MARKS = {
    ("titled", False): re.compile(f"=(?:{_TITLE})"),
    ("titled", True): re.compile(f"[=*EB](?:{_TITLE}|{_LICENCE})"),
    ("turns", False): re.compile(f"[=*%@A-Z](?:{_TITLE}|{_TURN})"),
    ("lines", True): re.compile(f"[*EB](?:{_LICENCE})"),
}
_LABELS = re.compile(f"[*A-Z](?:{_LABEL})")
_SENTENCE_END = re.compile(r"[.!?…][\"'”’)\]]* (?=[^a-z])")
_ABBREVIATION = re.compile(r"(?:\b[A-Z]|\b(?:Mr|Mrs|Ms|Dr|St|Prof|Capt|Col|Gen|Lt|Sgt|Rev|Hon|Messrs|Mme|vs|No))\.$")
_CATALOGUE = re.compile(r"PG\d+|\S*/\S+\.cha")  # titles that are names of files
_ENDS_SENTENCE = re.compile(r"[.!?…:;][\"'”’)\]]*$")
_BLANK_LINE = re.compile(r"\n[^\S\n]*\n\s*")


def looks_like(text: str) -> Form:
    """Guesses a file's form from its beginning.

    Text with a speaker's label to every 50 words or less is made of turns. Whatever else is read as articles or books:
    without titles they are plain lines, and a flattened file's first title may stand far inside.

    Example:
        >>> looks_like("*MOT: you like it? *CHI: more juice."), looks_like("It rained. The pond grew.")
        ('turns', 'titled')
    """
    beginning = "\n" + text[:LOOK_CHARACTERS]
    labels = sum(1 for _ in _LABELS.finditer(beginning))
    return "turns" if labels >= 2 and labels * 50 >= len(beginning.split()) else "titled"


def is_wrapped(text: str) -> bool:
    """Whether paragraphs are broken into lines of some 70 characters, with blank lines between, as Project Gutenberg does."""
    lines = [line.rstrip() for line in text[:LOOK_CHARACTERS].split("\n")]
    inner = [line for line, following in itertools.pairwise(lines) if line and following]
    if not inner or "" not in lines[:-1] or sum(len(line) > 90 for line in lines) * 20 > len(lines):
        return False
    return sum(not _ENDS_SENTENCE.search(line) for line in inner) * 2 > len(inner)


def blocks(chunks: Iterable[str], where: str) -> Iterator[str]:
    """Cuts text anew, so that every block but the last ends with white space: at a line's end where there is one."""
    rest: list[str] = []
    length = 0
    for chunk in chunks:
        end = chunk.rfind("\n") + 1 or max(chunk.rfind(" "), chunk.rfind("\t")) + 1
        if not end:
            length += len(chunk)
            if length > _LONGEST_WORD:
                raise DataError(
                    f"A corpus file has no white space in {length:,} characters: words are what white space divides.",
                    where=where,
                    hint="Is it text? A language that writes without spaces has to be cut into words first.",
                )
            rest.append(chunk)
            continue
        yield "".join([*rest, chunk[:end]])
        rest, length = [chunk[end:]], len(chunk) - end
    yield "".join(rest)


def events(text_blocks: Iterable[str], form: Form, licences: bool) -> Iterator[Event]:
    """Finds the marks in a text: titles, labels of speakers, signs around licences.

    What stands between them comes as text, in pieces that are cut between words and add up to the whole.

    Args:
        text_blocks: Blocks as `blocks` gives them.
        form: Which marks there are.
        licences: Also look for Project Gutenberg's signs.
    """
    marks = _MARKS.get((form, licences and form != "turns"), _NO_MARK)
    context, rest = "\n", ""
    for block in itertools.chain(text_blocks, [None]):
        buffer = context + rest + ("\n" if block is None else block)
        # A mark that begins before the limit ends within the buffer.
        limit = len(buffer) if block is None else max(0, len(buffer) - _LONGEST_MARK)
        place = len(context)
        for match in marks.finditer(buffer, place):
            if match.start() >= limit:
                break
            if match.start() > place:
                yield TEXT, buffer[place : match.start()]
            yield match.lastgroup or TEXT, match[0]
            place = match.end()
        end = limit if block is None else max(buffer.rfind(sign, place, limit) for sign in " \n\t") + 1
        if end > place:
            yield TEXT, buffer[place:end]
            place = end
        context, rest = buffer[max(0, place - _CONTEXT) : place], buffer[place:]


def title_of(mark: str) -> str:
    """The title in a mark; empty where it is but the name of a file.

    Example:
        >>> title_of("= = = A Pond = = ="), title_of("= = = 765 The Lake"), title_of("= = = PG22164 = = =")
        ('A Pond', 'The Lake', '')
    """
    closed = mark.endswith(" = = =")
    title = " ".join(mark.removeprefix("= = =").removesuffix("= = =").split())
    title = title if closed else re.sub(r"^\d+ (?=\S)", "", title)
    return "" if _CATALOGUE.fullmatch(title) else title


def turns(marked: Iterable[Event]) -> Iterator[Entry]:
    """Gathers what stands behind each label, over lines' ends, into turns; text before the first label has none."""
    kind, label, parts = TURN, "", list[str]()
    for event, text in itertools.chain(marked, [(DOCUMENT, "")]):
        if event == TEXT:
            parts.append(text)
            continue
        words = "".join(parts).split()
        if words or label:
            yield kind, label, words
        parts = []
        if event in (TURN, TIER):
            kind, label = event, text
        else:
            yield event, text, []
            kind, label = TURN, ""


def lines(marked: Iterable[Event], wrapped: bool, section_words: int) -> Iterator[Entry]:
    """Gathers text into lines, or into paragraphs between blank lines.

    Args:
        marked: Events as `events` gives them.
        wrapped: A blank line ends an entry, and a line's end does not.
        section_words: If not 0, a line of megabytes comes in pieces that end where a sentence does.
    """
    kind, parts, length = LINE, list[str](), 0
    for event, text in itertools.chain(marked, [(DOCUMENT, "")]):
        if event == TEXT:
            parts.append(text)
            length += len(text)
            if "\n" not in text and (length < _LONG_LINE or not section_words):
                continue
        pending = "".join(parts)
        pieces = _BLANK_LINE.split(pending) if wrapped else pending.split("\n")
        rest = pieces.pop() if event == TEXT else ""
        for piece in pieces:
            if words := piece.split():
                yield kind, "", words
            kind = LINE
        if event != TEXT:
            yield event, text, []
        elif section_words and len(rest) >= _LONG_LINE:
            whole, rest = _cut_long(rest, section_words)
            if whole:
                yield kind, "", whole
                kind = MORE
        parts, length = [rest], len(rest)


def _cut_long(text: str, section_words: int) -> tuple[list[str], str]:
    """The words of all sentences but the last, of one endless sentence whole sections; nothing where that is no section."""
    words = text.split()
    *whole, last = sentences(" ".join(words))
    end = len(words) - len(last.split()) if whole else len(words) // section_words * section_words
    # Only entries longer than a section are cut, and so it must be before anything follows.
    return (words[:end], " ".join(words[end:]) + " ") if end > section_words else ([], text)


def sentences(text: str) -> list[str]:
    """Cuts text, whose words are divided by single spaces, where a sentence seems to end.

    Example:
        >>> sentences("Mr. Hay left. Why? Nobody knew.")
        ['Mr. Hay left.', 'Why?', 'Nobody knew.']
    """
    found, start = [], 0
    for match in _SENTENCE_END.finditer(text):
        if not _ABBREVIATION.search(text, max(start, match.start() - 8), match.start() + 1):
            found.append(text[start : match.end() - 1])
            start = match.end()
    return [*found, text[start:]]


def sections(kept: Iterable[Entry], section_words: int, tally: Tally) -> Iterator[Section]:
    """Puts documents together, and cuts long ones at ends of lines, turns or, in long entries, sentences.

    A title is the first line of its document's first section, above the bound. A document without text is no document.

    Args:
        kept: Entries that are left after cleaning.
        section_words: The most words of a section; 0: documents stay whole.
        tally: Counts what of the marks does not become text.
    """
    document = heading = words = 0
    parts: list[str] = []
    for kind, label, tokens in itertools.chain(kept, [(DOCUMENT, "", [])]):
        if kind in (TITLE, DOCUMENT):
            if words > heading:
                yield Section(document, "".join(parts), words)
            elif heading:
                tally.add("marks", heading)
            title = title_of(label)
            document, heading, parts = document + 1, len(title.split()), [title] if title else []
            words = heading
            if kind == TITLE:
                tally.add("marks", len(label.split()) - heading)
            continue
        for number, piece in enumerate(_pieces([label, *tokens] if label else tokens, section_words, kind == MORE)):
            if section_words and words > heading and words + len(piece) > section_words:
                yield Section(document, "".join(parts), words)
                heading, words, parts = 0, 0, []
            if parts:
                parts.append(" " if number or kind == MORE else "\n")
            parts.append(" ".join(piece))
            words += len(piece)


def _pieces(words: list[str], section_words: int, goes_on: bool) -> Iterator[list[str]]:
    if not section_words or (len(words) <= section_words and not goes_on):
        yield words
        return
    for sentence in sentences(" ".join(words)):
        own = sentence.split()
        for start in range(0, len(own), section_words):
            yield own[start : start + section_words]
