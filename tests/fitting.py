"""Examples, hyper-parameters and checkpoints for tests of fits."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from tiny import SENTENCES

from babyeval.fit.types import Example, Hyper

CARD: Any = SimpleNamespace(name="made_up", fit=SimpleNamespace(labels=("no", "yes")))


def examples(count: int, *, start: int = 0, second: bool = True) -> list[Example]:
    """Pairs of sentences of very different lengths; the label says whether the second one holds "moon"."""
    found = []
    for i in range(start, start + count):
        a = " ".join(SENTENCES[(i * k) % len(SENTENCES)] for k in range(1, 1 + i % 3))
        b = SENTENCES[(5 * i + i // 12) % len(SENTENCES)]
        found.append(example(i, f"The dog. {a}", b if second else None, int("moon" in b)))
    return found


def example(number: int, a: str, b: str | None, label: int = 0) -> Example:
    return Example(f"made_up_{number}", a, b, label, f"made_up_{number}", f"made_up.jsonl, line {number + 1}", digest=f"{number}")


OFFICIAL_2025 = Hyper(
    epochs=2, batch_size=8, learning_rate=1e-3, weight_decay=0.01, decay_all=True, warmup_share=0.2, final_share=0.1,
    clip=None, dropout=0.0, drop_last=True, max_length=512, pooling="first", padding="right", explicit_positions=False,
    cut="longest", selection="reported", select_on="accuracy", inner_share=0.0,
)  # fmt: skip
OFFICIAL_2026 = replace(OFFICIAL_2025, pooling="last", padding="left")
ROBUST = replace(
    OFFICIAL_2025, decay_all=False, clip=1.0, drop_last=False, pooling="auto", explicit_positions=True, selection="inner", inner_share=0.25
)  # fmt: skip
