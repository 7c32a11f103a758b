"""What the page knows is what the records and `babyeval compare` say."""

from __future__ import annotations

import json

import numpy as np
import pytest
from babyeval.leaderboard import pairs as pairs_module
from babyeval.leaderboard.about import how_scored, protocol_table, recipe_of
from babyeval.leaderboard.build import make_payload
from babyeval.leaderboard.payload import PAIR_FIELDS, embedded
from babyeval.leaderboard.read import read_board
from boards import BLIMP, HOSTILE, a_model, bare, credits, fit, provenance, ranking, whole, write
from page_support import holm
from scipy.stats import t as student
from scipy.stats import ttest_1samp

from babyeval.comparison.compare import compare
from babyeval.protocols import PROTOCOLS
from babyeval.records import DataInfo, ImportedFrom
from babyeval.registry import get_task
from babyeval.store import ResultStore

FINETUNE = ("boolq", "mnli", "mrpc", "multirc", "qqp", "rte", "wsc")


def payload_of(folder, **choice):
    return make_payload(read_board(folder, **choice), "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four models on a task of every kind, of unlike ability."""
    root = tmp_path_factory.mktemp("board")
    for seed, (name, ability) in enumerate(zip(HOSTILE, (0.55, 0.6, 0.85, 0.86), strict=True)):
        write(root, *whole(a_model(name), seed, ability))
    return root


@pytest.fixture(scope="module")
def payload(folder):
    return payload_of(folder)


def test_every_number_is_the_records(folder, payload):
    seen = 0
    numbers = {(model.name, model.revision): model.id for model in payload.models}
    tasks = {task.id: task for task in payload.tasks}
    for result in ResultStore(folder).results():
        model = numbers[result.model.name, result.model.revision]
        for score in result.headlines:
            key = f"{result.task.name}:{score.subset}" if score.subset else result.task.name
            cell = payload.scores[key][model]
            told = (cell.value, cell.low, cell.high, cell.se, cell.method, cell.n, cell.clusters, cell.chance, cell.note)
            of = (score.value, score.ci_low, score.ci_high, score.se, score.se_method, score.n, score.n_clusters, score.chance)
            assert told == (*of, score.note)
            seen += 1
            if result.task.strata:
                own = {one.subset: one for one in result.scores if one.group == result.task.strata}
                assert len(own) == len(tasks[result.task.name].strata) >= 5
                for place, name in enumerate(tasks[result.task.name].strata):
                    one, n = own[name], cell.strata.n or tasks[result.task.name].strata_n
                    assert cell.strata.value[place] == pytest.approx(one.value, rel=1e-9)
                    ends = (cell.strata.low[place], cell.strata.high[place])
                    assert ends == pytest.approx((one.ci_low, one.ci_high), rel=1e-5)
                    assert n[place] == one.n
            else:
                assert cell.strata is None
            if result.fit:
                assert [(seed.seed, seed.value) for seed in cell.fit.seeds] == [(f.seed, f.value) for f in result.fit.fits]
                assert cell.fit.mde == result.fit.mde
                assert cell.variants["f1"] == next(s.value for s in result.scores if (s.metric, s.group) == ("f1", ""))
                assert "mcc (correlation)" in cell.variants
    assert seen == sum(map(len, payload.scores.values())) == 4 * 6


def test_columns_and_groups(payload):
    assert [group.key for group in payload.groups] == ["finetune", "zero-shot", "reading"]
    columns = [column.key for task in payload.tasks for column in task.headlines]
    assert columns == ["rte", "blimp", "blimp_supplement", "wug_adj", "reading:eye_tracking", "reading:self_paced"]
    assert {task.id: task.test for task in payload.tasks} == {
        **dict.fromkeys(("rte", "blimp_supplement", "wug_adj", "reading"), "shipped"), "blimp": "subsets",
    }  # fmt: skip


def test_shipped_pairs_are_those_of_compare(folder, payload):
    names = {model.name: model.id for model in payload.models}
    rows = compare(folder, HOSTILE[0], HOSTILE[2], HOSTILE[3]).rows
    checked = 0
    for row in rows:
        key = f"{row.task}:{row.subset}" if row.subset else row.task
        if key == "blimp":
            assert key not in payload.pairs
            continue
        column, (a, b) = payload.pairs[key], (names[row.a], names[row.b])
        found = dict(zip(PAIR_FIELDS, column.rows[f"{min(a, b)}-{max(a, b)}"], strict=True))
        sign = 1 if a < b else -1
        ends = sorted(sign * end for end in (row.ci_low, row.ci_high))
        assert found["difference"] == pytest.approx(sign * row.difference, rel=1e-9)
        if row.test != "paired bootstrap":  # whose quantiles are not the same with all signs turned round
            assert [found["low"], found["high"]] == pytest.approx(ends, rel=1e-9)
            assert found["p"] == pytest.approx(row.p, rel=1e-9)
        assert (found["n"], found["clusters"]) == (row.n, row.clusters)
        wins = (row.wins, row.losses, row.ties) if sign == 1 else (row.losses, row.wins, row.ties)
        assert (found["wins"], found["losses"], found["ties"]) == wins
        about = {"test": column.test, "unit": column.unit, "claim": column.claim, **column.notes.get(f"{a}-{b}", {})}
        assert (about["test"], about["unit"], about["claim"]) == (row.test, row.unit, row.claim)
        assert column.unit_of_value == row.unit_of_value
        checked += 1
    assert checked == 3 * 5


def test_best_and_all_that_are_not_significantly_worse(tmp_path):
    rng = np.random.default_rng(5)
    for number, share in enumerate((0.9, 0.87, 0.8, 0.6, 0.5)):
        write(tmp_path, ranking("blimp", a_model(f"m{number}"), credits(rng, share, BLIMP, items=30)))
    payload = payload_of(tmp_path)
    means = {model.id: np.array(payload.scores["blimp"][model.id].strata.value) for model in payload.models}
    top = max(means, key=lambda number: means[number].mean())
    others = [number for number in means if number != top]
    adjusted = holm([float(ttest_1samp(means[top] - means[number], 0).pvalue) for number in others])
    expected = sorted([top, *(number for number, p in zip(others, adjusted, strict=True) if p >= 0.05)])
    assert payload.best == {"blimp": expected}
    assert 1 < len(expected) < 5


def test_best_of_shipped_columns_follows_their_tests(payload):
    column = payload.pairs["rte"]
    values = {number: cell.value for number, cell in payload.scores["rte"].items()}
    top = max(values, key=values.get)
    others = [number for number in values if number != top]
    p = [column.rows[f"{min(top, other)}-{max(top, other)}"][PAIR_FIELDS.index("p")] for other in others]
    expected = sorted([top, *(other for other, value in zip(others, holm(p), strict=True) if value >= 0.05)])
    assert payload.best["rte"] == expected
    assert len(expected) < 4


def test_where_a_lower_one_has_no_test_none_is_best(tmp_path):
    values = {"wug_adj": (0.5, 0.5, 0.4), "wug_past": (0.5, 0.5, 0.5)}
    for task, given in values.items():
        write(tmp_path, *(bare(task, a_model(name), value) for name, value in zip("abc", given, strict=True)))
    payload = payload_of(tmp_path)
    assert payload.best == {"wug_past": [0, 1, 2]}  # whose values are equal
    row = dict(zip(PAIR_FIELDS, payload.pairs["wug_adj"].rows["0-2"], strict=True))
    assert (round(row["difference"], 9), row["p"]) == (0.1, None)
    assert "names no table" in payload.pairs["wug_adj"].notes["0-2"]["note"]


def test_above_the_limit_no_pairs_but_the_command_and_the_same_best(folder, payload, monkeypatch):
    monkeypatch.setattr(pairs_module, "MOST", 3)
    many = payload_of(folder)
    assert many.pairs == {}
    assert "babyeval compare A B" in many.pairs_note
    assert payload.pairs_note is None
    assert many.best == payload.best


@pytest.mark.parametrize(("clusters", "others", "spared"), [(3, 1, False), (200, 199, True), (30, 199, True), (5, 199, False)])
def test_a_test_is_spared_only_where_few_clusters_leave_no_doubt(tmp_path, clusters, others, spared):
    """Eight standard errors of a difference are p = .015 at two degrees of freedom, and not 0."""
    write(tmp_path, *(ranking("comps", a_model(name), {"a": [1.0, 0.0]}) for name in "ab"))
    records = tuple(ResultStore(tmp_path).results())
    base = payload_of(tmp_path).scores["comps"][0]
    cells = tuple(base.model_copy(update={"value": v, "se": 1.0, "clusters": clusters}) for v in (80.0, 80.0 - 12 * 2**0.5))
    task = payload_of(tmp_path).tasks[0]
    found = pairs_module._obvious(task, records, cells, others)
    p = 2 * student.sf(12 / 1.5, clusters - 1)
    assert (found is not None) == spared == (p * others < 1e-3)
    if found:
        assert found == (pytest.approx(p), pytest.approx(12 * 2**0.5))
    assert pairs_module._obvious(task.model_copy(update={"family": "fit"}), records, cells, 1) is None


def test_rounded_subsets_of_an_official_report_carry_no_test(tmp_path):
    rng = np.random.default_rng(2)
    for name, share in (("a", 0.9), ("b", 0.7), ("report", 0.5)):
        record, table = ranking("blimp", a_model(name), credits(rng, share, BLIMP, items=30))
        if name == "report":
            file = ImportedFrom(file="/home/someone/best_temperature_report.txt", sha256="e" * 64, format="report")
            record, table = record.model_copy(update={"imported": file, "items": None}), None
        write(tmp_path, (record, table))
    payload = payload_of(tmp_path)
    assert [payload.scores["blimp"][number].rounded for number in range(3)] == [False, False, True]
    assert payload.best == {}
    assert payload.models[2].imported == "best_temperature_report.txt"
    assert compare(tmp_path, "a", "report").rows[0].p is None


def test_undefined_is_null_with_a_reason(tmp_path):
    write(tmp_path, bare("wug_adj", a_model("a"), None), bare("wug_adj", a_model("b"), 0.2))
    payload = payload_of(tmp_path)
    assert payload.scores["wug_adj"][0].value is None
    assert payload.scores["wug_adj"][0].note == "it is undefined"
    assert payload.best == {}  # one value alone is no best


def test_one_model_is_a_page_too(tmp_path):
    write(tmp_path, *whole(a_model("only"), 1, 0.7))
    payload = payload_of(tmp_path)
    assert len(payload.models) == 1
    assert payload.best == {}
    assert all(column.rows == {} for column in payload.pairs.values())
    assert payload.conditions is None


def test_what_was_not_measured_alike_has_no_best_and_no_average(tmp_path):
    for name, other in (("a", "d"), ("b", "e")):
        for place, task in enumerate(FINETUNE):
            given = {"data": DataInfo(split="full", digest=other * 64, files=())} if task == "rte" else {}
            write(tmp_path, bare(task, a_model(name), 50.0 + place, **given))
    payload = payload_of(tmp_path)
    assert list(payload.mixed) == ["rte"]
    assert sorted(payload.best) == sorted(set(FINETUNE) - {"rte"})
    assert {cell.value for cell in payload.macro["finetune"].values()} == {None}
    assert payload.macro["finetune"][0].missing == ["rte (not measured alike)"]
    assert sorted(payload.pairs) == sorted(set(FINETUNE) - {"rte"})


def test_official_averages_where_complete(tmp_path):
    for protocol, more in (("robust", 0.0), ("babylm-2025", 7.0)):
        write(
            tmp_path, *(bare(task, a_model("a"), 50.0 + place + more, protocol=protocol) for place, task in enumerate(FINETUNE))
        )
    write(tmp_path, bare("boolq", a_model("b"), 60.0), bare("blimp", a_model("b"), 60.0))
    payload = payload_of(tmp_path)
    assert payload.macro["finetune"][0].value == pytest.approx(53.0)
    assert payload.macro["finetune"][1].value is None
    assert payload.macro["finetune"][1].missing == list(FINETUNE[1:])
    assert payload.models[0].official == {"babylm-2025": {"finetune": pytest.approx(60.0)}}
    assert payload.scores["rte"][0].official == {"babylm-2025": (62.0, 60.0, 64.0, 100, get_task("rte").card.chance)}


def test_other_protocols_numbers_that_are_not_alike_enter_no_average(tmp_path):
    for name in ("a", "b"):
        for place, task in enumerate(FINETUNE):
            old = {"data": DataInfo(split="full", digest="e" * 64, files=())} if (name, task) == ("b", "rte") else {}
            write(tmp_path, bare(task, a_model(name), 50.0 + place))
            write(tmp_path, bare(task, a_model(name), 60.0 + place, protocol="babylm-2025", **old))
    payload = payload_of(tmp_path)
    assert payload.mixed == {}
    assert list(payload.mixed_official) == ["rte"]
    assert "different data" in payload.mixed_official["rte"]["babylm-2025"]
    assert [model.official for model in payload.models] == [None, None]
    assert any(note.startswith("rte under babylm-2025: different data") for note in payload.notes)


def test_official_means_are_those_of_official_protocols_alone(tmp_path):
    for protocol, more in (("robust", 0.0), ("babylm-2025", 7.0), ("babylm-2026", 9.0)):
        write(
            tmp_path, *(bare(task, a_model("a"), 50.0 + place + more, protocol=protocol) for place, task in enumerate(FINETUNE))
        )
    expected = {"babylm-2025": {"finetune": pytest.approx(60.0)}, "babylm-2026": {"finetune": pytest.approx(62.0)}}
    for protocol in ("robust", "babylm-2025"):
        payload = payload_of(tmp_path, protocol=protocol)
        assert payload.models[0].official == expected
        assert sorted(payload.scores["rte"][0].official) == sorted({"robust", "babylm-2025", "babylm-2026"} - {protocol})


def test_protocols_of_a_later_version_are_shown_without_means(tmp_path):
    for protocol in ("robust", "babylm-2030"):
        write(tmp_path, *(bare(task, a_model("a"), 50.0, protocol=protocol) for task in FINETUNE))
    payload = payload_of(tmp_path)
    assert (payload.macro["finetune"][0].value, payload.models[0].official) == (50.0, None)
    assert list(payload.scores["rte"][0].official) == ["babylm-2030"]
    other = payload_of(tmp_path, protocol="babylm-2030")
    assert (other.macro, other.scores["rte"][0].value) == ({}, 50.0)


def test_no_average_over_several_splits(tmp_path):
    for place, task in enumerate(FINETUNE):
        write(tmp_path, bare(task, a_model("a"), 50.0 + place, split="fast" if task == "mnli" else "full"))
    (cell,) = payload_of(tmp_path).macro["finetune"].values()
    whole = get_task("mnli").card.fast_falls_back and "fast" not in get_task("mnli").card.data
    assert (cell.value is None) != whole
    zero = PROTOCOLS["robust"].macro["zero-shot"]
    write(tmp_path / "zero", *(bare(task, a_model("a"), 0.5, split="full" if task == "ewok" else "fast") for task in zero))
    (cell,) = payload_of(tmp_path / "zero").macro["zero-shot"].values()
    assert cell.value is None
    assert "ewok is of full" in cell.missing[0]


def test_folders_of_checkpoints_are_not_on_the_page(tmp_path):
    recipe = {
        "recipe": {"corpus": "/home/someone/texts/train", "epochs": 3, "nested": {"at": ["C:\\texts\\b"]}},
        "condition": "x",
        "seed": 1,
    }
    (tmp_path / "models" / "m").mkdir(parents=True)
    (tmp_path / "models" / "m" / "babyeval.json").write_text(json.dumps(recipe))
    about = {"source": str(tmp_path / "models" / "m"), "condition": "x", "train_seed": 1}
    write(
        tmp_path / "results",
        bare("ewok", a_model("a", **about), 50.0),
        bare("ewok", a_model("b", source="org/b", commit="c" * 40), 50.0),
    )
    payload = payload_of(tmp_path / "results")
    assert [model.source for model in payload.models] == ["m", "org/b"]
    assert payload.models[0].recipe == {"corpus": "train", "epochs": 3, "nested": {"at": ["b"]}}
    assert str(tmp_path) not in embedded(payload)


def test_settings_that_do_not_concern_a_model_are_left_out(tmp_path):
    ends = {"provenance": provenance(word_end="corrected")}
    write(
        tmp_path,
        bare("ewok", a_model("a"), 50.0),
        bare("ewok", a_model("b", kind="masked"), 50.0, backend="mlm-word-l2r"),
        bare("ewok", a_model("c"), 50.0, **ends),
    )
    a, b, c = (model.environment for model in payload_of(tmp_path).models)
    assert {"masking", "word_end"} & a.keys() == set()
    assert (b["masking"], "word_end" in b) == ("pll", False)
    assert (c["word_end"], "masking" in c) == ("corrected", False)


def test_times_say_how_many_rows_were_computed(tmp_path):
    records = []
    for task, seconds, made in (("ewok", 9.0, 0), ("comps", 2.0, 70)):
        record, _ = bare(task, a_model("a"), 50.0)
        timing = record.timing.model_copy(update={"seconds": seconds, "rows_computed": made, "rows_cached": 50})
        records.append((record.model_copy(update={"timing": timing}), None))
    write(tmp_path, *records)
    (model,) = payload_of(tmp_path).models
    assert model.timing == {"seconds": 9.0, "rows_computed": 0, "rows_cached": 50, "fine_tuning_seconds": None}


def test_plain_and_corrected_records_are_one_curve(tmp_path):
    for words in (10, 100):
        for backend, value in (("mlm", 50.0), ("mlm-corrected", 99.0)):
            write(
                tmp_path,
                bare("blimp", a_model("a", revision=f"chck_{words}", words_seen=words), value + words / 100, backend=backend),
            )
    (line,) = payload_of(tmp_path).curves["blimp"]
    assert line.line == "a"
    assert [(point.words, point.value) for point in line.points] == [(10, 50.1), (100, 51.0)]


def test_learning_curves(tmp_path):
    for words in (100, 10, 1000):
        write(tmp_path, bare("blimp", a_model("a", revision=f"chck_{words}", words_seen=words), 40 + words / 100))
    write(tmp_path, bare("blimp", a_model("a", words_seen=5000), 70.0), bare("blimp", a_model("b", words_seen=10), 50.0))
    payload = payload_of(tmp_path)
    (line,) = payload.curves["blimp"]
    assert [(point.words, point.value) for point in line.points] == [(10, 40.1), (100, 41.0), (1000, 50.0), (5000, 70.0)]
    assert [point.model for point in line.points] == [None, None, None, 0]


def test_checkpoints_that_were_not_measured_alike_are_not_connected(tmp_path):
    other = {"data": DataInfo(split="full", digest="e" * 64, files=())}
    for name, old in (("a", (10, 20)), ("b", (10, 20, 30))):
        for words in (10, 20, 30, 40):
            about = other if words in old else {}
            model = a_model(name, revision=f"chck_{words}", words_seen=words)
            write(tmp_path, bare("blimp", model, 40.0 + words, **about))
    payload = payload_of(tmp_path)
    (line,) = payload.curves["blimp"]
    assert (line.line, [point.words for point in line.points]) == ("a", [30, 40])
    told = [note for note in payload.notes if "learning curve" in note and "not measured" in note]
    assert [note.split(" not ")[0] for note in told] == ["blimp: 2 checkpoints of a", "blimp: 3 checkpoints of b"]


def test_the_embedded_json_holds_nothing_that_html_knows(payload):
    text = embedded(payload)
    assert not set("<>&\u2028\u2029") & set(text)
    back = json.loads(text)
    assert sorted(model["name"] for model in back["models"]) == sorted(HOSTILE)
    cell = payload.scores["blimp"][0]
    assert back["scores"]["blimp"]["0"]["value"] == cell.value  # unrounded


def test_tasks_say_how_each_protocol_scores_them():
    told = how_scored(get_task("ewok").card)
    assert told["babylm-2025"] == "a row is right if: p(T1 given C1) > p(T2 given C1) (D6)"
    assert len(set(told.values())) == 3
    assert how_scored(get_task("comps").card) == {name: PROTOCOLS[name].summary for name in get_task("comps").card.protocols}
    unknown = get_task("comps").card.model_copy(update={"name": "not_installed"})
    assert how_scored(unknown)["robust"] == PROTOCOLS["robust"].summary


def test_a_protocol_table_ends_where_the_table_ends():
    lines = ["# T", "| protocol | a |", "|---|---|", "| `robust`, `babylm-2025` | `x` |", "", "| `babylm-2026` | no |"]
    assert protocol_table(lines) == {"robust": "a: x", "babylm-2025": "a: x"}


def test_the_recipe_is_taken_from_the_checkpoint_of_that_training_only(tmp_path):
    (tmp_path / "babyeval.json").write_text(json.dumps({"condition": "x", "seed": 1, "recipe": {"epochs": 3}}))
    about = {"source": str(tmp_path), "condition": "x", "train_seed": 1}
    assert recipe_of(a_model("a", **about)) == {"epochs": 3}
    assert recipe_of(a_model("a", **{**about, "train_seed": 2})) is None
    (tmp_path / "babyeval.json").write_text("no json")
    assert recipe_of(a_model("a", **about)) is None
    assert recipe_of(a_model("a", source="org/model")) is None


def test_diverged_and_constant_fits_are_told(tmp_path):
    gold = [0, 1] * 15
    record, table = fit("rte", a_model("a"), {1: gold, 2: [0] * 30}, gold)
    lost = record.fit.fits[0].model_copy(update={"seed": 3, "value": None, "diverged": "loss is NaN", "constant": None})
    info = record.fit.model_copy(update={"fits": (*record.fit.fits, lost)})
    write(tmp_path, (record.model_copy(update={"fit": info}), table))
    found = payload_of(tmp_path).scores["rte"][0].fit
    assert (found.diverged, found.constant, len(found.seeds)) == (1, 1, 3)
