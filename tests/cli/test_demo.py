"""babyeval demo: what it does in which order, what it says, how it stops, and, as a slow test, all of it."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
from collections.abc import Sequence

import pytest

from babyeval.demo import story
from cli.support import assert_refused, inside, process, records_in

TUNED = ("merged", "sequential")


def commands_in(printed: str) -> list[list[str]]:
    """What stands behind each dollar, as a shell divides it."""
    whole = printed.replace("\\\n", " ")
    return [shlex.split(line.removeprefix("$ ")) for line in whole.splitlines() if line.startswith("$ ")]


def score(value: float | None, low: float | None, chance: float | None, **more: object) -> dict[str, object]:
    return {
        "value": value,
        "ci_low": low,
        "ci_high": 99.0,
        "chance": chance,
        "n": 1000,
        "subset": "",
        "metric": "accuracy",
        **more,
    }


def result(task: str, *scores: dict[str, object], words: int | None = 0, checkpoints: Sequence[int] = ()) -> dict[str, object]:
    return {
        "task": {"name": task, "title": task.upper(), "mini_note": f"{task} is invented" if task == "aoa" else ""}, "model": {"name": "pretrained-0", "words_seen": words, "revision": f"chck_{words}"},
        "checkpoints": list(checkpoints), "headlines": scores, "headline": scores[0] if scores else None,
    }  # fmt: skip


class Commands:
    """Stands for babyeval: takes down what it is called with, and answers as the commands do."""

    def __init__(self, code: int = 0, stop_at: int | None = None) -> None:
        self.calls: list[list[str]] = []
        self.code, self.stop_at = code, stop_at

    def __call__(self, arguments: Sequence[str]) -> int:
        if len(self.calls) == self.stop_at:
            raise KeyboardInterrupt
        self.calls.append(list(arguments))
        if arguments[0] == "train":
            made = {"folder": "runs/x", "parameters": 4321, "words": 8765, "seconds": 5.4, "finished_before": False}
            print(json.dumps({**made, "validation": {"all": {"loss": 1.234}}}))
        elif arguments[0] == "run":
            results = [
                result("blimp", score(71.0, 62.5, 50.0), words=200_123), result("blimp", score(48.0, 40.0, 50.0), words=10_000),
                result("ewok", score(55.0, 45.0, 50.0)), result("reading"), result("aoa", score(0.25, None, 0.0), checkpoints=(1, 2)),
            ]  # fmt: skip
            print(json.dumps({"results": results}))
        else:
            print(f"what {arguments[0]} says")
        return self.code


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """A demo whose commands do nothing, and what it prints."""
    monkeypatch.setattr("babyeval.demo.corpus.WORDS", 2000)
    monkeypatch.setattr("babyeval.demo.corpus.held_out_texts", lambda: ())

    def tell(run: Commands) -> tuple[int, str]:
        code = story.Story(tmp_path / "my demo", run).tell()
        return code, capsys.readouterr().out

    return tell


def test_it_prints_each_command_as_it_runs_it(told):
    run = Commands()
    code, printed = told(run)
    assert code == 0
    shown = commands_in(printed)
    assert all(command[0] == "babyeval" for command in shown)
    done = [[word for word in call if word != "--json"] for call in run.calls]
    assert [command[1:] for command in shown][: len(done)] == done
    assert [command[1:2] for command in shown[len(done) :]] == [["run"], ["leaderboard"]]  # what to do next


def test_every_command_is_one_that_babyeval_knows(told, tmp_path):
    run = Commands()
    told(run)
    for call in {(*call[: 2 if call[0] == "train" else 1],): call for call in run.calls}.values():
        verb = call[: 2 if call[0] == "train" else 1]
        helped = inside(*verb, "--help", cwd=tmp_path, env={"COLUMNS": "200"}).out
        for option in (word for word in call if word.startswith("--")):
            assert re.search(rf"{option}\b", helped), (verb, option)


def test_it_trains_before_it_scores_and_compares(told):
    run = Commands()
    told(run)
    verbs = [call[0] for call in run.calls]
    assert verbs == ["train"] * 6 + ["run"] * 3 + ["compare"] * 3 + ["leaderboard"]
    trained = [(call[2], call[call.index("--set") + 1]) for call in run.calls if call[0] == "train"]
    recipes = ("demo", *(f"demo-{name}" for name in TUNED))
    assert trained == [(recipe, f"seed={seed}") for recipe in recipes for seed in (0, 1)]
    scored = [word.partition("=")[0] for call in run.calls if call[0] == "run" for word in call if word.partition("=")[1]]
    assert set(scored) == {f"{name}-{seed}" for name in ("pretrained", *TUNED) for seed in (0, 1)}
    for call in run.calls:
        if call[0] == "run":
            assert [call[call.index(option) + 1] for option in ("--split", "--protocol")] == ["mini", "robust"]
    fits = next(call for call in run.calls if "--seeds" in call)
    assert fits[fits.index("--seeds") + 1] == "2"
    assert len(fits[fits.index("--tasks") + 1].split(",")) == 3


def test_it_says_what_came_out(told):
    _, printed = told(Commands())
    assert "runs/x: 4,321 parameters, 8,765 words read, validation loss 1.23 nats per token (5 s)" in printed
    assert "BLiMP as it learns: chck_10000 48.00, chck_200123 71.00." in printed
    assert "AOA over 2 checkpoints: accuracy 0.25.\naoa: aoa is invented." in printed
    assert re.search(r"blimp +71\.00 +62\.50 to 99\.00 +50\.00 +1,000 +above chance *$", printed, re.MULTILINE)
    assert re.search(r"ewok +55\.00 +45\.00 to 99\.00 +50\.00 +1,000 *$", printed, re.MULTILINE)
    assert "what compare says" in printed
    assert "what leaderboard says" in printed


def test_the_worst_exit_code_is_its_own(told):
    assert told(Commands(code=1))[0] == 1


def test_it_begins_with_the_corpus_whatever_an_earlier_version_left(told, tmp_path):
    first = told(Commands())[1]
    folder = tmp_path / "my demo" / "corpus"
    (folder / "stories.train.txt").write_text("Once upon a time there was nobody at all.\n", encoding="utf-8")
    (folder / "childes.train.txt").unlink()
    again = told(Commands())[1]
    assert "Once upon a time" not in again
    assert [line for line in again.splitlines() if ", such as: " in line] == [
        line for line in first.splitlines() if ", such as: " in line
    ]


def test_ctrl_c_in_a_command_stops_it(told, tmp_path, monkeypatch):
    run = Commands(stop_at=3)
    with pytest.raises(KeyboardInterrupt):
        told(run)
    assert len(run.calls) == 3


def test_the_command_line_takes_an_exit_code_of_ctrl_c_for_ctrl_c(tmp_path, monkeypatch):
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("babyeval.demo.corpus.WORDS", 2000)
    monkeypatch.setattr("babyeval.cli.train._train", interrupted)
    done = inside("demo", "--out", tmp_path / "demo", cwd=tmp_path)
    assert done.code == 130
    assert "the same command goes on from here" in done.err
    assert commands_in(done.out)[-1][-2:] == ["seed=0", "--resume"]


def test_what_stops_a_command_stops_the_demo(tmp_path, monkeypatch):
    monkeypatch.setattr("babyeval.demo.corpus.WORDS", 2000)
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "runs").write_text("a file in the way")
    done = inside("demo", "--out", tmp_path / "demo", cwd=tmp_path)
    assert done.code in (2, 3), done.err
    assert "Traceback" not in done.err
    assert "runs" in done.err


def test_without_the_libraries_of_training_it_says_what_to_install(tmp_path, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *more: None if name == "trl" else found(name, *more))
    done = inside("demo", "--out", tmp_path / "demo", cwd=tmp_path)
    assert_refused(done, 3, "trl must be installed", 'pip install "babyeval[train]"')
    assert done.out == ""
    assert not (tmp_path / "demo").exists()


def test_the_demo_is_light_to_import(tmp_path):
    code = (
        "import babyeval.demo.story, babyeval.demo.corpus, sys; print([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    assert process("-c", code, cwd=tmp_path, python=()).out.strip() == "[]"


@pytest.mark.slow
def test_the_whole_demo_offline_and_again(tmp_path):
    offline = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9", "BABYEVAL_SPLIT": "fast"}
    done = process("demo", cwd=tmp_path, env=offline, limit=1800)
    assert done.code == 0, done.err
    assert "Traceback" not in done.err
    place = tmp_path / "babyeval-demo"
    models = [f"{name}-{seed}" for name in ("pretrained", *TUNED) for seed in (0, 1)]
    page = (place / "leaderboard.html").read_text(encoding="utf-8")
    assert all(name in page for name in models)
    assert (place / "leaderboard.html").resolve().as_uri() in done.out
    for row in ("blimp", "mnli"):
        assert re.search(rf"^  {row} .*above chance *$", done.out, re.MULTILINE), done.out
    assert re.search(r"^pretrained-0@\S+ against pretrained-0@chck_10K", done.out, re.MULTILINE)
    assert re.search(r"^pretrained-0 against merged-0", done.out, re.MULTILINE)
    assert re.search(r"^merged against pretrained", done.out, re.MULTILINE)
    records = {path: path.stat().st_mtime_ns for path in records_in(place / "results")}
    tasks = {path.relative_to(place / "results").parts[2] for path in records}
    assert len(tasks) == 11 + 3
    weights = {path: path.stat().st_mtime_ns for path in place.rglob("*.safetensors")}
    assert len(weights) >= 6 + 5
    again = process("demo", cwd=tmp_path, env=offline, limit=600)
    assert again.code == 0, again.err
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*.safetensors")} == weights
    assert {path: path.stat().st_mtime_ns for path in records_in(place / "results")} == records
    assert again.out.count("it was there") == 6
    assert [line for line in again.out.splitlines() if "above chance" in line] == [
        line for line in done.out.splitlines() if "above chance" in line
    ]
