"""A stand-in for a built corpus: what the trainers' tests read, made of sentences of our own."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from babyeval.trainers.corpus.types import Document

_NAMES = ("the old cat", "a dog", "my sister", "the teacher", "nobody", "Zoë", "the naïve farmer", "she")
_VERBS = ("sees", "saw", "hides", "forgot", "carries", "would not sell", "paints", "broke")
_SYLLABLES = [first + then for first in "bdfglmnprstvz" for then in ("a", "e", "i", "o", "un", "ish")]
_THINGS = ("a red boat", "the moon", "two apples", "his letter", "it", "every café", "the bread", "seven stones")
_ENDS = (".", "!", "?", ", they said.", " at night.", "\n", " — again.", ' "here".')


def sentences(count: int, seed: int = 0) -> str:
    """Made-up sentences."""
    draw = random.Random(seed)  # noqa: S311 (nothing secret)
    parts = []
    for _ in range(count):
        invented = "".join(draw.choices(_SYLLABLES, k=3))  # words enough for a vocabulary of hundreds
        parts.append(" ".join([*map(draw.choice, (_NAMES, _VERBS, _THINGS)), "of", invented]) + draw.choice(_ENDS))
    return " ".join(parts).strip()


@dataclass
class SmallCorpus:
    """Has what the trainers use of a corpus."""

    train: list[Document]
    valid: list[Document] = field(default_factory=list)
    folder: Path = Path("small")

    @property
    def digest(self) -> str:
        return hashlib.sha256(repr((self.train, self.valid)).encode()).hexdigest()

    @property
    def domains(self) -> tuple[str, ...]:
        return tuple(sorted({document.domain for document in (*self.train, *self.valid)}))

    @property
    def train_words(self) -> int:
        return sum(document.words for document in self.train)

    @property
    def valid_words(self) -> int:
        return sum(document.words for document in self.valid)

    def documents(self, part: str, domain: str | None = None) -> Iterator[Document]:
        yield from (document for document in getattr(self, part) if domain in (None, document.domain))


def document(text: str, domain: str = "tales") -> Document:
    return Document(text, len(text.split()), domain)


def small_corpus(documents: int = 60, seed: int = 0) -> SmallCorpus:
    """Documents of one to forty sentences in two domains."""
    draw = random.Random(seed)  # noqa: S311 (nothing secret)
    texts = [sentences(draw.randint(1, 40), seed * 1000 + i) for i in range(documents)]
    made = [document(text, ("tales", "talk")[i % 2]) for i, text in enumerate(texts)]
    return SmallCorpus(made[: documents * 9 // 10], made[documents * 9 // 10 :])
