"""The articles of a Wikipedia file of the BabyLM corpus, and their sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# "= = = Title = = =", with the line breaks of the original file or without. The length keeps a mark that lost its
# partner, where a file was cut, from taking all further texts for titles.
_TITLE = re.compile(r"= = = (?P<title>[^=\n]{1,100}?) = = =(?=\s|$)")
# Words after which a full stop ends no sentence.
_SHORT = re.compile(
    r"mrs?|ms|dr|st|prof|rev|[sj]r|fr|lt|col|gen|sgt|capt|gov|sen|rep|hon|no|vol|vs|etc|eg|ie|ca?|[bdrf]|fl|cf|dept|est|approx"
    r"|inc|ltd|corp?|co|bros|mt|ft|u\.[skn]|e\.g|i\.e|[ap]\.[md]|b\.c|ph\.d|jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec",
    re.IGNORECASE,
)
_END = re.compile(r"[.!?][\"'”’)\]]*(?=\s+[\"'“‘(\[]?[A-Z0-9])")


@dataclass(frozen=True, slots=True)
class Article:
    """An article.

    Attributes:
        title: Its title.
        text: All that stands below it, white space made single.
    """

    title: str
    text: str


def articles(text: str) -> Iterator[Article]:
    """Yields the articles of a file; what stands before the first title is the end of an article and is left out.

    Example:
        >>> [a.title for a in articles("the end. = = = Tea = = = Tea is a drink. = = = Bread = = = Bread is food.")]
        ['Tea', 'Bread']
    """
    marks = list(_TITLE.finditer(text))
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        body = text[mark.end() : following.start() if following else len(text)]
        yield Article(" ".join(mark["title"].split()), " ".join(body.split()))


def sentences(text: str) -> list[str]:
    """Divides English text into sentences.

    A full stop ends none behind an initial or an abbreviation, nor while a bracket is open.

    Example:
        >>> sentences("J. Smith (d. 1900) lived in St. Ives. He wrote books.")
        ['J. Smith (d. 1900) lived in St. Ives.', 'He wrote books.']
    """
    found, start = [], 0
    for end in _END.finditer(text):
        sentence = text[start : end.end()]
        if end[0] == "." and _abbreviated(text[start : end.start()]):
            continue
        if sentence.count("(") > sentence.count(")"):
            continue
        found.append(sentence.strip())
        start = end.end()
    if text[start:].strip():
        found.append(text[start:].strip())
    return found


def _abbreviated(before: str) -> bool:
    word = before.split()[-1].lstrip("(\"'“‘[") if before.split() else ""
    return (len(word) == 1 and word.isupper() and word != "I") or _SHORT.fullmatch(word) is not None
