"""The demo's story: a study in small, told by the commands that anybody would type."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import shlex
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from babyeval.errors import MissingError
from babyeval.models.naming import counted

SEEDS = (0, 1)
TUNED = {"merged": "demo-merged", "sequential": "demo-sequential"}  # recipes by condition
CONDITIONS = ("pretrained", *TUNED)
FIT_TASKS = "mnli,mrpc,wsc"
COMPARED = "blimp,blimp_supplement,comps,ewok"
EARLY = "chck_10K"  # a checkpoint of recipes/demo.toml
_NEEDED = ("datasets", "trl")
_LINE = 116  # characters of a shown command's line
Run = Callable[[Sequence[str]], int]
_Shown = Callable[[Any], None]


class Story:
    """Tells what is done, does it, and stops where something fails.

    Args:
        out: Folder for everything that is made.
        run: Runs babyeval with these arguments and returns the exit code.
    """

    def __init__(self, out: Path, run: Run) -> None:
        self.out = out
        self.run = run
        self.exit_code = 0
        self._chapter, self._began = 0, 0.0

    def tell(self) -> int:
        """Does all of it; what was done before is not done again.

        Returns:
            The highest exit code of a command.

        Raises:
            MissingError: A library that training needs is not installed.
            BabyevalError: A command cannot do what it shall.
            KeyboardInterrupt: Ctrl-C.
        """
        require_libraries()
        started = time.monotonic()
        print(
            "A study in small: is a baby model better if it is tuned on conversation and questions, and does the order matter?\n"
            f"Takes about four minutes on two cores, with nothing but what is installed. Everything comes to {self.out}/.\n"
            "Ctrl-C stops it; the same command then goes on from there. Lines that begin with $ can be typed by hand."
        )
        for chapter in (self._write, self._pretrain, self._tune, self._learning, self._evaluate, self._compare, self._page):
            chapter()
        failed = ", and not everything worked: see above" if self.exit_code else ""
        print(f"\nThat was all, in {counted(round(time.monotonic() - started), 'second')}{failed}. With a model of your own:")
        _show(("run", "--model", "PATH", "--tasks", "zero-shot", "--split", "mini", "--out", self._results))
        _show(("leaderboard", self._results, "--out", self._board))
        return self.exit_code

    @property
    def _results(self) -> str:
        return str(self.out / "results")

    @property
    def _board(self) -> str:
        return str(self.out / "leaderboard.html")

    def _write(self) -> None:
        from . import corpus

        folder = self.out / "corpus"
        with self._told("A corpus"):
            print(f"Four files in the forms of the BabyLM corpus, written from templates by a seed: {folder}.")
            corpus.write_corpus(folder, corpus.held_out_texts(), corpus.WORDS)  # always the same, so that it may be done again
            for name in corpus.DOMAINS:
                lines = (folder / corpus.file_name(name)).read_text(encoding="utf-8").splitlines()
                example = next(line for line in lines if len(line.split()) > 6 and line[0] != "=")
                print(
                    f"  {name}: {counted(sum(len(line.split()) for line in lines), 'word')}, such as: {example.expandtabs(1)[:90]}"
                )
            print(
                "No sentence of a test is in it. But it speaks of what the tests ask about: these scores say nothing of other models."
            )

    def _pretrain(self) -> None:
        with self._told("Two models from scratch, which differ in their seed"):
            for seed in SEEDS:
                self._do(("train", "pretrain", "demo", *self._training(seed)), _trained)

    def _tune(self) -> None:
        with self._told("Each of them tuned in two ways: dialogue and questions shuffled together, or one after the other"):
            for recipe in TUNED.values():
                for seed in SEEDS:
                    self._do(("train", "instruct", recipe, *self._training(seed)), _trained)

    def _training(self, seed: int) -> tuple[str, ...]:
        return ("--corpus", str(self.out / "corpus"), "--out", str(self.out / "runs"), "--set", f"seed={seed}", "--resume")

    def _learning(self) -> None:
        model = f"pretrained-0={self.out / 'runs' / 'pretrained' / 'seed_0'}"
        with self._told("The first model while it learns: all zero-shot tasks at each of its checkpoints"):
            print("The bundled mini splits are written for babyeval: they show that all runs, and are too small for findings.")
            self._do(("run", "--model", model, "--revisions", "chck_*", "--tasks", "zero-shot", *self._scored()), _learnt)

    def _evaluate(self) -> None:
        runs = [(condition, seed) for seed in SEEDS for condition in CONDITIONS]
        with self._told("All models: the zero-shot tasks, and, for two of them, three fine-tuned ones"):
            self._do(("run", *self._models(runs), "--tasks", "zero-shot", *self._scored()), _scores)
            self._do(("run", *self._models(runs[:2]), "--tasks", FIT_TASKS, "--seeds", "2", *self._scored()), _scores)

    def _models(self, runs: Sequence[tuple[str, int]]) -> Iterator[str]:
        for condition, seed in runs:
            yield from ("--model", f"{condition}-{seed}={self.out / 'runs' / condition / f'seed_{seed}' / 'final'}")

    def _scored(self) -> tuple[str, ...]:
        return ("--split", "mini", "--protocol", "robust", "--out", self._results)

    def _compare(self) -> None:
        with self._told("Is one better than the other? From records alone"):
            asked = ("--tasks", COMPARED, "--results", self._results)
            print(
                "What training brought, a model against its parent, and the conditions over their seeds; on four tasks, to be short."
            )
            self._do(("compare", "pretrained-0", f"pretrained-0@{EARLY}", *asked))
            self._do(("compare", "pretrained-0", "merged-0", *asked))
            self._do(("compare", "--by", "condition", "--baseline", "pretrained", *asked))

    def _page(self) -> None:
        with self._told("Everything on one page"):
            self._do(("leaderboard", self._results, "--out", self._board))

    @contextlib.contextmanager
    def _told(self, title: str) -> Iterator[None]:
        """A chapter with its number before and its time behind."""
        self._chapter += 1
        began = time.monotonic()
        print(f"\n{self._chapter}. {title}.", flush=True)
        yield
        print(f"   ({time.monotonic() - began:.0f} s)", flush=True)

    def _do(self, arguments: Sequence[str], shown: _Shown | None = None) -> None:
        """Runs a command; what it prints is shown, or, where that is long, what matters of it."""
        _show(arguments)
        if shown is None:
            code = self.run(arguments)
        else:
            with contextlib.redirect_stdout(io.StringIO()) as said:
                code = self.run((*arguments, "--json"))
            shown(json.loads(said.getvalue()))
        self.exit_code = max(self.exit_code, code)


def require_libraries() -> None:
    """Finds out at once whether the demo can train.

    Raises:
        MissingError: It cannot.
    """
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingError(
            f"The demo trains models, and for that {' and '.join(missing)} must be installed.",
            hint='pip install "babyeval[train]", or in the folder of the source: make demo',
        )


def _show(arguments: Sequence[str]) -> None:
    """Prints a command as it can be typed, in lines of readable length."""
    lines, line = [], "$ babyeval"
    for word in map(shlex.quote, arguments):
        if len(line) + len(word) > _LINE and word.startswith("-"):
            lines.append(line)
            line = "   "
        line += f" {word}"
    print("\n" + " \\\n".join([*lines, line]), flush=True)


def _trained(made: Any) -> None:
    loss = made["validation"]["all"]["loss"]
    work = "it was there" if made["finished_before"] else f"{made['seconds']:.0f} s"
    print(
        f"{made['folder']}: {made['parameters']:,} parameters, {made['words']:,} words read, "
        f"validation loss {loss:.2f} nats per token ({work})"
    )


def _learnt(report: Any) -> None:
    """BLiMP checkpoint by checkpoint, and the number that needs all of them."""
    done = [one for one in report["results"] if one["headline"] is not None]
    curve = sorted((one for one in done if one["task"]["name"] == "blimp"), key=lambda one: one["model"]["words_seen"])
    points = ", ".join(f"{one['model']['revision']} {_number(one['headline']['value'])}" for one in curve)
    print(f"BLiMP as it learns: {points}.")
    for one in done:
        if one["checkpoints"]:
            what = f"{one['task']['title']} over {len(one['checkpoints'])} checkpoints"
            print(f"{what}: {one['headline']['metric']} {_number(one['headline']['value'])}.")
            _warn([one])


def _scores(report: Any) -> None:
    """The scores of the first model of the command, and which of them are above chance."""
    from babyeval.cli import render

    first = report["results"][0]["model"]["name"]
    mine = [one for one in report["results"] if one["model"]["name"] == first and one["headlines"]]
    rows = []
    for one in mine:
        for score in one["headlines"]:
            low, high, chance = score["ci_low"], score["ci_high"], score["chance"]
            what = " ".join(filter(None, (one["task"]["name"], score["subset"])))
            interval = "undefined" if low is None else f"{_number(low)} to {_number(high)}"
            sure = low is not None and chance is not None and low > chance
            cells = (what, _number(score["value"]), interval, _number(chance), f"{score['n']:,}", "above chance" if sure else "")
            rows.append(cells)
    columns = ("task", "score", "95% interval", "chance", "n", "")
    render.console().print(render.simple_table(first, columns, rows, range(1, 5)))
    _warn(mine)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _warn(results: Sequence[Any]) -> None:
    """Says what a reader of these numbers must know."""
    for one in results:
        if note := one["task"]["mini_note"]:
            print(f"{one['task']['name']}: {note}.")
