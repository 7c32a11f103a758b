"""A folder in which everything that the documentation names exists, and in which its commands really run."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cli.hub import serving
from cli.support import environment, write_lines
from doc_blocks import ROOT

from babyeval.registry import list_tasks

STUBS = Path(__file__).parent / "stubs"
CONDITIONS = ("pretrained", "switchboard", "it_merged", "it_switch_wiki", "it_wiki_switch", "dpo")


def make_workspace(folder: Path) -> Path:
    """Checkpoints, data in the official layout, corpus, texts, official results, under the names of the documentation."""
    from tiny import save_checkpoint

    model = save_checkpoint(folder / "my-model", "llama", "bos", positions=256)
    for name in ("MODEL", "tiny-llama", "hub"):
        shutil.copytree(model, folder / name)
    for number, name in enumerate(("runs/base", "MY_RUN")):
        for words in (1, 2, 5, 10):
            save_checkpoint(folder / name / f"chck_{words}M", "llama", "bos", positions=256, seed=10 * number + words)
    (folder / "stories.txt").write_text("The dog barks.\n\nShe put the cup on the table.\n", encoding="utf-8")
    _data(folder / "evaluation_data")
    _corpus(folder / "text")
    rows = [
        {"prompt": f"Do {w}s sing?", "chosen": f"Yes, {w}s sing.", "rejected": f"A {w} eats."}
        for w in ("dog", "cat", "hen", "cow", "fox")
    ]
    write_lines(folder / "pairs.jsonl", rows * 6)
    _official_results(folder)
    activate = folder / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text("")
    return folder


def _data(folder: Path) -> None:
    """The bundled mini splits as if they were the full and the fast ones."""
    for task in (listing.task for listing in list_tasks() if listing.origin == "babyeval" and listing.task):
        mini = task.card.data["mini"]
        source = task.home / mini.path
        files = [source] if source.is_file() else sorted(source.glob(mini.pattern))
        for split in ("full", "fast"):
            if split in task.card.data:
                target = folder / task.card.data[split].path
                target.mkdir(parents=True, exist_ok=True)
                for file in files:
                    shutil.copy(file, target / _official_name(task.card.data[split].pattern, file))


def _official_name(pattern: str, file: Path) -> str:
    """What a mini file has to be called so that the official pattern finds it."""
    return file.name.replace(".mini.", ".") if "*" in pattern else pattern


def _corpus(folder: Path) -> None:
    """Dialogue and articles of our own, in the forms of the challenge's corpus."""
    folder.mkdir()
    draw = random.Random(0)  # noqa: S311 - no secret
    syllables = [first + then for first in "bdfgklmnprst" for then in "aeiou"]

    def invented() -> str:
        return "".join(draw.choices(syllables, k=3))

    talk = [f"{'AB'[i % 2]}:\tWell, my {invented()} likes the {invented()} by the {invented()}." for i in range(300)]
    (folder / "switchboard.train.txt").write_text("\n".join(talk) + "\n", encoding="utf-8")
    articles = []
    for name in sorted({invented().capitalize() for _ in range(200)}):
        articles.append(
            f"= = = {name} = = = {name} is a small village by the river {invented()}. People there grow {invented()}."
        )
    (folder / "simple_wiki.train.txt").write_text(" ".join(articles) + "\n", encoding="utf-8")


def _official_results(folder: Path) -> None:
    """What the official pipeline would have written about two models."""
    predictions: dict[str, Any] = {}
    for line in (folder / "evaluation_data/full_eval/blimp_filtered/mini.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        entries = predictions.setdefault(record["UID"], {"predictions": []})["predictions"]
        entries.append({"id": f"{record['UID']}_{len(entries)}", "pred": record["sentence_good"]})
    glue = {"rte": {"predictions": [{"id": f"rte_{i}", "pred": i % 2} for i in range(139)]}}
    for place, content in (
        ("their-model/main/zero_shot/causal/blimp/blimp_filtered", predictions),
        ("model/main/finetune/rte", glue),
    ):
        target = folder / "evaluation-pipeline/results" / place / "predictions.json"
        target.parent.mkdir(parents=True)
        target.write_text(json.dumps(content), encoding="utf-8")
    (folder / "all_full_preds_and_fast_scores_causal.json").write_text(json.dumps({"blimp": predictions}), encoding="utf-8")


def add_results(results: Path) -> None:
    """Records that comparisons need and no model has to make: two models, and training conditions of three seeds."""
    import stored

    draw = random.Random(1)  # noqa: S311 - no secret

    def credits(share: float) -> dict[str, list[float]]:
        return {f"subset_{k}": [float(draw.random() < share) for _ in range(20)] for k in range(12)}

    for name, share in (("model-a", 0.7), ("model-b", 0.6)):
        stored.ranking(results, name, credits(share))
    for number, condition in enumerate(CONDITIONS):
        for seed in range(3):
            about = {"condition": condition, "train_seed": seed}
            stored.ranking(results, f"{condition}-{seed}", credits(0.5 + number / 20), of=about)


@contextmanager
def reader(workspace: Path, page: str) -> Iterator[Reader]:
    """Someone who has the workspace, a stand-in for the Hub, and a page before them."""
    steps = {name: workspace / "runs/base" / name for name in ("chck_1M", "chck_2M", "chck_5M", "chck_10M")}
    with serving(workspace / "hub", steps) as hub:
        yield Reader(workspace, page, hub.url)


class Reader:
    """Types what a page says, as processes."""

    def __init__(self, workspace: Path, page: str, hub: str) -> None:
        self.workspace, self.page = workspace, page
        self.environment = environment(workspace) | {
            "PATH": f"{STUBS}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(workspace / "installed"), str(ROOT)]),
            "HF_ENDPOINT": hub, "HF_HOME": str(workspace / "home"), "NO_PROXY": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1",
            "SLURM_JOB_NODELIST": "node1", "SLURM_NNODES": "2", "SLURM_JOB_ID": "1", "BABYEVAL_SEEDS": "2",
        }  # fmt: skip

    def types(self, text: str) -> subprocess.CompletedProcess[str]:
        """A block of commands; it ends at the first one that fails."""
        return self._run("bash", "-euxo", "pipefail", "-c", text)

    def runs_python(self, text: str) -> subprocess.CompletedProcess[str]:
        return self._run(sys.executable, "-c", text)

    def _run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.workspace, env=self.environment, capture_output=True, text=True, timeout=1800, check=False,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
