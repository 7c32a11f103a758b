"""What a new user meets: missing and damaged records, names that fit nothing, and what tables, texts and figures must say."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from stored import ranking, rating

import babyeval
from babyeval.comparison.figure import write_box_plots
from babyeval.comparison.latex import latex_table
from babyeval.comparison.select import near_chance
from babyeval.curve import learning_curve
from babyeval.curve_figure import write_figure
from babyeval.errors import MissingError, UsageError
from babyeval.store import ResultStore


def credits_of(seed: int, share: float = 0.6, subsets: int = 12) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {f"s{g}": [float(rng.random() < share) for _ in range(20)] for g in range(subsets)}


def trained(root: Path, *conditions: str, seeds: int = 3) -> None:
    """Models of conditions that differ, with blimp and wug_adj."""
    for i, condition in enumerate(conditions):
        for seed in range(seeds):
            of = {"condition": condition, "train_seed": seed}
            ranking(root, f"{condition}-{seed}", credits_of(10 * i + seed, 0.4 + 0.2 * i), of=of)
            rng = np.random.default_rng(10 * i + seed)
            rating(
                root,
                f"{condition}-{seed}",
                list(rng.random(20) * (i + 1) + np.linspace(0, 1, 20)),
                list(np.linspace(0, 1, 20)),
                of=of,
            )


def break_record(root: Path, model: str, task: str) -> Path:
    (path,) = root.glob(f"{model}/**/{task}/**/result.json")
    path.write_text("{", encoding="utf-8")
    return path


def test_a_damaged_record_is_told_wherever_seeds_are_counted(tmp_path) -> None:
    trained(tmp_path, "it_a", "it_b")
    break_record(tmp_path, "it_a-0", "blimp")
    report = babyeval.compare(tmp_path, by="condition")
    blimp, wug = sorted(report.rows, key=lambda row: row.task)
    assert (blimp.lacking, blimp.seeds_a, wug.lacking, wug.seeds_a) == (("it_a-0",), 2, (), 3)
    assert "5 seeds (2 + 3), without it_a-0" in blimp.sentence
    assert "only 2 against 3 seeds on blimp (without it_a-0)" in report.paragraphs[0]
    assert "it_a: 3 training seeds (0, 1, 2); blimp without it_a-0." in report.choices
    assert "it_b: 3 training seeds (0, 1, 2)." in report.choices
    table, *_ = latex_table(report).split("\n% ")
    assert r"blimp: without it\_a-0, which has no value" in table


def test_a_damaged_record_is_the_reason_that_is_given(tmp_path) -> None:
    trained(tmp_path, "a", "b", seeds=1)
    path = break_record(tmp_path, "a-0", "blimp")
    for names, error in ((("a-0", "b-0"), MissingError), (("c-0", "b-0"), UsageError)):
        with pytest.raises(error) as refused:
            babyeval.compare(tmp_path, *names, tasks="blimp")
        assert f"({path}): delete it and run that task again" in refused.value.where


def test_of_many_damaged_records_the_first_are_named(tmp_path) -> None:
    trained(tmp_path, "a", "b", seeds=4)
    paths = sorted(break_record(tmp_path, f"{name}-{seed}", "blimp") for name in "ab" for seed in range(4))
    with pytest.raises(UsageError) as refused:
        babyeval.compare(tmp_path, "a-0", "b-0", tasks="blimp")  # reads these two alone
    assert refused.value.where.count("delete it") == 2
    assert "more damaged" not in refused.value.where
    with pytest.raises(UsageError) as refused:
        babyeval.compare(tmp_path, "c-0", "b-0", tasks="blimp")
    assert [str(path) in refused.value.where for path in paths] == [True] * 5 + [False] * 3
    assert refused.value.where.endswith("; and 3 more damaged records ('babyeval results list' names all)")


def test_names_that_fit_nothing_are_explained(tmp_path) -> None:
    trained(tmp_path, "merged", "switched", seeds=2)
    for names, options, said in (
        (["merged", "switched"], {}, "'merged' is a condition: add --by condition."),
        (["merged-0", "switched"], {"level": "seeds"}, "'merged-0' is a model of the condition 'merged'"),
        (["mergd", "switched"], {"by": "condition"}, "Did you mean 'merged'?"),
        (["merged-0", "switchd-0"], {}, "Did you mean 'switched-0'?"),
        ([], {"by": "condition", "contrasts": ["mergd against switched"]}, "Did you mean 'merged'?"),
        ([], {"by": "condition", "factors": ["f=x:merged,switched"]}, "Give two levels"),
    ):
        with pytest.raises(UsageError) as refused:
            babyeval.compare(tmp_path, *names, **options)
        assert said in refused.value.hint
    for names, options in ((["merged-0"] * 2, {}), (["merged"] * 2, {"by": "condition"})):
        with pytest.raises(UsageError, match="was named twice"):
            babyeval.compare(tmp_path, *names, **options)


def test_a_baseline_needs_no_names_however_many_models_there_are(tmp_path) -> None:
    for seed in range(8):
        ranking(tmp_path, f"m{seed}", credits_of(seed))
    report = babyeval.compare(tmp_path, baseline="m3")
    assert {(row.a, row.b) for row in report.rows} == {(f"m{seed}", "m3") for seed in range(8) if seed != 3}
    assert repr(report) == "<CompareReport: 7 rows, 7 pairs>"
    with pytest.raises(UsageError, match="8 models, too many"):
        babyeval.compare(tmp_path)


def test_latex_has_two_families_and_comments_that_may_be_uncommented(tmp_path) -> None:
    trained(tmp_path, "it_a", "it_b", "it_c")
    report = babyeval.compare(tmp_path, by="condition", contrasts=["it_a,it_b against it_c"])
    out = latex_table(report)
    lines = out.splitlines()
    for planned, what in ((False, "Pairs"), (True, "Planned contrasts")):
        family = next(row.family for row in report.rows if bool(row.contrast) == planned)
        head = rf"\multicolumn{{6}}{{l}}{{\textit{{{what}}}: $p$ Holm-adjusted over {family}}} \\"
        assert lines[lines.index(head) - 1] == r"\midrule"
    assert r"{A: the mean of it\_a and it\_b; B: it\_c}" in out
    comments = [line.removeprefix("% ") for line in lines if line.startswith("%")]
    assert len(comments) == len(report.choices) + len(report.paragraphs)
    assert all(not re.search(r"(?<!\\)[%_&#]", text) for text in comments)
    assert any(r"$^{\dagger}$" in line and line.startswith(r"\par") for line in lines)
    assert r"wug\_adj (Spearman's rho) & " in out


def test_paragraphs_name_the_metric_and_say_the_minimum_once(tmp_path) -> None:
    trained(tmp_path, "a", seeds=4)
    for i, condition in enumerate("bc"):
        for seed in range(4):
            of = {"condition": condition, "train_seed": seed}
            ranking(tmp_path, f"{condition}-{seed}", credits_of(50 + 10 * i + seed, 0.4), of=of)
            rng = np.random.default_rng(90 + 10 * i + seed)
            rating(tmp_path, f"{condition}-{seed}", list(rng.random(20)), list(np.linspace(0, 1, 20)), of=of)
    report = babyeval.compare(tmp_path, "b", "c", by="condition")
    (said,) = report.paragraphs
    assert said.startswith("No difference between b and c was found on blimp (")
    assert "wug_adj (Spearman's rho " in said
    assert said.count("80% power") == 1
    blimp, wug = sorted(report.rows, key=lambda row: row.task)
    assert f"(unadjusted 5% level): blimp {blimp.mde:.2f} points and wug_adj {wug.mde:.3f};" in said
    asked = babyeval.compare(tmp_path, by="condition", contrasts=["b,c against a"], tasks="blimp")
    assert asked.paragraphs[-1][0].isupper() or asked.paragraphs[-1].startswith("a ")
    assert "adjusted over the family" not in asked.paragraphs[-1], "of one test"


def test_max_t_is_named_in_english(tmp_path) -> None:
    for seed, name in enumerate("abc"):
        ranking(tmp_path, name, credits_of(seed))
    report = babyeval.compare(tmp_path, correction="maxt")
    assert all("p-values are adjusted by max-T over sign flips within the family of 3 tests" in p for p in report.paragraphs)


def test_one_seed_has_a_reason_and_a_next_step(tmp_path) -> None:
    trained(tmp_path, "a", "b", seeds=1)
    report = babyeval.compare(tmp_path, by="condition")
    assert "with one seed: train each condition with 4 seeds or more)" in report.paragraphs[0]
    assert report.lost is None, "more seeds are no lost file"


def test_lost_items_are_told_apart_from_tests_that_are_undefined(tmp_path) -> None:
    for seed, name in enumerate("ab"):
        ranking(tmp_path, name, credits_of(seed))
    assert babyeval.compare(tmp_path).lost is None
    (path,) = tmp_path.glob("a/**/items.parquet")
    path.unlink()
    report = babyeval.compare(tmp_path)
    assert str(path) in report.lost
    assert report.paragraphs[0].startswith("No test is possible on blimp (the table of items of 'a' is not there")


@pytest.mark.parametrize(("low", "high", "near"), [(49.0, 52.0, True), (50.5, 53.0, False), (None, None, False)])
def test_models_at_chance_are_called_so(tmp_path, low, high, near) -> None:
    results = []
    for name, ends in (("a", (48.0, 51.0)), ("b", (low, high))):
        made = ranking(tmp_path, name, credits_of(ord(name)))
        headline = made.headline.model_copy(update={"ci_low": ends[0], "ci_high": ends[1]})
        results.append(made.model_copy(update={"headlines": (headline,)}))
        ResultStore(tmp_path).write(results[-1], None)
    assert (near_chance(results, "") is not None) is near
    (row,) = babyeval.compare(tmp_path).rows
    assert ("near chance" in (row.note or "")) is near


def test_the_figure_of_two_conditions_has_points_alone_and_says_what_it_rests_on(tmp_path) -> None:
    trained(tmp_path, "a", "b", "c")
    for task in ("ewok", "comps"):
        for condition in "abc":
            for seed in range(3):  # conditions that differ in nothing but noise
                of = {"condition": condition, "train_seed": seed}
                ranking(tmp_path, f"{condition}-{seed}", credits_of(ord(condition) + seed * 7), of=of, task=task)
    for names, said, boxes in ((("a", "b"), "of two conditions every z is 0.707 or -0.707", False), (("a", "b", "c"), "", True)):
        z = babyeval.compare(tmp_path, *names, by="condition").z
        write_box_plots(z, tmp_path / "z.svg")
        drawn = " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", (tmp_path / "z.svg").read_text()))
        kept = len(set(z.found.families.values()))
        assert f"{kept} famil{'y' if kept == 1 else 'ies'} of tasks" in drawn
        assert said in drawn
        assert ("boxes: families of tasks" in drawn) is boxes
        assert all(task in drawn for task in z.found.left_out)


def test_names_are_no_formulas_in_figures(tmp_path) -> None:
    """A dollar sign begins a formula in matplotlib, and an underscore hides a label from the legend."""
    trained(tmp_path / "z", "lr=$x_$", "b", "c")
    write_box_plots(babyeval.compare(tmp_path / "z", by="condition").z, tmp_path / "z.svg")
    assert ">lr=$x_$<" in (tmp_path / "z.svg").read_text()
    for name in ("$x_$", "_hidden"):
        for words in (1000, 2000):
            ranking(tmp_path / "curve", name, credits_of(words), of={"revision": f"chck_{words}", "words_seen": words})
    write_figure(learning_curve(tmp_path / "curve", "blimp"), tmp_path / "curve.svg")
    drawn = (tmp_path / "curve.svg").read_text()
    assert all(f">{name}<" in drawn for name in ("$x_$", "_hidden"))


def test_a_record_of_a_later_version_is_named_and_not_to_be_deleted(tmp_path) -> None:
    trained(tmp_path, "a", "b", seeds=1)
    trained(tmp_path, "later", seeds=1)
    path = break_record(tmp_path, "later-0", "blimp")
    path.write_text('{"schema_version": 99}', encoding="utf-8")
    report = babyeval.compare(tmp_path, "a-0", "b-0")
    assert not [note for note in report.warnings if "99" in note]  # not read
    (said,) = [note for note in babyeval.compare(tmp_path, tasks="wug_adj").warnings if str(path) in note]
    assert "schema 99 is newer" in said
    assert "update babyeval" in said
    assert "delete" not in said


def test_another_models_records_do_not_pass_for_ones_own(tmp_path) -> None:
    """Two who named their models alike put their results side by side: the other's would fill what one's own lacks."""
    ranking(tmp_path / "mine", "seed_0", credits_of(1))
    ranking(tmp_path / "mine", "seed_1", credits_of(2))
    ranking(tmp_path / "mine", "seed_1", credits_of(2), task="ewok")
    ranking(tmp_path / "theirs", "seed_0", credits_of(3), task="ewok", of={"digest": "another"})
    shutil.copytree(tmp_path / "theirs" / "seed_0", tmp_path / "mine" / "theirs")
    report = babyeval.compare(tmp_path / "mine")
    assert [row.task for row in report.rows] == ["blimp"]
    assert [note for note in report.warnings if "a name that is not its own: it is of 'seed_0' at 'main'" in note]
    with pytest.raises(UsageError, match="There is no model 'theirs'") as refused:
        babyeval.compare(tmp_path / "mine", "theirs", "seed_1")
    assert "--model NAME=PATH" in refused.value.where
    shutil.move(tmp_path / "mine" / "theirs" / "main" / "ewok", tmp_path / "mine" / "seed_0" / "main" / "ewok")
    with pytest.raises(UsageError) as refused:
        babyeval.compare(tmp_path / "mine", "seed_0", "seed_1")
    assert "The records of 'seed_0' at 'main' are of 2 models" in refused.value.where
