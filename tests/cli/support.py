"""Helpers of these tests: babyeval as a process or inside this one, and checkpoints with a fault."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("TESTS_SHARED", ROOT.parent / "shared"))
FULL_BLIMP = Path("full_eval/blimp_filtered")
FULL_SUPPLEMENT = Path("full_eval/supplement_filtered")


# Runs babyeval with a pause after each batch, so that it can be met in the middle, and with a log
# of the rows that were computed: one line per batch, written before the batch reaches the cache.
SLOWLY = """
import json, os, time
from babyeval.scoring.rowcache import RowCache
put = RowCache.put
def put_slowly(self, answers):
    answers = list(answers)
    line = json.dumps([key.hex() for key, _ in answers]) + "\\n"
    with open(os.environ["PUT_LOG"], "a") as log:
        log.write(line)
    put(self, answers)
    time.sleep(float(os.environ.get("PUT_PAUSE", "0.2")))
RowCache.put = put_slowly
from babyeval.cli.main import main
main()
"""

# Runs babyeval and says on stderr which libraries it took that no model needs to be loaded for.
WATCHED = """
import sys
from babyeval.cli.main import main
try:
    main()
finally:
    print("LOADED", [m for m in ("torch", "transformers", "huggingface_hub") if m in sys.modules], file=sys.stderr)
"""


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(cwd: Path, changes: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without babyeval's variables, with a row cache in ``cwd`` and one thread."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("BABYEVAL_")}
    return {**clean, "BABYEVAL_CACHE": str(cwd / "cache"), "OMP_NUM_THREADS": "1", **(changes or {})}


def process(
    *args: object, cwd: Path, env: Mapping[str, str] | None = None, python: Sequence[str] = ("-m", "babyeval"), limit: int = 180
) -> Done:
    """Runs babyeval as a user does."""
    command = [sys.executable, *python, *map(str, args)]
    done = subprocess.run(command, cwd=cwd, env=environment(cwd, env), capture_output=True, text=True, timeout=limit, check=False)
    return Done(done.returncode, done.stdout, done.stderr)


def started_slowly(*args: object, cwd: Path, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
    """Starts babyeval as a slow process that logs its batches to ``cwd / "puts"``."""
    given = environment(cwd, {"PUT_LOG": str(cwd / "puts"), **(env or {})})
    command = [sys.executable, "-c", SLOWLY, *map(str, args)]
    return subprocess.Popen(
        command, cwd=cwd, env=given, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
    )  # fmt: skip


def batches(cwd: Path) -> list[list[str]]:
    """The batches that slow processes computed here: for each one the keys of its rows."""
    log = cwd / "puts"
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def wait_for_batches(running: subprocess.Popen[str], cwd: Path, count: int, limit: float = 120) -> None:
    """Returns once this many batches are in the log."""
    end = time.monotonic() + limit
    while len(batches(cwd)) < count:
        assert running.poll() is None, running.communicate()
        assert time.monotonic() < end, "nothing happens"
        time.sleep(0.02)


def cached_rows(cwd: Path) -> dict[bytes, tuple[float, ...]]:
    """All rows of the one row cache in ``cwd``."""
    paths = list((cwd / "cache" / "rows").glob("*.sqlite"))
    if not paths:
        return {}
    (path,) = paths
    with contextlib.closing(sqlite3.connect(path)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        rows = [pair for table in tables for pair in db.execute(f"SELECT key, row FROM {table}")]
    return {key: struct.unpack(f"<{len(row) // 8}d", row) for key, row in rows}


def inside(*args: object, cwd: Path, env: Mapping[str, str] | None = None) -> Done:
    """Runs the same code in this process, which saves the start; an exception that escapes fails the test."""
    from babyeval.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environment(cwd, env), clear=True),
        mock.patch.object(sys, "argv", ["babyeval", *map(str, args)]),
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return Done(code, out.getvalue(), err.getvalue())


def assert_refused(done: Done, code: int, *words: str) -> None:
    """The command ended with this code and an error that holds these words and a way out, and no traceback."""
    assert "Traceback" not in done.out + done.err, done.err
    assert done.code == code, (done.code, done.out, done.err)
    for word in (*words, "What next:"):
        assert word in done.err, (word, done.err)


def files_in(folder: Path) -> list[str]:
    """All files below a folder, hidden ones included."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def records_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("result.json"))


def refuse_weights(monkeypatch: Any) -> None:
    """From here on, whoever opens a model's weights fails the test."""

    def refuse(*_: Any, **__: Any) -> Any:
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("babyeval.models.load.load_model", refuse)


def copied(checkpoint: Path, folder: Path) -> Path:
    shutil.copytree(checkpoint, folder)
    return folder


def with_weights(checkpoint: Path, folder: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A copy whose weights are changed."""
    from safetensors.numpy import load_file, save_file

    target = copied(checkpoint, folder) / "model.safetensors"
    weights = load_file(target)
    change(weights)
    save_file(weights, target, metadata={"format": "pt"})
    return folder


def damaged(checkpoint: Path, folder: Path) -> Path:
    """A copy that gives NaN for every input."""

    def spoil(weights: dict[str, Any]) -> None:
        weights["model.norm.weight"][:] = float("nan")

    return with_weights(checkpoint, folder, spoil)


def another(checkpoint: Path, folder: Path, factor: float = 1.5) -> Path:
    """A copy that is another model."""

    def scale(weights: dict[str, Any]) -> None:
        weights["model.norm.weight"] *= factor

    return with_weights(checkpoint, folder, scale)


def edit_json(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**content, **changes}), encoding="utf-8")


def pair(number: int, uid: str = "made_up") -> dict[str, Any]:
    """One line of a BLiMP file of our own making."""
    things = ("cat", "dog", "frog", "bird", "fish", "horse", "mouse")
    thing, other = things[number % 7], things[number // 7 % 7]
    text = f"The {thing} number {number} sees the {other} by the"
    return {
        "sentence_good": f"{text} river.", "sentence_bad": f"{text} rivers.",
        "field": "syntax", "linguistics_term": "made_up", "UID": uid,
    }  # fmt: skip


def write_lines(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def data_folder(folder: Path, count: int, uids: int = 2) -> Path:
    """A data folder in the official layout with made-up files of both tasks."""
    for i in range(uids):
        lines = [pair(i * count + k, f"made_up_{i}") for k in range(count)]
        write_lines(folder / FULL_BLIMP / f"made_up_{i}.jsonl", lines)
        short = [{key: line[key] for key in ("sentence_good", "sentence_bad")} for line in lines[: max(2, count // 4)]]
        write_lines(folder / FULL_SUPPLEMENT / f"short_{i}.jsonl", short)
    return folder
