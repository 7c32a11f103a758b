"""EWoK as BabyLM uses it: the gated items whose words a vocabulary holds, each twice, one file per domain."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from babyeval.errors import DataError, MissingError

# Rows per domain of the official build: protocol.md, section 2; 7,618 in all.
OFFICIAL_ROWS = {
    "agent-properties": 2210,
    "material-dynamics": 770,
    "material-properties": 170,
    "physical-dynamics": 120,
    "physical-interactions": 556,
    "physical-relations": 818,
    "quantitative-properties": 314,
    "social-interactions": 294,
    "social-properties": 328,
    "social-relations": 1548,
    "spatial-relations": 490,
}
VOCABULARY_HINT = (
    "Name the official list of words by '--vocabulary FILE': it is strict/evaluation_pipeline/ewok/vocab.txt of "
    "github.com/babylm-org/babylm-eval, one word a line."
)
_TEXTS = ("Context1", "Context2", "Target1", "Target2")
Tokenize = Callable[[str], list[str]]


def read_vocabulary(path: Path) -> frozenset[str]:
    """The words of a list, one a line.

    Raises:
        MissingError: The file is not there or cannot be read.
    """
    try:
        return frozenset(path.read_text(encoding="utf-8").split())
    except (OSError, UnicodeDecodeError) as error:
        raise MissingError(f"The vocabulary cannot be read: {error}.", where=str(path), hint=VOCABULARY_HINT) from error


def word_tokenizer() -> Tokenize:
    """NLTK's ``word_tokenize``.

    NLTK's trained sentence splitter is a download of its own. Without it an untrained one takes its
    place; they differ after abbreviations, of which EWoK's short plain sentences have none.

    Raises:
        MissingError: NLTK is not installed.
    """
    try:
        from nltk.tokenize import NLTKWordTokenizer, word_tokenize
        from nltk.tokenize.punkt import PunktSentenceTokenizer
    except ImportError as error:
        raise MissingError("EWoK is built with NLTK, which is not installed.", hint="pip install 'babyeval[ewok]'") from error
    try:
        word_tokenize("Try.")
    except LookupError:
        sentences, words = PunktSentenceTokenizer(), NLTKWordTokenizer()
        return lambda text: [token for sentence in sentences.tokenize(text) for token in words.tokenize(sentence)]
    return lambda text: list(word_tokenize(text))


def build(
    items: Iterable[Mapping[str, Any]],
    vocabulary: frozenset[str],
    tokenize: Tokenize,
    official_rows: Mapping[str, int] | None = None,
) -> dict[str, bytes]:
    """The files of the official build, by name.

    Args:
        items: The published items.
        vocabulary: An item is kept if every token of its lower-cased contexts and targets is in it.
        tokenize: Splits a text into words.
        official_rows: Rows per domain that must come out, by default those of the official build.

    Returns:
        ``<Domain>.jsonl`` and its content: each kept item as it is, then with both contexts and
        both targets swapped.

    Raises:
        DataError: A domain's number of rows differs, or an item lacks a field.
    """
    expected = OFFICIAL_ROWS if official_rows is None else official_rows
    rows: dict[str, list[Mapping[str, Any]]] = {domain: [] for domain in expected}
    for number, item in enumerate(items, start=1):
        lacking = [key for key in ("Domain", *_TEXTS) if not isinstance(item.get(key), str)]
        if lacking:
            raise DataError(f"The item lacks the text field '{lacking[0]}'.", where=f"EWoK, row {number}")
        if all(token in vocabulary for key in _TEXTS for token in tokenize(item[key].lower())):
            rows.setdefault(item["Domain"], []).extend([item, _swapped(item)])
    wrong = [
        f"{domain} {len(found):,} instead of {expected.get(domain, 0):,}"
        for domain, found in sorted(rows.items())
        if len(found) != expected.get(domain, 0)
    ]
    if wrong:
        raise DataError(
            f"The build differs from the official one in {len(wrong)} of {len(rows)} domains; nothing was written.",
            where="rows: " + ", ".join(wrong),
            hint=f"Is the vocabulary the official list, and whole? {VOCABULARY_HINT}",
        )
    lines = {domain: "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found) for domain, found in rows.items()}
    return {f"{domain}.jsonl": text.encode() for domain, text in sorted(lines.items())}


def _swapped(item: Mapping[str, Any]) -> dict[str, Any]:
    pairs = {"Context1": "Context2", "Context2": "Context1", "Target1": "Target2", "Target2": "Target1"}
    return {key: item[pairs.get(key, key)] for key in item}
