"""Asking a checkpoint through babyeval: spans in, rows out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from babyeval.models.checkpoint import Checkpoint, open_checkpoint
from babyeval.models.naming import parse_model
from babyeval.protocols import PROTOCOLS
from babyeval.scoring.encode import Encoded, Encoder
from babyeval.scoring.engine import Engine
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
