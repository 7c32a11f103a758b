"""bfloat16 is checked, not trusted: what could be decided otherwise is scored again in float32, and the record says so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import babyeval
from babyeval.errors import UsageError
from babyeval.models import load
from babyeval.records import TaskResult
from babyeval.run import precision

EXACT = 2e-5  # nats per candidate: what float32 differs by between batches


@pytest.fixture(autouse=True)
def _small_samples(monkeypatch):
    """The bundled sets would fit into one sample, which would leave nothing to decide."""
    monkeypatch.setattr(precision, "_SAMPLE", 20)


def table_of(out: Path, result: TaskResult) -> pd.DataFrame:
    (path,) = out.glob(f"*/*/{result.task.name}/*/{result.protocol}/items.parquet")
    return pd.read_parquet(path).set_index("item_id")


def margins(table: pd.DataFrame) -> np.ndarray:
    return np.array([scores[0] - scores[1] for scores in table.scores])


@pytest.fixture(scope="module")
def runs(tiny_folder, tmp_path_factory) -> dict[str, tuple[Path, list[TaskResult]]]:
    """The same questions in both precisions, each with a cache of its own."""
    done = {}
    for dtype in ("float32", "bfloat16"):
        out = tmp_path_factory.mktemp(dtype)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(precision, "_SAMPLE", 20)
            patch.setenv("BABYEVAL_CACHE", str(out / "cache"))
            tasks = ["blimp", "blimp_supplement"]
            folder = tiny_folder("llama", "bos", positions=128)
            results = babyeval.evaluate(folder, tasks, split="mini", protocol="all", dtype=dtype, out=out / "results")
        done[dtype] = (out / "results", results)
    return done


def pairs(runs) -> list[tuple[TaskResult, pd.DataFrame, pd.DataFrame]]:
    (exact_out, exact), (rounded_out, rounded) = runs["float32"], runs["bfloat16"]
    return [(r, table_of(rounded_out, r), table_of(exact_out, e)) for r, e in zip(rounded, exact, strict=True)]


def test_the_record_is_complete(runs):
    for result in runs["bfloat16"][1]:
        assert result.status == "done"
        found = result.provenance.precision
        assert result.provenance.dtype == "bfloat16"
        assert found.sampled == 20
        assert 0 < found.error_p999 < 5
        assert found.threshold == pytest.approx(4 * found.error_p999)
        assert found.rescored > 0
        assert found.audited > 0
        assert found.sampled + found.rescored + found.audited <= result.counts.items
        assert found.audit_differs == 0
    for result in runs["float32"][1]:
        assert (result.provenance.dtype, result.provenance.precision) == ("float32", None)


def test_what_lies_near_the_boundary_has_its_float32_scores(runs):
    for result, rounded, exact in pairs(runs):
        error = np.array([np.abs(a - b).max() for a, b in zip(rounded.scores, exact.scores, strict=True)])
        recomputed = error < EXACT
        found = result.provenance.precision
        assert (np.abs(margins(rounded))[~recomputed] > found.threshold).all()
        assert recomputed.sum() >= found.sampled + found.rescored + found.audited
        assert (error[~recomputed] > EXACT).any() or recomputed.all()


def test_decisions_are_those_of_float32(runs):
    for _, rounded, exact in pairs(runs):
        assert list(rounded.index) == list(exact.index)
        assert rounded.prediction.equals(exact.prediction)
        assert rounded.value.equals(exact.value)


def test_the_measured_error_is_the_error_of_a_sample(runs, tiny_folder, tmp_path, monkeypatch):
    """With a sample of everything, the 99.9th percentile can be counted from the tables."""
    monkeypatch.setattr(precision, "_SAMPLE", 1000)
    rows_of, kept = precision.rows_of, []

    def remembering(*args):
        rows = rows_of(*args)
        kept.append([list(answers) for answers in rows])
        return rows

    monkeypatch.setattr(precision, "rows_of", remembering)
    folder = tiny_folder("llama", "bos", positions=128)
    (result,) = babyeval.evaluate(folder, ["blimp"], split="mini", dtype="bfloat16", out=tmp_path / "out")
    coarse = np.array([answers[0].total - answers[1].total for answers in kept[0]])
    exact = margins(table_of(tmp_path / "out", result))
    found = result.provenance.precision
    assert (found.sampled, found.rescored, found.audited) == (88, 0, 0)
    assert found.error_p999 == pytest.approx(np.quantile(np.abs(coarse - exact), 0.999), rel=1e-3)


def test_a_model_that_breaks_in_bfloat16_is_scored_in_float32_throughout(tiny_folder, tmp_path, monkeypatch, runs):
    def broken(model):
        copy = rounded_copy(model)
        copy.lm_head.weight.data[5] = torch.nan
        return copy

    rounded_copy = load.rounded_copy
    monkeypatch.setattr(load, "rounded_copy", broken)
    folder = tiny_folder("llama", "bos", positions=128)
    (result,) = babyeval.evaluate(folder, ["blimp"], split="mini", dtype="bfloat16", out=tmp_path)
    found = result.provenance.precision
    assert (found.error_p999, found.threshold) == (None, None)
    assert (found.sampled, found.rescored, found.audited, found.audit_differs) == (20, 68, 0, 0)
    exact = next(e for e in runs["float32"][1] if (e.task.name, e.protocol) == ("blimp", "robust"))
    scores = zip(table_of(tmp_path, result).scores, table_of(runs["float32"][0], exact).scores, strict=True)
    assert max(np.abs(a - b).max() for a, b in scores) < EXACT


def test_samples_depend_on_item_ids_only(runs):
    """Two protocols over one set sample the same items, so that rows are shared."""
    by_task: dict[str, set] = {}
    for result in runs["bfloat16"][1]:
        found = result.provenance.precision
        by_task.setdefault(result.task.name, set()).add((found.sampled, found.error_p999, found.rescored))
    assert all(len(seen) == 1 for seen in by_task.values())


def test_values_are_always_computed_in_float32(tiny_folder, tmp_path, monkeypatch):
    """A task that decides nothing must not be rounded, whatever was asked; and its record must say float32."""
    from babyeval.registry import get_task

    monkeypatch.setattr(type(get_task("blimp")), "decides", False)
    folder = tiny_folder("llama", "bos", positions=128)
    options = {"split": "mini", "out": tmp_path / "out"}
    (rounded,) = babyeval.evaluate(folder, ["blimp"], dtype="bfloat16", **options)
    values = table_of(tmp_path / "out", rounded).scores.map(tuple)
    assert rounded.provenance.precision is None
    monkeypatch.setenv("BABYEVAL_CACHE", str(tmp_path / "other"))
    (exact,) = babyeval.evaluate(folder, ["blimp"], fresh=True, **options)
    assert np.abs(np.stack(values) - np.stack(table_of(tmp_path / "out", exact).scores)).max() < EXACT
    assert rounded.provenance.dtype == "float32"


def test_masked_models_are_checked_in_the_same_way(tiny_folder, tmp_path):
    folder = tiny_folder("bert", "cls_sep", positions=128)
    options = {"split": "mini", "limit": 24}
    (rounded,) = babyeval.evaluate(folder, ["blimp"], dtype="bfloat16", out=tmp_path / "b", **options)
    (exact,) = babyeval.evaluate(folder, ["blimp"], out=tmp_path / "f", **options)
    assert rounded.provenance.precision.sampled == 20
    assert table_of(tmp_path / "b", rounded).value.equals(table_of(tmp_path / "f", exact).value)


def test_an_unknown_precision_is_refused(tiny_folder, tmp_path):
    with pytest.raises(UsageError, match="dtype"):
        babyeval.evaluate(tiny_folder("llama", "bos"), ["blimp"], split="mini", dtype="float16", out=tmp_path)
