"""Words after a context as the official reading task asks for them: context and bare word tokenised apart (D10, D11)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

from babyeval.scoring.encode import Encoder
from babyeval.scoring.encode_seq2seq import decoder_front
from babyeval.scoring.tokens import Encoded, Tokens, tokenize
from babyeval.types import Query, Read

_MASKS = 3
_Step = tuple[str, int]  # a context, and the id that is asked for after it


def encode_words(pairs: Sequence[tuple[str, str]], encoder: Encoder) -> Iterator[Encoded]:
    """Yields the queries of each pair of a context and a word (protocol.md, section 4).

    The word is tokenised without the space before it (D11). Its first id is asked for at the last position of the
    context with its special tokens, so behind an end-of-sequence token if the tokenizer appends one (D10). For each
    further id the context grows by the text of the id before, is tokenised anew from text, and the first id of
    the id's own text, tokenised again, is asked for.

    Args:
        pairs: Contexts and words.
        encoder: The model's way of being asked.
    """
    distinct = list(dict.fromkeys(pairs))  # a word comes twice, as itself and as the one before the next
    encoded = dict(zip(distinct, _encoded(distinct, encoder), strict=True))
    for pair in pairs:
        yield encoded[pair]


def _encoded(pairs: Sequence[tuple[str, str]], encoder: Encoder) -> Iterator[Encoded]:
    words = tokenize(encoder.tokenizer, [word for _, word in pairs], specials=False)
    reread = _rereader(encoder)
    steps = [list(_steps(context, word.ids, reread)) for (context, _), word in zip(pairs, words, strict=True)]
    texts = [context for parts in steps for context, _ in parts]
    asked = _questions(texts, [target for parts in steps for _, target in parts], encoder)
    for parts in steps:
        done = [next(asked) for _ in parts]
        queries = tuple(query for query, _ in done if query is not None)
        yield Encoded(queries, any(cut for _, cut in done), len(done) - len(queries))


def _steps(context: str, ids: Sequence[int], reread: Callable[[int], tuple[str, int | None]]) -> Iterator[_Step]:
    for i, token in enumerate(ids):
        if i == 0:
            yield context, token
            continue
        context += reread(ids[i - 1])[0]
        target = reread(token)[1]
        if target is not None:
            yield context, target


def _rereader(encoder: Encoder) -> Callable[[int], tuple[str, int | None]]:
    """An id's text and the first id of that text; None where the text has none."""

    @cache
    def reread(token: int) -> tuple[str, int | None]:
        text = encoder.tokenizer.decode([token])
        (tokens,) = tokenize(encoder.tokenizer, [text], specials=False)
        return text, next(iter(tokens.ids), None)

    return reread


def _questions(texts: list[str], targets: list[int], encoder: Encoder) -> Iterator[tuple[Query | None, bool]]:
    """For each context the query of its target, None where nothing stands before it, and whether it was cut."""
    if encoder.backend in ("enc-dec-mask", "enc-dec-prefix"):
        yield from _to_decoder(texts, targets, encoder)
        return
    masked = encoder.backend in ("mlm", "mntp")
    mask = encoder.facts.mask
    if masked:
        texts = [text + encoder.tokenizer.mask_token * _MASKS for text in texts]
    for tokens, target in zip(tokenize(encoder.tokenizer, texts), targets, strict=True):
        back = 1  # how far from the end the logits are read
        if masked:  # the first of the masks, behind which one special token may stand
            back = (_MASKS if tokens.ids[-1] == mask else _MASKS + 1) + (encoder.backend == "mntp")
        ids, cut = _fitted(tokens, encoder.window)
        yield (Query(ids, (Read(len(ids) - back, target),)) if len(ids) >= back else None), cut


def _to_decoder(texts: list[str], targets: list[int], encoder: Encoder) -> Iterator[tuple[Query | None, bool]]:
    """The encoder reads the context and a mask, the decoder answers at its first position."""
    facts, window = encoder.facts, encoder.window
    decoder = decoder_front(facts, None, explicit=False)
    before = () if facts.cls is None else (facts.cls,)
    behind = tuple(token for token in (facts.blank, facts.eos) if token is not None)
    for tokens, target in zip(tokenize(encoder.tokenizer, texts, specials=False), targets, strict=True):
        cut = 0 if window is None else max(0, len(before) + len(tokens.ids) + len(behind) - window)
        query = Query(before + tokens.ids[cut:] + behind, (Read(0, target),), decoder)
        yield (query if decoder else None), cut > 0


def _fitted(tokens: Tokens, window: int | None) -> tuple[tuple[int, ...], bool]:
    """The ids that fit into the window, context cut from the left (D40), and whether any was cut."""
    ids, front = tokens.ids, tokens.prefix
    if window is None or len(ids) <= window:
        return ids, False
    return ids[:front] + ids[len(ids) - (window - front) :], True
