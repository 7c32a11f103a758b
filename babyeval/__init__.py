"""babyeval: how good a small language model really is.

The public API; everything is imported when it is first used, so that importing the package is fast.

Example:
    >>> import babyeval
    >>> babyeval.evaluate.__name__
    'evaluate'
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from babyeval.api import evaluate, load_results
    from babyeval.comparison.compare import compare
    from babyeval.data.jsonl import Record
    from babyeval.data.lookup import DataFile
    from babyeval.families import SpanTask
    from babyeval.ranking import Contest, Criterion, RankingTask, ranking_item, text_cluster
    from babyeval.rating import RatingTask, rating_item
    from babyeval.registry import register_task
    from babyeval.texts.surprisal import surprisal
    from babyeval.types import Item, Span

_HOMES = {
    "evaluate": "babyeval.api",
    "load_results": "babyeval.api",
    "compare": "babyeval.comparison.compare",
    "surprisal": "babyeval.texts.surprisal",
    "register_task": "babyeval.registry",
    "Record": "babyeval.data.jsonl",
    "DataFile": "babyeval.data.lookup",
    "SpanTask": "babyeval.families",
    "RankingTask": "babyeval.ranking",
    "Criterion": "babyeval.ranking",
    "Contest": "babyeval.ranking",
    "ranking_item": "babyeval.ranking",
    "text_cluster": "babyeval.ranking",
    "RatingTask": "babyeval.rating",
    "rating_item": "babyeval.rating",
    "Item": "babyeval.types",
    "Span": "babyeval.types",
}

__all__ = [
    "Contest",
    "Criterion",
    "DataFile",
    "Item",
    "RankingTask",
    "RatingTask",
    "Record",
    "Span",
    "SpanTask",
    "compare",
    "evaluate",
    "load_results",
    "ranking_item",
    "rating_item",
    "register_task",
    "surprisal",
    "text_cluster",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name == "__version__":
        return version("babyeval")
    raise AttributeError(f"module 'babyeval' has no attribute '{name}'")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
