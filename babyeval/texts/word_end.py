"""What each word's surprisal gains by the correction for word ends (scoring/word_end.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from babyeval.scoring.encode import Encoder
from babyeval.scoring.tokens import Encoded, Tokens
from babyeval.scoring.word_end import ask_ends
from babyeval.texts.words import Words
from babyeval.types import Span


@dataclass(frozen=True, slots=True)
class AskedEnds:
    """The questions whether words of a text have ended.

    Attributes:
        words: Number of words of the text.
        places: Each word with tokens, whether a token says where it begins; last, the end of the text.
        asked: For each place whether a word ends before it.
    """

    words: int
    places: tuple[tuple[int, bool], ...]
    asked: Encoded

    def corrections(self, logprobs: Sequence[float]) -> list[float]:
        """What is added to each word's surprisal, in nats: NaN where no token says where it begins or ends.

        Args:
            logprobs: The answers.
        """
        values = [math.nan] * self.asked.unscored + list(logprobs)
        ended = [value if visible else math.nan for value, (_, visible) in zip(values, self.places, strict=True)]
        found = [math.nan] * self.words
        for (word, _), before, behind in zip(self.places, ended, ended[1:], strict=False):
            found[word] = before - behind
        return found


def ask_word_ends(span: Span, tokens: Tokens, encoder: Encoder) -> AskedEnds:
    """Asks before each word of a text, and at its end.

    Args:
        span: The text.
        tokens: Its tokens, as the tokenizer gives them.
        encoder: The model's way of being asked, with `Encoder.ends`.
    """
    assert encoder.ends is not None
    ends, words = set(encoder.ends.ends), Words(span.text)
    scored = encoder.scored(tokens, span)
    firsts: dict[int, tuple[int, bool]] = {}  # of each word with tokens, its first one and whether that says so
    for k, i in enumerate(scored):
        first, word = words.touched(*tokens.offsets[i])
        firsts.setdefault(word, (k, first == word and (k == 0 or tokens.ids[i] in ends)))
    if not scored:
        return AskedEnds(len(words.spans), (), Encoded(()))
    wanted = [k for k, _ in firsts.values()] + [len(scored)]
    places = *((word, visible) for word, (_, visible) in firsts.items()), (len(words.spans), True)
    return AskedEnds(len(words.spans), places, ask_ends(span, tokens, wanted, encoder))
