"""Questions to encoder-decoder models, which have no official numbers: both official scorers crash (D8).

``enc-dec-mask`` hides one token from the encoder and asks the decoder for it; ``enc-dec-prefix``
gives the context to the encoder and scores the rest in the decoder (protocol.md, section 1).
"""

from __future__ import annotations

from dataclasses import replace

from babyeval.models.tokenizer import TokenizerFacts
from babyeval.scoring.tokens import Encoded, Tokens
from babyeval.scoring.windows import around_mask, left_to_right
from babyeval.types import Query, Read


def decoder_front(facts: TokenizerFacts, slot: int | None, explicit: bool) -> tuple[int, ...]:
    """What the decoder is given before the first token that it predicts.

    Args:
        facts: The tokenizer's special ids and the model's decoder start.
        slot: The mask or sentinel in front of the prediction; None if the tokenizer has neither.
        explicit: Whether the model's own decoder start stands in for a BOS that the tokenizer
            does not define, as EOS does for causal models (D9). Without a slot it always does:
            the first token would have nothing before it.

    Example:
        >>> facts = TokenizerFacts(size=9, bos=None, eos=1, cls=None, mask=None, prefix=(), suffix=(1,), decoder_start=0)
        >>> decoder_front(facts, 8, explicit=False), decoder_front(facts, 8, explicit=True)
        ((8,), (0, 8))
    """
    begin = facts.bos
    if begin is None and (explicit or slot is None):
        begin = facts.decoder_start
    return tuple(token for token in (begin, slot) if token is not None)


def encode_masked(tokens: Tokens, scored: list[int], facts: TokenizerFacts, explicit: bool, window: int | None) -> Encoded:
    """enc-dec-mask: for each scored token, the text with that token hidden, and a decoder that says which it was.

    Args:
        tokens: The text with the tokenizer's own special tokens.
        scored: Indices of the tokens to be scored.
        facts: The tokenizer's special ids; a mask or a sentinel is among them.
        explicit: Whether the policy's BOS is explicit (`decoder_front`).
        window: The most tokens that fit into the encoder.
    """
    blank = facts.blank
    assert blank is not None, "opening the checkpoint checks for a mask or a sentinel"
    slot = facts.sentinel if facts.bos is None and facts.sentinel is not None else blank
    decoder = decoder_front(facts, slot, explicit)
    truncated = window is not None and len(tokens.ids) > window
    queries = []
    for i in scored:
        ids = (*tokens.ids[:i], blank, *tokens.ids[i + 1 :])
        if window is not None and truncated:
            ids, _ = around_mask(tokens, ids, i, scored[0], window)
        queries.append(Query(ids, (Read(len(decoder) - 1, tokens.ids[i]),), decoder))
    return Encoded(tuple(queries), truncated)


def encode_prefixed(
    prefix: tuple[int, ...], completion: tuple[int, ...], facts: TokenizerFacts, explicit: bool, window: int | None
) -> Encoded:
    """enc-dec-prefix: the encoder reads the prefix and a mask, the decoder is scored on the completion.

    Without a mask token and without a sentinel, the mask's place is left out of both.

    Args:
        prefix: Ids of the context, no specials; empty if the whole text is scored.
        completion: Ids of the scored part.
        facts: The tokenizer's special ids.
        explicit: Whether the policy's BOS is explicit (`decoder_front`).
        window: The most tokens that fit into the encoder, and into the decoder.
    """
    slot = () if facts.blank is None else (facts.blank,)
    before, behind = _defined(facts.cls), slot + _defined(facts.eos)
    cut = 0 if window is None else max(0, len(before) + len(prefix) + len(behind) - window)
    encoder = before + prefix[cut:] + behind
    front = decoder_front(facts, facts.blank, explicit)
    ids = front + completion
    readable = list(range(max(1, len(front)), len(ids)))
    unscored = len(completion) - len(readable)
    if not readable:
        return Encoded((), unscored=unscored)
    queries, in_pieces = left_to_right(ids, readable, len(front), window)
    asked = tuple(replace(query, input_ids=encoder, decoder_ids=query.input_ids) for query in queries)
    return Encoded(asked, cut > 0 or in_pieces, unscored)


def _defined(token: int | None) -> tuple[int, ...]:
    return () if token is None else (token,)
