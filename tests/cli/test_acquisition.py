"""Age of acquisition and learning curves over six checkpoints that are really trained, against a plain script."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from growing import AGES, COLOURS, PLACES, THINGS, context, train_checkpoints
from scipy.optimize import curve_fit
from scipy.stats import pearsonr
from transformers import AutoModelForCausalLM, AutoTokenizer

from cli.support import assert_refused, inside

MONTHS = range(16, 31)


@pytest.fixture(scope="module")
def grown(tmp_path_factory) -> Path:
    return train_checkpoints(tmp_path_factory.mktemp("grown") / "run")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Contexts of twelve words, and children who learn most of them later the rarer they are."""
    folder = tmp_path_factory.mktemp("data") / "full_eval" / "aoa"
    folder.mkdir(parents=True)
    contexts = {
        thing: [{"context": context(colour, place)} for place in PLACES] for colour, thing in zip(COLOURS, THINGS, strict=True)
    }
    (folder / "cdi_childes.json").write_text(json.dumps(contexts), encoding="utf-8")
    shift = [0.3, -1.1, 0.9, 0.0, -0.4, 1.2, -0.8, 0.5, 0.1, -0.2, 0.0, 0.0]
    lines = ["word," + ",".join(map(str, MONTHS))]
    for rank, thing in enumerate(THINGS[:-1]):  # the table lacks the last word
        middle = 40 if rank == 3 else 18 + rank + shift[rank]  # the fourth is never known by half
        lines.append(thing + "," + ",".join(f"{1 / (1 + math.exp(-0.6 * (month - middle))):.4f}" for month in MONTHS))
    (folder / "cdi_human.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder.parents[1]


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("swept")


@pytest.fixture(scope="module")
def swept(grown, data, place):
    return inside(
        "run", "--model", grown, "--revisions", "chck_*", "--tasks", "aoa", "--protocol", "all",
        "--data-dir", data, "--out", "out", "--json", cwd=place,
    )  # fmt: skip


@pytest.fixture(scope="module")
def surprisals(grown) -> np.ndarray:
    """Shape (checkpoints, words, contexts), nats: one plain forward pass at a time."""
    table = np.zeros((len(AGES), len(THINGS), len(PLACES)))
    for i, name in enumerate(AGES):
        tokenizer = AutoTokenizer.from_pretrained(grown / name)
        model = AutoModelForCausalLM.from_pretrained(grown / name).eval()
        for j, (colour, thing) in enumerate(zip(COLOURS, THINGS, strict=True)):
            for k, place in enumerate(PLACES):
                before = len(tokenizer(context(colour, place))["input_ids"])
                ids = tokenizer(f"{context(colour, place)} {thing}", return_tensors="pt")["input_ids"]
                with torch.no_grad():
                    logprobs = model(ids).logits[0].double().log_softmax(-1)
                table[i, j, k] = -sum(float(logprobs[at - 1, ids[0, at]]) for at in range(before, ids.shape[1]))
    return table


def over_all(swept, protocol: str) -> dict:
    (result,) = [r for r in swept.json["results"] if r["model"]["revision"] == "chck_*" and r["protocol"] == protocol]
    return result


def test_surprisal_falls_while_the_model_learns(swept, surprisals):
    assert swept.code == 0, swept.err
    found = [r for r in swept.json["results"] if r["model"]["revision"] in AGES and r["protocol"] == "robust"]
    assert [r["model"]["revision"] for r in found] == list(AGES)
    assert [r["model"]["words_seen"] for r in found] == list(AGES.values())
    values = [r["headline"]["value"] for r in found]
    assert all(later < earlier for earlier, later in itertools.pairwise(values))
    assert values == pytest.approx(surprisals.mean(axis=(1, 2)).tolist(), abs=1e-4)


def test_the_curve_of_surprisal_is_shown(swept, place):
    curve = inside("results", "curve", "out", "--task", "aoa", "--json", cwd=place)
    assert curve.code == 0, curve.err
    points = curve.json["points"]
    assert [point["words_seen"] for point in points] == list(AGES.values())
    assert {point["metric"] for point in points} == {"surprisal"}
    assert points[0]["value"] > points[-1]["value"] + 5


def child_ages() -> dict[str, float]:
    """The month at which a noise-free logistic curve of this data passes one half."""
    shift = [0.3, -1.1, 0.9, 0.0, -0.4, 1.2, -0.8, 0.5, 0.1, -0.2, 0.0]
    return {thing: 18 + rank + shift[rank] for rank, thing in enumerate(THINGS[:-1]) if rank != 3}


def sigmoid(x, a, b, c, d):
    return a / (1 + np.exp(-b * (x - c))) + d


def by_hand(surprisals: np.ndarray, protocol: str, grown: Path) -> tuple[float, list[str]]:
    """Pearson's r by a plain script, and the words that entered."""
    tokenizer = AutoTokenizer.from_pretrained(grown / "chck_50K")
    words = np.array(list(AGES.values()))
    pairs = {}
    for j, thing in enumerate(THINGS):
        table = surprisals[:, j]
        if protocol == "babylm-2025":
            x, y = np.repeat(np.log10(words + 1), len(PLACES)), -table.ravel()
            ceiling, bounds, most = math.log2(300_000), (-np.inf, np.inf), 1000
        else:
            x, y = np.log10(words + 1), -table.mean(axis=1)
            pieces = len(tokenizer(f"The {thing}")["input_ids"]) - len(tokenizer("The")["input_ids"])
            if protocol == "robust":
                pieces = len(tokenizer(f"a {thing}")["input_ids"]) - len(tokenizer("a")["input_ids"])
            size = len(tokenizer) if protocol == "robust" else tokenizer.vocab_size
            ceiling, r = pieces * math.log(size), np.ptp(y)
            bounds, most = ([0, 0, x.min() - 1, y.min() - 2 * r - 1], [10 * r + 1, 100, x.max() + 1, y.max() + 1]), 20_000
        threshold = -(ceiling + table.min() if protocol == "babylm-2025" else ceiling - y.max()) / 2
        try:
            a, b, c, d = curve_fit(sigmoid, x, y, p0=[np.ptp(y), 1, x.mean(), y.min()], bounds=bounds, maxfev=most)[0]
        except RuntimeError:
            continue
        if thing not in child_ages() or a <= 0 or b <= 0 or not d < threshold < a + d:
            continue
        at = c - math.log(a / (threshold - d) - 1) / b
        if x[0] <= at <= x[-1]:
            pairs[thing] = (at, child_ages()[thing])
    return float(pearsonr(*zip(*pairs.values(), strict=True)).statistic), list(pairs)


@pytest.mark.parametrize("protocol", ["babylm-2025", "babylm-2026", "robust"])
def test_the_correlation_is_that_of_a_plain_script(swept, place, surprisals, grown, protocol):
    result = over_all(swept, protocol)
    expected, words = by_hand(surprisals, protocol, grown)
    table = pd.read_parquet(place / "out" / "run" / "chck_%2A" / "aoa" / "full-causal" / protocol / "items.parquet")
    assert table.loc[table["reason"] == "", "item_id"].tolist() == words
    assert result["headline"]["metric"] == "pearson_r"
    assert result["headline"]["n"] == len(words) >= 5
    assert result["headline"]["value"] == pytest.approx(expected, abs=2e-3)


def test_dropped_words_are_counted_with_the_reason(swept):
    scores = over_all(swept, "robust")["scores"]
    dropped = {score["subset"]: score["value"] for score in scores if score["metric"] == "words_dropped"}
    assert dropped["child: no ages in the table"] == 1
    assert dropped["child: never known by half of the children"] == 1
    (kept,) = [score["value"] for score in scores if score["metric"] == "words"]
    assert kept + sum(dropped.values()) == len(THINGS)


def test_tables_name_the_metric_and_count_in_whole_numbers(swept, place):
    """A checkpoint has a surprisal, all together a correlation; both are 'aoa'."""
    table = inside("results", "show", "out", "--task", "aoa", "--protocol", "robust", cwd=place).out
    rows = [
        line.split()
        for line in table.splitlines()
        if line.lstrip().startswith("aoa ") and "robust" in line and "(robust" not in line
    ]
    assert [row[:3] for row in rows] == [["aoa", "surprisal", "(nats)"]] * len(AGES) + [["aoa", "pearson_r", "full"]]
    scores = over_all(swept, "robust")["scores"]
    dropped = {score["subset"]: score["value"] for score in scores if score["metric"] == "words_dropped"}
    reason, most = max(dropped.items(), key=lambda pair: pair[1])
    note = " ".join(table.split())
    assert f"{sum(dropped.values()):.0f} of {len(THINGS)} words dropped out: " in note
    assert f"{most:.0f} {reason.replace(': ', ' ')}" in note
    shown = inside("results", "show", "out", "--task", "aoa", "--protocol", "robust", "--by", "reason", cwd=place).out
    rows = [line.split() for line in shown.splitlines() if "words_dropped" in line]
    assert {" ".join(row[1:-2]): row[-2:] for row in rows} == {
        name: [f"{count:.0f}", str(len(THINGS))] for name, count in dropped.items()
    }


def test_the_table_of_one_checkpoint_of_a_sweep_and_of_a_model_beside_one(swept, grown, data, place, tmp_path):
    common = ("--tasks", "aoa", "--data-dir", data)
    one = inside("run", "--model", grown, "--revisions", "chck_1K", *common, cwd=tmp_path)
    assert "run, 1 revision, scored as causal" in one.out
    assert "over 1 checkpoint (robust)" in one.err
    assert sum("chck_1K" in line and "aoa" in line and "full" in line for line in one.out.splitlines()) == 2
    beside = inside(
        "run",
        "--model",
        f"run={grown / 'chck_50K'}",
        "--tasks",
        "aoa,wug_adj",
        "--split",
        "mini",
        "--out",
        "beside",
        cwd=tmp_path,
    )
    assert "run (main), scored as causal" in beside.out
    assert "revisions" not in beside.out.splitlines()[0]
    main = inside("run", "--model", f"run={grown / 'chck_50K'}", *common, "--out", "out", cwd=place)
    assert f"run, {len(AGES)} checkpoints together, scored as causal" in main.out


def test_digests_of_the_weights_stand_in_the_record(swept):
    checkpoints = over_all(swept, "robust")["checkpoints"]
    assert [(c["revision"], c["words_seen"]) for c in checkpoints] == list(AGES.items())
    assert len({c["weights"] for c in checkpoints}) == len(AGES), "the weights differ (D36)"


def test_one_checkpoint_has_no_age_of_acquisition_but_finds_that_of_the_sweep(swept, grown, data, place, tmp_path):
    alone = inside("run", "--model", f"{grown / 'chck_3K'}", "--tasks", "aoa", "--data-dir", data, "--json", cwd=tmp_path)
    assert alone.code == 0
    (result,) = alone.json["results"]
    assert result["status"] == "not_applicable"
    assert "--revisions" in result["error"]
    last = inside(
        "run", "--model", f"run={grown / 'chck_50K'}", "--tasks", "aoa", "--data-dir", data, "--out", "out", "--json", cwd=place
    )
    assert last.code == 0, last.err
    assert last.json["results"] == [over_all(swept, "robust")]


def test_too_few_checkpoints_are_told(grown, data, tmp_path):
    done = inside("run", "--model", grown, "--revisions", "chck_?K", "--tasks", "aoa", "--data-dir", data, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    result = done.json["results"][-1]
    assert (result["status"], result["model"]["revision"]) == ("not_applicable", "chck_?K")
    assert "at least 4 checkpoints" in result["error"]
    assert "there are 3" in result["error"]


def test_missing_table_of_children(grown, data, tmp_path):
    folder = tmp_path / "data" / "full_eval" / "aoa"
    folder.mkdir(parents=True)
    (folder / "cdi_childes.json").write_bytes((data / "full_eval" / "aoa" / "cdi_childes.json").read_bytes())
    done = inside(
        "run", "--model", grown, "--revisions", "chck_?K", "--tasks", "aoa", "--data-dir", tmp_path / "data", cwd=tmp_path
    )
    assert done.code == 3
    assert "cdi_human.csv" in done.out + done.err


def test_a_revision_that_does_not_exist(grown, data, tmp_path):
    done = inside("run", "--model", grown, "--revisions", "step_*", "--tasks", "aoa", "--data-dir", data, cwd=tmp_path)
    assert_refused(done, 3, "chck_12K")
