"""Compares the scoring engine with the plain reference: same model, same data, one process.

    python -m benchmarks.scoring --model MODEL --data-dir evaluation_data --task blimp --split fast

Takes every built-in task of the zero-shot suite, on causal and masked models. Prints seconds, positions put through the model (padding included), trie nodes, the ratio of times,
the number of decisions that differ, and how far the engine is from the floor that this machine's
matrix products set. The engine's time is that of a whole run except for opening the model: reading
the files, tokenising, scoring, the row cache, the records. Absolute seconds of a shared machine mean
little; ratios within one run do.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import operator
import os
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from babyeval.config import RunConfig
from babyeval.models.checkpoint import Checkpoint, open_checkpoint
from babyeval.models.load import load_model, torch_device
from babyeval.models.naming import parse_model
from babyeval.progress import Quiet
from babyeval.run.execute import execute
from babyeval.run.plan import Plan, PlannedTask, make_plan
from babyeval.types import Outcome, Row, Span
from benchmarks.reference import ReferenceRun, score_causal, score_masked, score_reading

if TYPE_CHECKING:
    import pandas as pd


def main() -> None:
    """Runs the comparison for each precision and prints its figures."""
    arguments = parse_arguments()
    checkpoint = open_checkpoint(parse_model(arguments.model))
    device = torch_device(arguments.device)
    checkpoint = dataclasses.replace(checkpoint, loaded=load_model(checkpoint, device))
    run_engine(checkpoint, configuration(arguments, "float32", 200, arguments.task[0]))  # imports and warms up
    for dtype in arguments.dtype:
        reports = [
            compare(checkpoint, configuration(arguments, dtype, arguments.limit, task), arguments.repeats)
            for task in arguments.task
        ]
        for report in [*reports, *([in_all(reports)] if len(reports) > 1 else [])]:
            print(json.dumps(report, indent=1))
            if arguments.out:
                with arguments.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(report) + "\n")


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--task", nargs="+", default=["blimp"], help="of several the sums of times are compared too")
    parser.add_argument("--split", default="fast")
    parser.add_argument("--protocol", default="babylm-2025", help="babylm-2026 for Global PIQA, which 2025 lacks")
    parser.add_argument("--limit", type=int)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", nargs="+", default=["float32"], choices=["float32", "bfloat16"])
    parser.add_argument("--repeats", type=int, default=3, help="engine and reference run in turn, so often")
    parser.add_argument("--out", type=Path, help="append the figures to this JSONL file")
    return parser.parse_args()


def configuration(arguments: argparse.Namespace, dtype: str, limit: int | None, task: str) -> RunConfig:
    """The run that is measured."""
    return RunConfig.model_validate(
        {
            "models": (arguments.model,), "tasks": (task,), "split": arguments.split, "protocol": arguments.protocol,
            "data_dir": arguments.data_dir, "dtype": dtype, "device": arguments.device, "limit": limit,
        }
    )  # fmt: skip


def compare(checkpoint: Checkpoint, config: RunConfig, repeats: int) -> dict[str, Any]:
    """Runs both in turn, takes the median time of each, and compares their decisions."""
    own, plain = [], []
    for _ in range(repeats):
        plan, table, seconds = run_engine(checkpoint, config)
        own.append(seconds)
        reference, seconds = run_reference(checkpoint, plan.tasks[0])
        plain.append(seconds)
    works = plan.engine.works
    outcomes = outcomes_of(plan.tasks[0], reference)
    positions, nodes = (sum(getattr(work, name) for work in works.values()) for name in ("positions", "nodes"))
    flops, rate = flops_per_position(checkpoint), matrix_rate(checkpoint, getattr(torch, config.dtype))
    floor = least_operations(checkpoint, nodes, len(plan.questions.queries)) / rate / 1e9
    engine, ours = statistics.median(own), statistics.median(plain)
    return {
        "task": config.tasks[0], "split": plan.tasks[0].split, "model": checkpoint.name, "backend": checkpoint.backend,
        "dtype": config.dtype, "items": len(table), "engine_seconds": engine, "reference_seconds": ours,
        "ratio": ours / engine, "engine_runs": own, "reference_runs": plain,
        "engine_positions": positions, "reference_positions": reference.positions, "trie_nodes": nodes,
        "positions_per_node": positions / nodes, "path": {name: work.path for name, work in works.items()},
        "decisions_that_differ": sum(map(operator.ne, table["prediction"], (outcome.prediction for outcome in outcomes))),
        "largest_difference_nats": largest_difference(outcomes, table),
        "matrix_gflops": rate, "megaflop_per_position": flops / 1e6, "floor_seconds": floor, "ratio_to_floor": engine / floor,
        "torch": torch.__version__, "threads": torch.get_num_threads(),
    }  # fmt: skip


def in_all(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """The sums of times over tasks that were measured one after the other."""
    engine, plain = (sum(report[key] for report in reports) for key in ("engine_seconds", "reference_seconds"))
    about = {key: reports[0][key] for key in ("model", "backend", "dtype", "torch", "threads")}
    tasks = [f"{report['task']} {report['split']}" for report in reports]
    return {"tasks": tasks, **about, "engine_seconds": engine, "reference_seconds": plain, "ratio": plain / engine}


def run_engine(checkpoint: Checkpoint, config: RunConfig) -> tuple[Plan, pd.DataFrame, float]:
    """Scores as `babyeval run` does, with an empty row cache; returns the items' table and the seconds."""
    import pandas as pd

    with tempfile.TemporaryDirectory() as folder:
        os.environ["BABYEVAL_CACHE"] = folder
        out = Path(folder) / "results"
        start = time.perf_counter()
        plan = make_plan(config.model_copy(update={"out": out}), checkpoint, Quiet())
        (result,) = execute(plan)
        seconds = time.perf_counter() - start
        plan.engine.close()
        table = pd.read_parquet(plan.store.folder_of(result) / "items.parquet")
    return plan, table, seconds


def run_reference(checkpoint: Checkpoint, planned: PlannedTask) -> tuple[ReferenceRun, float]:
    """Scores the same items in float32 in the manner of the official pipeline."""
    apart = planned.task.card.family == "reading" and planned.protocol.name != "robust"
    score = score_reading if apart else score_causal if checkpoint.backend == "causal" else score_masked
    start = time.perf_counter()
    run = score(checkpoint.loaded, checkpoint.tokenizer, [[(s.text, s.start) for s in spans] for spans in asked(planned, apart)])
    return run, time.perf_counter() - start


def asked(planned: PlannedTask, apart: bool) -> list[Sequence[Span]]:
    """Spans of each item; officially nothing is asked behind a previous context "None", which counts as missing."""
    return [
        [span for n, span in enumerate(item.spans) if not (apart and n and span.text[: span.start] == "None")]
        for item in planned.items
    ]


def outcomes_of(planned: PlannedTask, run: ReferenceRun) -> list[Outcome]:
    """What the task's rules make of the reference's log-probabilities."""
    rows = [[Row(tuple(logprobs)) for logprobs in spans] for spans in run.logprobs]
    return planned.task.outcomes(planned.items, rows, planned.protocol)


def largest_difference(outcomes: list[Outcome], table: pd.DataFrame) -> float:
    """Between the two's log-probabilities, where the reference did not get more context than fits the model's window."""
    pairs = [(o.raw, row) for o, row, cut in zip(outcomes, table["scores"], table["truncated"], strict=True) if not cut]
    return max((abs(a - b) for raw, row in pairs for a, b in zip(raw, row, strict=True)), default=0.0)


def least_operations(checkpoint: Checkpoint, nodes: int, queries: int) -> float:
    """Operations that the questions need: every node through the body, and through the head what is read.

    A causal model is read at every node; a masked one at one position per query.
    """
    model: Any = checkpoint.loaded
    head = 2.0 * model.get_output_embeddings().weight.numel()
    return nodes * (flops_per_position(checkpoint) - head) + (nodes if checkpoint.backend == "causal" else queries) * head


def flops_per_position(checkpoint: Checkpoint) -> float:
    """Operations of the matrix products behind one position: two per weight of every linear layer."""
    model = checkpoint.loaded
    assert model is not None
    return 2.0 * sum(layer.weight.numel() for layer in model.modules() if isinstance(layer, torch.nn.Linear))


@torch.inference_mode()
def matrix_rate(checkpoint: Checkpoint, dtype: torch.dtype, rows: int = 1024, seconds: float = 2.0) -> float:
    """Speed in GFLOP/s of the model's own matrix products, one after the other, nothing between them."""
    assert checkpoint.loaded is not None
    weights = [layer.weight.to(dtype) for layer in checkpoint.loaded.modules() if isinstance(layer, torch.nn.Linear)]
    inputs = {weight.shape[1]: torch.randn(rows, weight.shape[1], device=weight.device, dtype=dtype) for weight in weights}
    done = 0
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        for weight in weights:
            torch.nn.functional.linear(inputs[weight.shape[1]], weight)
        if weights[0].device.type == "cuda":
            torch.cuda.synchronize()
        done += rows
    return done * flops_per_position(checkpoint) / (time.perf_counter() - start) / 1e9


if __name__ == "__main__":
    main()
