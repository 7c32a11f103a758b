"""The executor of encoder-decoder models: equal encoder inputs once, in batches of like lengths."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch

from babyeval.scoring.batched import TOLERANCE, padded_inputs, read_rows
from babyeval.scoring.batching import Answers, Work, position_budget, run_batch
from babyeval.scoring.causal import require_causal
from babyeval.scoring.model_view import ModelView
from babyeval.types import Query

# What is given to the encoder and to the decoder.
Pair = tuple[tuple[int, ...], tuple[int, ...]]


def run_seq2seq(view: ModelView, queries: Sequence[Query], work: Work) -> Iterator[Answers]:
    """Answers queries that have decoder ids, shortest encoder inputs first.

    Args:
        view: The model, with what `probe_seq2seq` found out about it.
        queries: What to answer; those with the same ids are answered by one pass.
        work: Is updated as batches finish.

    Yields:
        The answers of one batch.
    """
    work.path = "seq2seq" if view.pads else "seq2seq (one length at a time: padding changes its answers)"
    same: dict[Pair, list[int]] = {}
    for i, query in enumerate(queries):
        same.setdefault(_pair(query), []).append(i)
    # By length, and equal encoder inputs side by side.
    units = sorted(same.items(), key=lambda unit: (len(unit[0][0]), len(unit[0][1]), unit[0][0]))
    work.nodes += sum(map(len, {encoder for encoder, _ in same})) + sum(len(decoder) for _, decoder in same)
    pairs = [pair for pair, _ in units]
    ranges = _batches(pairs, position_budget(view.device), view.pads)
    for start, end in work.plan(ranges, lambda start, end: _positions(view, pairs[start:end])):
        yield from run_batch(lambda batch: [_run_units(view, queries, batch, work)], units[start:end], work)


def _pair(query: Query) -> Pair:
    assert query.decoder_ids, "the encoders of these backends give every query decoder ids"
    return query.input_ids, query.decoder_ids


def _batches(pairs: Sequence[Pair], budget: int, pads: bool) -> Iterator[tuple[int, int]]:
    """Ranges of pairs whose positions in encoder and decoder fit, of like lengths where padding is not borne."""
    start, widths = 0, (0, 0)
    for end, (encoder, decoder) in enumerate(pairs):
        lengths = len(encoder), len(decoder)
        wider = max(widths[0], lengths[0]), max(widths[1], lengths[1])
        if end > start and ((end + 1 - start) * sum(wider) > budget or not (pads or lengths == widths)):
            yield start, end
            start, wider = end, lengths
        widths = wider
    yield start, len(pairs)


def _run_units(view: ModelView, queries: Sequence[Query], units: Sequence[tuple[Pair, list[int]]], work: Work) -> Answers:
    pairs = [pair for pair, _ in units]
    width = max(len(decoder) for _, decoder in pairs)
    work.positions += _positions(view, pairs)
    return read_rows(view, queries, [members for _, members in units], width, paired_inputs(view, pairs))


def _positions(view: ModelView, pairs: Sequence[Pair]) -> int:
    """Positions of one forward pass in encoder and decoder, padding included."""
    encoded = len({encoder for encoder, _ in pairs}) if view.encodes_once else len(pairs)
    return encoded * max(len(encoder) for encoder, _ in pairs) + len(pairs) * max(len(decoder) for _, decoder in pairs)


def paired_inputs(view: ModelView, pairs: Sequence[Pair]) -> dict[str, Any]:
    """Arguments of one forward pass, both sides padded on the right.

    What the encoder is padded with is masked; the decoder looks to the left, so that it never
    sees what it is padded with.
    """
    row_of = {encoder: row for row, encoder in enumerate(dict.fromkeys(encoder for encoder, _ in pairs))}
    once = padded_inputs(view, list(row_of))
    rows = torch.tensor([row_of[encoder] for encoder, _ in pairs], device=view.device)
    inputs: dict[str, Any] = {"decoder_input_ids": padded_inputs(view, [decoder for _, decoder in pairs])["input_ids"]}
    if "attention_mask" in once:
        inputs["attention_mask"] = once["attention_mask"][rows]
    if view.encodes_once:
        from transformers.modeling_outputs import BaseModelOutput

        inputs["encoder_outputs"] = BaseModelOutput(last_hidden_state=view.encode(once)[rows])
    else:
        inputs["input_ids"] = once["input_ids"][rows]
    return inputs


def probe_seq2seq(view: ModelView, queries: Sequence[Query]) -> None:
    """Finds out which short cuts give the plain path's numbers, on the queries at hand.

    Sets ``encodes_once`` and ``pads`` of the view.

    Args:
        view: The model, in float32.
        queries: What is to be answered; the shortest and the longest inputs of each side are tried.

    Raises:
        UsageError: The decoder looks ahead.
    """
    view.encodes_once = view.pads = False
    longest = max(queries, key=lambda query: len(_pair(query)[1]))
    encoder = padded_inputs(view, [longest.input_ids])
    require_causal(
        view, _pair(longest)[1], lambda ids: {**encoder, "decoder_input_ids": ids}, "Its decoder is no language model."
    )
    extremes = [choose(queries, key=lambda query: len(_pair(query)[side])) for side in (0, 1) for choose in (min, max)]
    chosen = list(dict.fromkeys(extremes))
    plain = [_answers(view, [query]) for query in chosen]
    try:
        view.encodes_once = True
        view.encodes_once = all(_equal(_answers(view, [query]), [row]) for query, (row,) in zip(chosen, plain, strict=True))
    except torch.OutOfMemoryError:
        raise
    except (TypeError, AttributeError, RuntimeError, ValueError, IndexError, NotImplementedError):
        view.encodes_once = False  # a model built in another way: its encoder then runs with its decoder
    try:
        view.pads = _equal(_answers(view, chosen), [row for rows in plain for row in rows])
    except torch.OutOfMemoryError:
        view.pads = False


def _answers(view: ModelView, queries: Sequence[Query]) -> list[tuple[float, ...]]:
    """The answers of queries that share one batch, in their order."""
    units = [(_pair(query), [i]) for i, query in enumerate(queries)]
    return [row for _, row in _run_units(view, queries, units, Work())]


def _equal(a: Sequence[tuple[float, ...]], b: Sequence[tuple[float, ...]]) -> bool:
    return all(np.allclose(x, y, rtol=0, atol=TOLERANCE, equal_nan=True) for x, y in zip(a, b, strict=True))
