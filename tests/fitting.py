"""Examples, hyper-parameters, checkpoints and whole fits for tests of fits."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import torch
from tiny import SENTENCES, make_model, make_tokenizer

from babyeval.fit import engine
from babyeval.fit.classifier import open_body
from babyeval.fit.types import Example, FitOutcome, Hyper
from babyeval.models.checkpoint import from_memory
from babyeval.progress import Quiet

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
TRAIN, REPORTED = examples(30), examples(11, start=200)
_TOKENIZERS = {"llama": "bos", "gpt2": "eos", "bert": "cls_sep", "t5": "t5"}


def opened(architecture: str = "llama") -> tuple[Any, Any]:
    """A checkpoint and its body."""
    tokenizer = make_tokenizer(_TOKENIZERS[architecture])
    checkpoint = from_memory(make_model(architecture, tokenizer, positions=160), tokenizer)
    return checkpoint, open_body(checkpoint, torch.device("cpu"))


def fitted(hyper, folder, *, seed=3, dtype="float32", model=None, train=TRAIN, reported=REPORTED, reporter=None) -> FitOutcome:
    checkpoint, body = model or opened()
    return engine.fit(
        checkpoint, train, reported, CARD, hyper, seed, dtype=dtype, folder=folder, reporter=reporter or Quiet(), body=body
    )


def without_dropout(model: Any) -> None:
    """Which draws differently if a batch is divided differently."""
    for module in model.modules():
        for name in ("p", "dropout_prob", "attention_dropout", "dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, 0.0)
