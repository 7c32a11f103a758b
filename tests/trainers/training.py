"""A training of seconds on text of our own, for the tests, and what is read of the folder that it leaves."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import torch
from babyeval.trainers.recipe import Recipe
from safetensors.torch import load_file
from small_corpus import sentences


class Listener:
    """A reporter that remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.advanced = 0

    def bar(self, label: str, total: int, unit: str = "rows", share: Any = None) -> Any:
        import contextlib

        def advance(count: int) -> None:
            self.advanced += count if label == "Training" else 0

        return contextlib.nullcontext(advance)

    def note(self, text: str) -> None:
        self.said.append(text)

    def heard(self, part: str) -> bool:
        return any(part in text for text in self.said)


def write_corpus(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, domain in enumerate(("tales", "talk")):
        text = "\n".join(sentences(8, 100 * seed + i).replace("\n", " ") for i in range(40))
        (folder / f"{domain}.txt").write_text(text, encoding="utf-8")
    return folder


def small_recipe(corpus: Path, architecture: str = "llama", **changes: Any) -> Recipe:
    """A recipe of some twenty updates; ``pretrain={"epochs": 2}`` changes a section's keys."""
    masked = architecture in ("bert", "roberta")
    content: dict[str, Any] = {
        "condition": "small",
        "seed": 7,
        "data": {"corpus": str(corpus), "section_words": 60, "forms": {"tales": "lines", "talk": "lines"}},
        "tokenizer": {"vocab_size": 420, "kind": "wordpiece" if masked else "bpe"},
        "model": {"architecture": architecture, "hidden_size": 16, "layers": 2, "heads": 2, "max_length": 64, "dropout": 0.1},
        "pretrain": {
            "epochs": 1,
            "max_steps": 12,
            "batch_size": 8,
            "sequence_length": 32,
            "learning_rate": 0.01,
            "warmup_steps": 2,
        },
        "checkpoints": {"words": [300, 310, 900, 10_000_000], "resume_steps": 4},
        "logging": {"steps": 3, "report_to": []},
    }
    for section, keys in changes.items():
        content[section] = {**content[section], **keys} if isinstance(keys, dict) and section in content else keys
    return Recipe.model_validate(content)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "model.safetensors"))


def same_weights(one: Path, other: Path) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def log(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def without_speed(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if not key.endswith("_per_second")} for line in lines]


def killed_until_done(command: list[str], final: Path, draw: random.Random, kills: int, steps: tuple[int, int]) -> None:
    """Starts a training, which prints a line at each update, again and again until it has ended, killing it at first.

    Args:
        command: The process.
        final: What is there once it has ended.
        draw: When it is killed.
        kills: So many times.
        steps: After at least and at most so many updates.
    """
    killed = 0
    while not final.exists():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(draw.randint(*steps) if killed < kills else 99):
            if not process.stdout.readline():
                break
        time.sleep(draw.random() * 0.2)  # in the middle of an update, or of a save
        if killed < kills:
            process.send_signal(signal.SIGKILL)
        code = process.wait()
        process.stdout.close()
        killed += code == -signal.SIGKILL
        assert code in (0, -signal.SIGKILL)
    assert killed
