"""The sizes that the official collation expects, against the specification and the real files; and reading reports."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from babyeval.errors import DataError
from babyeval.official.reports import parse_report, report_scores
from babyeval.official.sizes import expected_sizes, expected_total, size_problem, task_of_sizes
from babyeval.registry import get_task
from export.official_data import COMPS, ENTITY, EWOK, SUPPLEMENT
from export.official_files import report_text

pytestmark = pytest.mark.usefixtures("official_sizes")


def test_tables_are_those_of_the_specification():
    blimp = expected_sizes("babylm-2026", "blimp", "full")
    assert (len(blimp), sum(blimp.values()), min(blimp.values()), max(blimp.values())) == (67, 59_875, 681, 986)
    assert expected_sizes("babylm-2025", "blimp_supplement", "full") == SUPPLEMENT
    assert expected_sizes("babylm-2025", "ewok", "full") == EWOK
    comps = {stem.removeprefix("comps_").replace("-", "_"): n for stem, n in COMPS.items()}
    assert expected_sizes("babylm-2026", "comps", "full") == comps
    for which, (year, total) in enumerate((("babylm-2025", 9483), ("babylm-2026", 6780))):
        entity = {f"{split}_{i}_ops": n for split, sizes in ENTITY.items() for i, n in enumerate(sizes[which])}
        assert expected_sizes(year, "entity_tracking", "full") == entity
        assert sum(entity.values()) == total
        regular = {uid: n for uid, n in entity.items() if uid.startswith("regular")}
        assert expected_sizes(year, "entity_tracking", "fast") == regular
    totals = {"wug_adj": 200, "wug_past": 50, "global_piqa_parallel": 103, "global_piqa_nonparallel": 100, "comps": 91_028}
    assert {task: expected_total("babylm-2026", task, "full") for task in totals} == totals


@pytest.mark.parametrize(
    ("folder", "task", "split"),
    [
        ("full_eval/blimp_filtered", "blimp", "full"),
        ("full_eval/supplement_filtered", "blimp_supplement", "full"),
        ("fast_eval/blimp_fast", "blimp", "fast"),
        ("fast_eval/supplement_fast", "blimp_supplement", "fast"),
    ],
)
def test_real_files_have_these_sizes(folder, task, split, shared):
    counts = Counter()
    for path in (shared / "evaluation_data" / folder).glob("*.jsonl"):
        counts.update(json.loads(line).get("UID", path.stem) for line in path.read_text(encoding="utf-8").splitlines())
    assert size_problem(counts, "babylm-2026", task, split) is None
    assert task_of_sizes(counts, "babylm-2025") == (task, split)
    if task == "blimp":
        assert "principle_A_c_command" in counts  # compared in lower case


@pytest.mark.parametrize(
    ("counts", "task", "problem"),
    [
        ({**SUPPLEMENT, "hypernym": 841}, "blimp_supplement", "'hypernym' holds 841 predictions, and 842 are expected"),
        ({k: n for k, n in SUPPLEMENT.items() if k != "hypernym"}, "blimp_supplement", "'hypernym' holds 0 predictions, and 842"),
        ({**SUPPLEMENT, "more": 1}, "blimp_supplement", "'more' holds 1 predictions, and 0 are expected"),
        ({"a": 100, "b": 100}, "wug_adj", "it holds 200 predictions of 2 UIDs, and 200 are expected"),
        ({f"e{i}": 1 for i in range(99)}, "global_piqa_nonparallel", "it holds 99 examples, and 100 are expected"),
        (
            {f"e{i}": 1 + (i == 4) for i in range(100)},
            "global_piqa_nonparallel",
            "the example 'e4' has 2 predictions instead of 1",
        ),
    ],
)
def test_wrong_sizes_are_put_in_words(counts, task, problem):
    assert (size_problem(counts, "babylm-2026", task) or "").startswith(problem)


def test_report_of_a_correlation():
    card = get_task("wug_adj").card
    report = parse_report(report_text(0.58, {"avg": 0.58}, metric="SPEARMAN'S RHO"), "report")
    (score,) = report_scores(card, report, "babylm-2025", "full", {})
    assert (score.value, score.n, score.metric, score.unit) == (0.58, 200, card.metric, "correlation")


def test_report_without_a_number_is_undefined_not_zero():
    """A constant model has no correlation (D31)."""
    report = parse_report(report_text(float("nan"), {}), "report")
    assert report.average is None
    (score,) = report_scores(get_task("wug_adj").card, report, "babylm-2025", "full", {})
    assert score.value is None
    with pytest.raises(DataError, match="no average"):
        parse_report("TEMPERATURE: 1.00\n", "report")


def test_report_by_example_gives_the_whole_alone():
    """Global PIQA's reports list every example as a UID of its own (D35)."""
    report = parse_report(report_text(61.0, {f"piqa_{i}": 100.0 for i in range(100)}), "report")
    scores = report_scores(get_task("global_piqa_nonparallel").card, report, "babylm-2026", "full", {})
    assert [(score.value, score.n) for score in scores] == [(61.0, 100)]
