"""The study of conditions: its commands, and the block of the page that it writes."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import pytest
from stored import ranking

from babyeval.errors import UsageError
from benchmarks import conditions as study

WORDS = ["--corpus", "text", "--data-dir", "data"]


@pytest.fixture
def arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", ["conditions", *WORDS, "--out", str(tmp_path), "--split", "full"])
    return study.parse_arguments()


@pytest.fixture
def headlines(tmp_path: Path) -> dict[str, list[float]]:
    """Records of all conditions, three seeds each, tuned ones from the parent of their seed."""
    found: dict[str, list[float]] = {}
    for i, name in enumerate(study.RECIPES):
        for seed in range(3):
            rng = np.random.default_rng([i, seed])
            credits = {f"s{g}": [float(rng.random() < 0.4 + 0.12 * i) for _ in range(20)] for g in range(12)}
            of = {"condition": name, "train_seed": seed, **({"parent_digest": f"parent{seed}"} if i else {})}
            found.setdefault(name, []).append(ranking(tmp_path / "study", f"{name}-{seed}", credits, of=of).headline.value)
    return found


def test_every_model_that_is_not_there_is_trained_after_its_parent(arguments) -> None:
    done = arguments.out / "runs/it_merged/seed_1/final"
    done.mkdir(parents=True)
    (done / "babyeval.json").touch()
    commands = [(c[1], c[2], c[c.index("--set") + 1]) for c in study.training(arguments)]
    assert len(commands) == 11
    assert ("instruct", "tiny-merged", "seed=1") not in commands
    for seed in range(3):
        mine = [command for command in commands if command[2] == f"seed={seed}"]
        assert mine[0] == ("pretrain", "tiny", f"seed={seed}")


def test_tasks_are_those_whose_data_is_there(arguments, tmp_path) -> None:
    folder = tmp_path / "data/fast_eval/blimp_fast"
    folder.mkdir(parents=True)
    (folder / "anaphor.jsonl").write_text("{}\n", encoding="utf-8")
    assert study.tasks_at_hand(tmp_path / "data", "fast") == ["blimp"]
    arguments.data_dir, arguments.split = tmp_path / "data", "fast"
    command = study.evaluation(arguments)
    assert command.count("--model") == 12
    assert command[command.index("--tasks") + 1] == "blimp"


def test_the_block_holds_the_numbers_of_the_records(arguments, headlines) -> None:
    report = study.compared(arguments)
    text = study.block(report, arguments, drawn=True)
    for name, values in headlines.items():
        assert f"{fmean(values):.2f} ± {stdev(values) / 3**0.5:.2f}" in text, name
    merged = fmean(headlines["it_merged"])
    sequential = fmean([*headlines["it_switch_wiki"], *headlines["it_wiki_switch"]])
    assert f"| sequential against merged | `blimp` | {sequential - merged:+.2f} |" in text
    assert "**order**: " in text
    assert "K = 4 conditions" in text
    assert "3 of 3 tests" in text
    assert "support no verdict" in text, "three seeds against three"
    assert "not adjusted for how many there are" in text
    for row in (*report.rows, *report.plan):
        assert row.note is None or row.note in text
    assert all(line[1:] in text for line in report.warnings)
    widths = [{line.count("|") for line in part.splitlines()} for part in text.split("\n\n") if part.startswith("|")]
    assert len(widths) == 4
    assert all(len(width) == 1 for width in widths)


def test_numbers_and_figure_are_written(arguments, headlines, tmp_path) -> None:
    report = study.compared(arguments)
    study.write_json(report, tmp_path / "new/numbers.json")
    kept = json.loads((tmp_path / "new/numbers.json").read_text(encoding="utf-8"))
    assert {row["contrast"] for row in kept["rows"]} == {None, "order", "sequential against merged"}
    assert [row["mde"].keys() for row in kept["plan"]] == [{"3", "5", "10"}]
    assert study.draw(report, tmp_path / "figures/z.svg")
    assert (tmp_path / "figures/z.svg").stat().st_size > 1000


def test_only_the_block_of_the_page_is_replaced() -> None:
    page = f"# Title\n\nbefore\n{study.BEGIN}\nold\n{study.END}\nafter\n"
    new = study.replaced(page, "new | table")
    assert new == f"# Title\n\nbefore\n{study.BEGIN}\n\nnew | table\n\n{study.END}\nafter\n"
    assert study.replaced(new, "new | table") == new
    with pytest.raises(UsageError, match="no block"):
        study.replaced("# Title\n", "new")


def test_the_page_has_its_block() -> None:
    text = study.PAGE.read_text(encoding="utf-8")
    assert text.count(study.BEGIN) == text.count(study.END) == 1
