"""babyeval compare as a process: tables, JSON, CSV, LaTeX, figures, exit codes; no model library is imported."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from stored import fitted, ranking, rating, reading

from babyeval.comparison.report import ComparisonRow
from cli.support import WATCHED, assert_refused, files_in, inside, process

CONTRACT = {
    *(
        "a",
        "b",
        "task",
        "difference",
        "ci_low",
        "ci_high",
        "p",
        "p_adjusted",
        "correction",
        "test",
        "unit",
        "clusters",
        "n",
        "mde",
    ),
    *("claim", "protocol", "split"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """Two conditions of three seeds each, with blimp, wug and rte, and reading without likelihoods."""
    root = tmp_path_factory.mktemp("compare")
    for condition, share in (("it_merged", 0.5), ("it_100%", 0.8)):
        for seed in range(3):
            rng, name = np.random.default_rng([len(condition), seed]), f"{condition}-seed_{seed}"
            of = {"condition": condition, "train_seed": seed}
            credits = {f"s{g}": [float(rng.random() < share) for _ in range(20)] for g in range(12)}
            ranking(root / "results", name, credits, of=of)
            gold = [i % 2 for i in range(20)]
            labels = {s: [g if rng.random() < share else 1 - g for g in gold] for s in (1, 2)}
            fitted(root / "results", name, labels, gold, of=of)
    return root


def test_the_table_of_two_models_and_what_it_says_beneath(place) -> None:
    done = process("compare", "it_merged-seed_0", "it_100%-seed_0", cwd=place)
    assert done.code == 0, done.err
    for words in ("it_merged-seed_0 against it_100%-seed_0", "95% interval", "12 subsets", "p adj.", "In words: ",
                  "t over subset means (unit subsets", "Protocol: robust. Split: full."):  # fmt: skip
        assert words in done.out
    assert "Holm-adjusted over the family of 2 tests" in " ".join(done.out.split())
    assert done.err == ""


def test_json_has_the_fields_of_the_contract_and_nothing_beside_it(place) -> None:
    done = inside("compare", "it_merged-seed_0", "it_100%-seed_0", "--json", cwd=place)
    rows = done.json
    assert [row["task"] for row in rows] == ["blimp", "rte"]
    for row in rows:
        assert row.keys() == set(ComparisonRow.model_fields)
        assert row.keys() >= CONTRACT
        assert row["difference"] == pytest.approx(row["value_a"] - row["value_b"])
        assert row["ci_low"] < row["difference"] < row["ci_high"]
        assert row["sentence"].startswith(row["task"])


def test_no_model_library_is_imported(place) -> None:
    for more in (["it_merged-seed_0", "it_100%-seed_0"], ["--by", "condition", "--figure", "watched.svg", "--plan", "5"]):
        done = process("compare", *more, cwd=place, python=("-c", WATCHED))
        assert done.code == 0, done.err
        assert "LOADED []" in done.err


def test_csv_is_a_table_with_a_line_per_row(place) -> None:
    done = inside("compare", "it_merged-seed_0", "it_100%-seed_0", "--csv", cwd=place)
    rows = list(csv.DictReader(io.StringIO(done.out)))
    as_json = inside("compare", "it_merged-seed_0", "it_100%-seed_0", "--json", cwd=place).json
    assert [float(row["p"]) for row in rows] == [row["p"] for row in as_json]
    assert rows[0].keys() == as_json[0].keys()


def test_latex_is_a_booktabs_table_with_escaped_names(place) -> None:
    out = inside("compare", "it_merged-seed_0", "it_100%-seed_0", "--latex", cwd=place).out
    lines = out.splitlines()
    assert lines[0] == r"\begin{tabular}{lrrrrr}"
    assert r"\toprule" in lines
    assert r"A: it\_merged-seed\_0; B: it\_100\%-seed\_0" in out
    body = [line for line in lines if line.endswith(r"\\")]
    assert all(line.count("&") == 5 or r"\multicolumn" in line for line in body)
    assert lines[-1].startswith("% ")  # what a caption has to say


def test_conditions_with_a_figure_and_the_z_scores(place) -> None:
    done = inside("compare", "--by", "condition", "--figure", "out/box.svg", "--zscores", "out/z.csv", cwd=place)
    assert done.code == 0, done.err
    said = " ".join(done.out.split())
    for words in ("it_100% against it_merged", "6 seeds", "K = 2 conditions", "|z| <= 0.707", "it_merged: 3 training seeds (0, 1, 2)",
                  "Welch", "a scale to show, not a test"):  # fmt: skip
        assert words in said
    assert files_in(place / "out") == ["box.svg", "z.csv"]
    rows = list(csv.DictReader((place / "out" / "z.csv").open(encoding="utf-8")))
    assert {(row["condition"], row["task"]) for row in rows} == {
        (c, t) for c in ("it_merged", "it_100%") for t in ("blimp", "rte")
    }
    assert {row["group"] for row in rows} == {"zero-shot", "fine-tuning"}


def test_designs_and_plans_stand_beneath_and_in_json(place) -> None:
    asked = ("--by", "condition", "--factor", "share=low:it_merged;high:it_100%", "--plan", "3,10")
    said = " ".join(inside("compare", *asked, cwd=place).out.split())
    for words in ("Factors: analysis of variance over seeds (type II)", "share, F(1, 4) =", "least difference of two conditions",
                  "10 seeds", "standard deviation between training seeds", "with 80% power"):  # fmt: skip
        assert words in said
    found = inside("compare", *asked, "--json", cwd=place).json
    assert found.keys() == {"rows", "effects", "plan"}
    plain = inside("compare", "--by", "condition", "--json", cwd=place).json
    assert found["rows"] == plain
    assert [row["term"] for row in found["effects"]] == ["share", "share"]
    assert [set(row["mde"]) for row in found["plan"]] == [{"3", "10"}] * 2


def test_narrow_terminals_keep_what_matters(place, monkeypatch) -> None:
    from rich.console import Console

    from babyeval.cli import render

    monkeypatch.setattr(render, "console", lambda: Console(width=80, highlight=False))
    out = inside("compare", "it_merged-seed_0", "it_100%-seed_0", cwd=place).out
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "95% interval" in out
    assert "p adj." in out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nobody", "it_merged-seed_0"], 2, ["no model 'nobody'", "it_100%-seed_0"]),
        (["--results", "none"], 3, ["no results folder"]),
        (["--json", "--csv"], 2, ["--json"]),
        (["--figure", "box.svg"], 2, ["--by condition"]),
        (["--by", "condition", "--figure", "box.gif"], 2, [".svg"]),
        (["--by", "condition", "--zscores", "z.txt"], 2, [".csv"]),
        (["--by", "condition", "it_merged", "merged"], 2, ["no condition 'merged'", "it_100% (3 models)"]),
        (["--by", "seed"], 2, ["--by condition"]),
        (["--correction", "none"], 2, ["holm, bh, by, maxt"]),
        (["--protocol", "babylm-2025"], 3, ["no task in common"]),
        (["--tasks", "ewok"], 2, ["blimp"]),
        (["--by", "condition", "--plan", "three"], 2, ["--plan 3,5,10"]),
        (["--by", "condition", "--plan", "3", "--csv"], 2, ["--json"]),
        (["--factor", "a=b:c;d:e"], 2, ["--by condition"]),
        (["--by", "condition", "--squares", "3"], 2, ["--factor"]),
    ],
)
def test_refusals(place, arguments, code, words) -> None:
    assert_refused(inside("compare", *arguments, cwd=place), code, *words)
    assert not (place / "box.gif").exists()


def test_a_figure_that_cannot_be_written_is_refused_before_anything_is_printed(place) -> None:
    (place / "file").write_text("", encoding="utf-8")
    done = inside("compare", "--by", "condition", "--figure", "file/box.svg", cwd=place)
    assert_refused(done, 3, "--figure file/box.svg", "is no folder")
    assert done.out == ""


def test_signs_and_metrics_have_a_legend(place) -> None:
    said = " ".join(inside("compare", "it_merged-seed_0", "it_100%-seed_0", "--tasks", "blimp", cwd=place).out.split())
    assert "Metrics: accuracy in percent (blimp)." in said
    assert "+ / - / =: numbers of subsets in which A is better, B is, neither is." in said


def test_lost_items_end_with_3_and_damaged_records_are_listed(tmp_path) -> None:
    for seed, name in enumerate("ab"):
        credits = {f"s{g}": [float((g + i + seed) % 3 == 0) for i in range(20)] for g in range(12)}
        ranking(tmp_path / "results", name, credits)
    for path in tmp_path.glob("results/a/**/items.parquet"):
        path.unlink()
    done = inside("compare", cwd=tmp_path)
    assert done.code == 3
    assert "A - B" in done.out
    assert "run the task again" in done.err
    (path,) = tmp_path.glob("results/a/**/result.json")
    path.write_text("{", encoding="utf-8")
    done = inside("results", "list", cwd=tmp_path)
    assert done.code == 0
    assert "blimp" in done.out
    assert str(path.relative_to(tmp_path)) in done.err


def test_rows_without_a_test_are_null_with_a_reason(tmp_path) -> None:
    for name in "ab":
        reading(tmp_path / "results", name, {}, ["s"] * 4, protocol="babylm-2025")
        rating(tmp_path / "results", name, [1.0, 2.0, 3.0, 5.0], [1.0, 2.0, 4.0, 3.0], protocol="babylm-2025")
    rows = inside("compare", "--json", cwd=tmp_path).json
    assert [row["p"] for row in rows] == [None] * 3
    assert all(row["note"] for row in rows)
    shown = inside("compare", cwd=tmp_path)
    assert shown.code == 0
    assert "no test is possible on" in " ".join(shown.out.split())
