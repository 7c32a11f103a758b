"""Asking a checkpoint through babyeval: spans in, rows out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from babyeval.models.checkpoint import Checkpoint, open_checkpoint
from babyeval.models.load import load_model, torch_device
from babyeval.models.naming import parse_model
from babyeval.protocols import PROTOCOLS
from babyeval.scoring.encode import Encoded, Encoder
from babyeval.scoring.engine import Engine
from babyeval.scoring.model_view import ModelView
from babyeval.types import Query, Row, Span


def opened(folder: Path, **options: Any) -> Checkpoint:
    return open_checkpoint(parse_model(str(folder)), **options)


def encoder(checkpoint: Checkpoint, protocol: str = "robust", masking: Any = "pll", window: int | None = None) -> Encoder:
    policy = PROTOCOLS[protocol].encoding
    return Encoder(checkpoint.tokenizer, checkpoint.facts, checkpoint.backend, policy, window or checkpoint.window, masking)


def keyed(queries: Sequence[Query], salt: bytes = b"") -> dict[bytes, Query]:
    return {query.key(salt): query for query in queries}


def rows_of(engine: Engine, encoded: Sequence[Encoded]) -> list[Row]:
    """Answers through the engine's cache, put together span by span."""
    answers = engine.answer(keyed([query for part in encoded for query in part.queries], engine.salt))
    return [
        Row(tuple(value for query in part.queries for value in answers[query.key(engine.salt)]), part.truncated, part.unscored)
        for part in encoded
    ]


def ask(checkpoint: Checkpoint, spans: Sequence[Span], protocol: str = "robust", masking: Any = "pll") -> list[Row]:
    """The rows of spans, computed by an engine of their own."""
    engine = Engine(checkpoint, device="cpu")
    try:
        return rows_of(engine, list(encoder(checkpoint, protocol, masking).encode(spans)))
    finally:
        engine.close()


class Scorer:
    """A model, its queries, and their answers asked one at a time; a subclass says how questions are run."""

    def __init__(self, checkpoint: Checkpoint, spans: Sequence[Span]) -> None:
        device = torch_device("cpu")
        self.view = ModelView(load_model(checkpoint, device), device)
        parts = encoder(checkpoint).encode(spans)
        self.queries = list(dict.fromkeys(query for part in parts for query in part.queries))
        self.alone = {query: self.compute([query])[0] for query in self.queries}

    def run(self, queries: list[Query], **options: Any) -> Iterable[list[tuple[int, tuple[float, ...]]]]:
        """Batches of answers, each with its query's place."""
        raise NotImplementedError

    def compute(self, queries: list[Query], **options: Any) -> list[tuple[float, ...]]:
        pairs = [pair for batch in self.run(queries, **options) for pair in batch]
        assert sorted(i for i, _ in pairs) == list(range(len(queries))), "each query is answered once"
        return [answer for _, answer in sorted(pairs)]

    def check(self, queries: list[Query], answers: list[tuple[float, ...]]) -> None:
        for query, answer in zip(queries, answers, strict=True):
            assert answer == pytest.approx(self.alone[query], abs=1e-4, rel=0)
