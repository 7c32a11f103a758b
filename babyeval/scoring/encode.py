"""From spans of text to token-level queries: which tokens are scored, and what stands before them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from babyeval.models.kind import Backend, Masking
from babyeval.models.tokenizer import TokenizerFacts
from babyeval.protocols import EncodingPolicy
from babyeval.scoring.encode_seq2seq import encode_masked, encode_prefixed
from babyeval.scoring.tokens import Encoded, Tokens, tokenize
from babyeval.scoring.windows import around_mask, left_to_right
from babyeval.scoring.word_end import WordEnds
from babyeval.types import Query, Read, Span

_TOKENIZE_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Encoder:
    """Turns spans into queries for one model under one policy.

    Attributes:
        tokenizer: The model's fast tokenizer.
        facts: What it adds around a text.
        backend: How the model is asked.
        policy: The protocol's rules.
        window: The most tokens the model takes, None for no limit.
        masking: For masked models: mask one token (``pll``), or the token and the rest of its
            word (``word-l2r``: Kauf and Ivanova 2023; D30).
        ends: Ids that end a word, where that is asked for (`babyeval.scoring.word_end`).
    """

    tokenizer: Any
    facts: TokenizerFacts
    backend: Backend
    policy: EncodingPolicy
    window: int | None = None
    masking: Masking = "pll"
    ends: WordEnds | None = None

    def encode(self, spans: Sequence[Span]) -> Iterator[Encoded]:
        """Yields the queries of each span, in order."""
        waiting = iter(spans)
        while batch := list(islice(waiting, _TOKENIZE_AT_ONCE)):
            if self.backend == "enc-dec-prefix":
                yield from self._prefixed(batch)
            else:
                yield from map(self._whole, batch, self._tokens(batch))

    def scored(self, tokens: Tokens, span: Span) -> list[int]:
        """Indices of the tokens that belong to the span (protocol.md, section 1).

        A token belongs to it if it ends behind the span's first character: one that straddles
        the boundary counts, special tokens, whose range is (0, 0), do not.
        """
        cut = span.start
        if self.policy.scored == "tokens":
            return [
                i for i, (_, end) in enumerate(tokens.offsets) if not tokens.special[i] and (end > cut or cut == 0)
            ]  # fmt: skip
        if self.backend == "causal" and tokens.offsets:
            cut += tokens.offsets[0][0]
        return [i for i, (_, end) in enumerate(tokens.offsets) if end > cut]

    def followed(self, span: Span, tokens: Tokens) -> Encoded:
        """The queries of a span that has one more token, whatever it is; of models that read left to right.

        Args:
            span: What is scored.
            tokens: Its text as the tokenizer gives it.
        """
        if self.backend == "enc-dec-prefix":
            prefix, completion = self._split(span, tokens)
            return encode_prefixed(prefix, (*completion, 0), self.facts, self._explicit, self.window)
        tokens = self._fronted(tokens)
        scored = self.scored(tokens, span)
        end = scored[-1] + 1
        return self._causal(replace(tokens, ids=(*tokens.ids[:end], 0)), [*scored, end])

    @property
    def _explicit(self) -> bool:
        return self.policy.bos == "explicit"

    def _tokens(self, spans: Sequence[Span]) -> Iterator[Tokens]:
        """The spans' texts as the tokenizer tokenises them by itself, with its special tokens."""
        return tokenize(self.tokenizer, [span.text for span in spans], words=self.masking == "word-l2r")

    def _whole(self, span: Span, tokens: Tokens) -> Encoded:
        """The queries of a span whose text is tokenised in one piece."""
        tokens = self._fronted(tokens)
        scored = self.scored(tokens, span)
        if self.backend == "causal":
            return self._causal(tokens, scored)
        if self.backend == "enc-dec-mask":
            return encode_masked(tokens, scored, self.facts, self._explicit, self.window)
        return self._masked(tokens, scored)

    def _fronted(self, tokens: Tokens) -> Tokens:
        """Puts something to condition on in front where the tokenizer puts nothing (D9)."""
        if not self._explicit or self.backend not in ("causal", "mntp") or tokens.prefix:
            return tokens
        front = self.facts.front(self.backend)
        return tokens if front is None else tokens.with_front(front)

    def _causal(self, tokens: Tokens, scored: list[int]) -> Encoded:
        """Each token is read one position before it; inputs end before the last scored token."""
        readable = [i for i in scored if i > 0]
        unscored = len(scored) - len(readable)
        if not readable:
            return Encoded((), unscored=unscored)
        queries, truncated = left_to_right(tokens.ids, readable, min(tokens.prefix, readable[0]), self.window)
        return Encoded(queries, truncated, unscored)

    def _masked(self, tokens: Tokens, scored: list[int]) -> Encoded:
        """One copy per scored token with that token masked; mntp reads one position earlier."""
        shift = 1 if self.backend == "mntp" else 0
        # Without a special token in front, the official mntp code reads index -1, the end of a
        # padded row (D7): no number to reproduce, so the token stays unscored here.
        readable = [i for i in scored if i >= shift]
        unscored = len(scored) - len(readable)
        words = tokens.words if self.masking == "word-l2r" else None
        truncated = self.window is not None and len(tokens.ids) > self.window
        queries = []
        for i in readable:
            ids, at = self._masked_copy(tokens, i, words), i
            if self.window is not None and truncated:
                ids, at = around_mask(tokens, ids, i, readable[0] - shift, self.window)
            queries.append(Query(ids, (Read(at - shift, tokens.ids[i]),)))
        return Encoded(tuple(queries), truncated, unscored)

    def _masked_copy(self, tokens: Tokens, i: int, words: Sequence[tuple[int, int] | None] | None) -> tuple[int, ...]:
        mask = self.facts.mask
        assert mask is not None, "opening the checkpoint checks for a mask token"
        end = i + 1
        while words is not None and end < len(words) and words[end] == words[i]:
            end += 1
        return tokens.ids[:i] + (mask,) * (end - i) + tokens.ids[end:]

    def _prefixed(self, spans: Sequence[Span]) -> Iterator[Encoded]:
        """Splits texts into what the encoder reads and what the decoder is scored on (enc-dec-prefix).

        The official pipelines tokenise the two parts apart, which may give other tokens than the
        text has; the robust policy splits one tokenisation, as for every other backend.
        """
        parts: Iterator[tuple[tuple[int, ...], tuple[int, ...]]]
        if self._explicit:
            parts = map(self._split, spans, self._tokens(spans))
        else:
            apart = ([s.text[: s.start] for s in spans], [s.text[s.start :] for s in spans])
            prefixes, completions = (tokenize(self.tokenizer, texts, specials=False) for texts in apart)
            parts = ((prefix.ids, completion.ids) for prefix, completion in zip(prefixes, completions, strict=True))
        for prefix, completion in parts:
            yield encode_prefixed(prefix, completion, self.facts, self._explicit, self.window)

    def _split(self, span: Span, tokens: Tokens) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The ids before the span, specials removed, and those of the span."""
        scored = self.scored(tokens, span)
        before = tokens.ids[: scored[0]] if scored else ()
        prefix = tuple(token for token, special in zip(before, tokens.special, strict=False) if not special)
        return prefix, tuple(tokens.ids[i] for i in scored)
