"""Compares a fit with a plain loop of the same number of updates:

    python -m benchmarks.fitting --model MODEL --data-dir evaluation_data --task wsc --protocol babylm-2025

The plain loop takes random batches, tokenises and pads each to its longest example, evaluates fully after every epoch
in batches of 64, and evaluates and predicts again in the end. Same body, same head, same optimizer and schedule; both run
in one process, in turn. Seconds of a shared machine mean little; the ratio does.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from babyeval.card import TaskCard
from babyeval.data.lookup import find_data
from babyeval.fit.classifier import Body, PooledClassifier, open_body
from babyeval.fit.encode import encode
from babyeval.fit.engine import fit
from babyeval.fit.metrics import get_metric
from babyeval.fit.spec import hyper_for
from babyeval.fit.split import split_off
from babyeval.fit.task import FitTask
from babyeval.fit.trainer import learning_rate_factor
from babyeval.fit.types import Example, Hyper
from babyeval.models.checkpoint import Checkpoint, open_checkpoint
from babyeval.models.load import torch_device
from babyeval.models.naming import parse_model
from babyeval.progress import Quiet
from babyeval.registry import get_task
from babyeval.scoring.model_view import full_precision

EVALUATION_BATCH = 64


@dataclasses.dataclass(frozen=True)
class Fitting:
    """What is fitted: the same for both."""

    checkpoint: Checkpoint
    body: Body
    card: TaskCard
    hyper: Hyper
    train: Sequence[Example]
    reported: Sequence[Example]
    dtype: str = "float32"
    seed: int = 42


def main() -> None:
    """Runs the comparison and prints its figures."""
    arguments = parse_arguments()
    report = compare(prepare(arguments), arguments.repeats)
    print(json.dumps(report, indent=1))
    if arguments.out:
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(report) + "\n")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--task", default="wsc")
    parser.add_argument("--split", default="full")
    parser.add_argument("--protocol", default="robust")
    parser.add_argument("--epochs", type=int, help="fewer than the protocol's, with its schedule in short")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"], help="of the engine; the loop is float32")
    parser.add_argument("--repeats", type=int, default=3, help="engine and loop run in turn, so often")
    parser.add_argument("--out", type=Path, help="append the figures to this JSONL file")
    return parser.parse_args()


def prepare(arguments: argparse.Namespace) -> Fitting:
    """Reads the examples and opens the body."""
    task = get_task(arguments.task)
    assert isinstance(task, FitTask)
    read = task.read(find_data(task.card, task.home, arguments.split, arguments.data_dir, {}), allow_split_valid=True)
    hyper = hyper_for(task.card, arguments.protocol, arguments.split)
    hyper = dataclasses.replace(hyper, epochs=arguments.epochs or hyper.epochs)
    checkpoint = open_checkpoint(parse_model(arguments.model))
    body = open_body(checkpoint, torch_device(arguments.device))
    return Fitting(checkpoint, body, task.card, hyper, read.train, read.reported, arguments.dtype)


def compare(what: Fitting, repeats: int) -> dict[str, Any]:
    """Runs both in turn and takes the median time of each."""
    short = dataclasses.replace(
        what, hyper=dataclasses.replace(what.hyper, epochs=1), train=what.train[: 4 * what.hyper.batch_size]
    )
    run_engine(short)  # imports and warms up
    own, plain, updates = [], [], (0, 0)
    for _ in range(repeats):
        seconds, outcome = run_engine(what)
        own.append(seconds)
        seconds, made, plain_loss, plain_value = run_plain(what)
        plain.append(seconds)
        updates = outcome.updates, made
    value = get_metric(what.card.metric)([e.label for e in what.reported], outcome.logits.argmax(1).tolist())
    return {
        "task": what.card.name, "model": what.checkpoint.name, "backend": what.checkpoint.backend, "dtype": what.dtype,
        "pooling": what.hyper.pooling, "epochs": what.hyper.epochs, "updates": updates[0], "plain_updates": updates[1],
        "engine_seconds": statistics.median(own), "plain_seconds": statistics.median(plain),
        "ratio": statistics.median(plain) / statistics.median(own), "engine_runs": own, "plain_runs": plain,
        "last_loss": outcome.losses[-1], "plain_last_loss": plain_loss, what.card.metric: value, "plain_value": plain_value,
        "torch": torch.__version__, "threads": torch.get_num_threads(),
    }  # fmt: skip


def run_engine(what: Fitting) -> tuple[float, Any]:
    """One fit, tokenising included; its seconds, and what it gives."""
    what.body.encoded.clear()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        outcome = fit(
            what.checkpoint, what.train, what.reported, what.card, what.hyper, what.seed,
            dtype=what.dtype, folder=Path(folder), reporter=Quiet(), body=what.body,
        )  # fmt: skip
        return time.perf_counter() - start, outcome


@full_precision()
def run_plain(what: Fitting) -> tuple[float, int, float, float]:
    """The plain loop; its seconds, updates, mean loss of the last epoch, and headline."""
    start = time.perf_counter()
    hyper = what.hyper
    learnt, selecting = (what.train, what.reported) if hyper.official else split_off(what.train, hyper.inner_share)
    assert what.card.fit is not None
    model = PooledClassifier(what.body, len(what.card.fit.labels), hyper.dropout, what.seed)
    examples: Any = list(learnt)
    loader: Any = torch.utils.data.DataLoader(
        examples, hyper.batch_size, shuffle=True, drop_last=hyper.drop_last, collate_fn=lambda rows: inputs_of(what, rows)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=hyper.learning_rate, weight_decay=hyper.weight_decay)
    total = len(loader) * hyper.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: learning_rate_factor(step, total, hyper))
    best, weights, updates, mean = -1.0, None, 0, 0.0
    for _ in range(hyper.epochs):
        model.train()
        losses = []
        for inputs in loader:
            labels = inputs.pop("labels")
            loss: Any = torch.nn.functional.cross_entropy(model(**inputs), labels)
            loss.backward()
            if hyper.clip is not None:
                torch.nn.utils.clip_grad_norm_(model.parameters(), hyper.clip)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
            updates += 1
        mean = statistics.mean(losses)
        value = evaluate(what, model, selecting, hyper.select_on)
        if value > best:
            best, weights = value, {name: weight.clone() for name, weight in model.state_dict().items()}
    if weights is not None:
        model.load_state_dict(weights)
    evaluate(what, model, what.reported, what.card.metric)
    value = evaluate(what, model, what.reported, what.card.metric)  # the predictions that are written
    return time.perf_counter() - start, updates, mean, value


@torch.no_grad()
def evaluate(what: Fitting, model: PooledClassifier, examples: Sequence[Example], metric: str) -> float:
    """A metric of all examples, in the order of their file."""
    model.eval()
    found: list[int] = []
    for start in range(0, len(examples), EVALUATION_BATCH):
        inputs = inputs_of(what, examples[start : start + EVALUATION_BATCH])
        del inputs["labels"]
        found.extend(model(**inputs).argmax(1).tolist())
    return get_metric(metric)([example.label for example in examples], found)


def inputs_of(what: Fitting, examples: Sequence[Example]) -> dict[str, torch.Tensor]:
    """Tokenises a batch and pads it to its longest example."""
    rows = encode(what.checkpoint.tokenizer, examples, what.hyper)
    inputs = what.body.collator(what.hyper, typed=rows[0].token_types is not None)(rows)
    return {name: value.to(what.body.device) for name, value in inputs.items()}


if __name__ == "__main__":
    main()
