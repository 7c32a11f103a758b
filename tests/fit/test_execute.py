"""The fits of a run: which are made, what they leave behind, what a failure stops; a stand-in takes the engine's place."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from statistics import fmean

import pandas as pd
import pytest
from fake_fit import FakeFit, predicted
from tiny import make_model, make_tokenizer

import babyeval
from babyeval import lock
from babyeval.cache import cache_root
from babyeval.errors import MemoryMissing, MissingError, ModelError
from babyeval.fit.spec import hyper_for
from babyeval.fit.task import FitTask
from babyeval.records import load_result
from babyeval.registry import get_task, register_task
from babyeval.run.execute import report
from babyeval.store import ResultStore


@pytest.fixture
def fake(monkeypatch) -> FakeFit:
    return FakeFit().install(monkeypatch)


@pytest.fixture(scope="module")
def model():
    tokenizer = make_tokenizer("bos")
    return make_model("llama", tokenizer), tokenizer


@pytest.fixture
def run(model, tmp_path):
    """Evaluates the tiny model on bundled fits."""

    def run(*tasks: str, **options):
        options = {"split": "mini", "seeds": 3, "out": tmp_path / "results", **options}
        return babyeval.evaluate(model[0], list(tasks), tokenizer=model[1], name="tiny", **options)

    return run


def folder(tmp_path, task="rte", label="mini-causal", protocol="robust"):
    return tmp_path / "results/tiny/main" / task / label / protocol


def record(path):
    return load_result((path / "result.json").read_text())


def states():
    return [path for path in (cache_root() / "fits").rglob("*") if path.is_file()]


def test_each_seed_leaves_a_record_and_all_together_one(fake, run, tmp_path):
    (result,) = run("rte")
    assert fake.calls == [("rte", 1), ("rte", 2), ("rte", 3)]
    assert fake.bodies == 1
    place = folder(tmp_path)
    assert record(place) == result
    seeds = [record(place / f"seed_{k}") for k in (1, 2, 3)]
    assert [one.fit.seed for one in seeds] == [1, 2, 3]
    assert result.fit.seed is None
    assert result.fit.seeds == (1, 2, 3)
    assert result.headline.value == pytest.approx(fmean(one.headline.value for one in seeds))
    reported = fake.given[0]["reported"]
    for one in seeds:
        table = pd.read_parquet(place / f"seed_{one.fit.seed}" / "items.parquet")
        assert list(table) == ["item_id", "place", "cluster", "gold", "value", "prediction", "logits"]
        expected = predicted(fake, ("rte", one.fit.seed), [example.label for example in reported], 2)
        assert table["prediction"].tolist() == expected
        assert table["value"].tolist() == [float(e.label == p) for e, p in zip(reported, expected, strict=True)]
        assert one.headline.value == pytest.approx(100 * table["value"].mean())
    whole = pd.read_parquet(place / "items.parquet")
    assert whole["item_id"].tolist() == [example.id for example in reported]
    assert [list(row) for row in whole["predictions"]] == [list(row) for row in zip(*(
        predicted(fake, ("rte", k), [example.label for example in reported], 2) for k in (1, 2, 3)
    ), strict=True)]  # fmt: skip
    assert 100 * whole["value"].mean() == pytest.approx(result.headline.value)
    assert sum(result.fit.reported_labels) == len(reported) == result.headline.n
    assert states() == []


def test_started_again_nothing_is_fitted(fake, run):
    first = run("rte")
    again = run("rte")
    assert again == first
    assert len(fake.calls) == 3
    assert fake.bodies == 1


def test_more_seeds_add_to_those_that_are_there(fake, run):
    run("rte", seeds=2)
    (result,) = run("rte", seeds=4)
    assert fake.calls == [("rte", k) for k in (1, 2, 3, 4)]
    assert result.fit.seeds == (1, 2, 3, 4)
    assert run("rte", seeds=3) == [result]  # what is known is not forgotten
    assert len(fake.calls) == 4


def test_default_is_five_seeds_and_officially_one(fake, run):
    run("rte", seeds=None, protocol="all")
    assert [seed for _, seed in fake.calls] == [1, 2, 3, 4, 5, 42, 42]
    assert [given["hyper"].pooling for given in fake.given[-3:]] == ["auto", "first", "last"]


def test_interrupted_run_goes_on_with_the_seeds_that_lack(fake, run, tmp_path):
    fake.fail["rte", 2] = KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt):
        run("rte")
    assert (folder(tmp_path) / "seed_1/result.json").is_file()
    assert not (folder(tmp_path) / "result.json").exists()
    fake.fail.clear()
    (result,) = run("rte")
    assert fake.calls == [("rte", 1), ("rte", 2), ("rte", 2), ("rte", 3)]
    assert result.fit.seeds == (1, 2, 3)


def test_state_of_an_unfinished_fit_is_found_again_and_of_another_one_is_not(fake, run, monkeypatch):
    fake.fail["rte", 1] = KeyboardInterrupt
    for options in ({}, {}, {"limit": 100}, {"dtype": "bfloat16"}, {"protocol": "babylm-2025"}):
        with pytest.raises(KeyboardInterrupt):
            run("rte", **options) if "protocol" not in options else _interrupted(fake, run, **options)
    folders = [given["folder"] for given in fake.given]
    assert folders[0] == folders[1]
    assert len(set(folders)) == 4
    assert all(path.parent.parent == cache_root() / "fits" for path in folders)


def _interrupted(fake, run, **options):
    fake.fail["rte", 42] = KeyboardInterrupt
    run("rte", **options)


@pytest.mark.parametrize("change", ["hyper", "version", "code", "items"])
def test_records_of_something_else_are_made_anew(change, fake, run, tmp_path, monkeypatch):
    run("rte")
    if change == "hyper":
        monkeypatch.setattr("babyeval.fit.plan.hyper_for", lambda *a: replace(hyper_for(*a), learning_rate=0.5))
    elif change == "version":
        monkeypatch.setattr("babyeval.fit.plan.FIT_VERSION", 999)
        monkeypatch.setattr("babyeval.fit.execute.FIT_VERSION", 999)
    elif change == "code":
        monkeypatch.setitem(vars(get_task("rte")), "code_digest", "other")
    else:
        for path in [folder(tmp_path), *folder(tmp_path).glob("seed_*")]:
            (path / "items.parquet").write_bytes(b"damaged")
    run("rte")
    assert len(fake.calls) == 6
    run("rte")
    assert len(fake.calls) == 6


def test_another_condition_is_written_into_the_records_without_a_fit(fake, run, tmp_path):
    (first,) = run("rte")
    (again,) = run("rte", condition="it_merged", train_seed=2)
    assert len(fake.calls) == 3
    written = [record(folder(tmp_path)), *(record(folder(tmp_path) / f"seed_{k}") for k in (1, 2, 3))]
    assert {(one.model.condition, one.model.train_seed) for one in (again, *written)} == {("it_merged", 2)}
    assert written[0] == again == first.model_copy(update={"model": again.model})
    whole = pd.read_parquet(folder(tmp_path) / "items.parquet")
    (more,) = run("rte", condition="it_switch_wiki", seeds=4)
    assert fake.calls[3:] == [("rte", 4)]
    assert {record(folder(tmp_path) / f"seed_{k}").model.condition for k in (1, 2, 3, 4)} == {more.model.condition}
    assert len(whole) == more.headline.n


def test_summary_that_is_lost_is_made_again_without_a_fit(fake, run, tmp_path):
    (first,) = run("rte")
    (folder(tmp_path) / "result.json").unlink()
    (again,) = run("rte")
    assert len(fake.calls) == 3
    assert (again.scores, again.fit) == (first.scores, first.fit)


def test_seed_that_another_process_has_made_meanwhile_is_taken(fake, run, tmp_path, monkeypatch):
    run("rte", seeds=2, out=tmp_path / "other")
    real = lock.alone

    def alone(path, waiting):
        if "-seed_2-" in path.name:
            shutil.copytree(tmp_path / "other/tiny/main/rte/mini-causal/robust/seed_2", folder(tmp_path) / "seed_2")
        return real(path, waiting)

    monkeypatch.setattr("babyeval.fit.execute.alone", alone)
    (result,) = run("rte", seeds=3)
    assert fake.calls == [("rte", k) for k in (1, 2, 1, 3)]
    assert result.fit.seeds == (1, 2, 3)
    assert states() == []


def test_fresh_fits_again(fake, run):
    run("rte")
    run("rte", fresh=True, seeds=1)
    assert len(fake.calls) == 4


def test_diverged_seed_is_recorded_and_the_others_go_on(fake, run, tmp_path):
    fake.diverge = [("rte", 2)]
    (result,) = run("rte")
    assert result.status == "done"
    assert [one.diverged for one in result.fit.fits] == [None, "the loss is NaN in epoch 2", None]
    assert result.fit.fits[1].value is None
    assert "1 of 3 seeds diverged" in result.headline.note
    lost = record(folder(tmp_path) / "seed_2")
    assert (lost.status, lost.headlines, lost.items) == ("failed", (), None)
    assert json.loads((folder(tmp_path) / "seed_2/result.json").read_text())["fit"]["fits"][0]["losses"] == [0.7, None]
    table = pd.read_parquet(folder(tmp_path) / "items.parquet")
    assert {len(row) for row in table["predictions"]} == {2}
    run("rte")
    assert len(fake.calls) == 3  # the same would come of it


def test_nothing_but_diverged_seeds_is_a_failure_that_stops_no_other_task(fake, run):
    fake.diverge = [("rte", k) for k in (1, 2, 3)]
    results = run("rte", "wsc")
    assert [result.status for result in results] == ["failed", "done"]
    assert "All 3 fits diverged" in results[0].error
    assert len(results[0].fit.fits) == 3
    assert report(("rte",), results).exit_code == 1


@pytest.mark.parametrize("error", [ModelError("It broke."), ValueError("odd"), MemoryMissing("Too large.")])
def test_fit_that_fails_stops_no_other_task(error, fake, run):
    fake.fail["rte", 2] = lambda: error
    results = run("rte", "wsc")
    assert [result.status for result in results] == ["failed", "done"]
    assert str(error).rstrip(".") in results[0].error


def test_metric_that_cannot_be_had_is_found_before_a_fit_and_stops_no_other_task(fake, run, monkeypatch):
    monkeypatch.setattr("babyeval.registry._registered", {})
    monkeypatch.setitem(sys.modules, "evaluate", None)
    rte = get_task("rte")
    spec = rte.card.fit.model_copy(update={"metrics": ("evaluate:rouge",)})
    register_task(FitTask(rte.card.model_copy(update={"name": "made", "metric": "evaluate:rouge", "fit": spec}), rte.home))
    results = run("made", "wsc")
    assert {result.task.name: result.status for result in results} == {"made": "failed", "wsc": "done"}
    assert "pip install 'babyeval[evaluate]'" in next(result.error for result in results if result.error)
    assert {task for task, _ in fake.calls} == {"wsc"}


def test_full_disk_stops_the_run(fake, run):
    fake.fail["rte", 1] = lambda: MissingError("Could not write.")
    with pytest.raises(MissingError):
        run("rte", "wsc")
    assert fake.calls == [("rte", 1)]


def test_failure_never_takes_the_place_of_a_good_record(fake, run, tmp_path):
    (good,) = run("rte")
    fake.fail["rte", 4] = lambda: ModelError("It broke.")
    (failed,) = run("rte", seeds=4)
    assert failed.status == "failed"
    assert record(folder(tmp_path)) == good


def test_limit_takes_fewer_of_both_files_and_labels_the_split(fake, run, tmp_path):
    (result,) = run("rte", limit=40)
    assert result.split == "mini@40"
    assert {(len(given["train"]), len(given["reported"])) for given in fake.given} == {(40, 40)}
    assert record(folder(tmp_path, label="mini@40-causal")) == result


def test_all_seeds_and_protocols_get_the_same_examples(fake, run):
    run("rte", protocol="all")
    assert len({id(given["train"]) for given in fake.given}) == 1


def test_constant_seed_is_told(fake, run):
    fake.constant = [("wsc", 1), ("wsc", 3)]
    (result,) = run("wsc")
    assert [one.constant for one in result.fit.fits] == [True, False, True]
    assert "constant: one label for all rows in 2 of 3 seeds" in result.headline.note


def test_official_protocols_say_what_flatters_them(fake, run):
    (result,) = run("rte", protocol="babylm-2025")
    assert "the epoch was chosen on the reported file, which flatters (D15)" in result.headline.note
    assert result.fit.seeds == (42,)


def test_seeds_records_are_seen_only_by_who_asks(fake, run, tmp_path):
    run("rte", "wsc")
    store = ResultStore(tmp_path / "results")
    assert [result.task.name for result in store.results()] == ["rte", "wsc"]
    assert len(list(store.results(seeds=True))) == 8
    table = babyeval.load_results(tmp_path / "results")
    assert "seed" not in table
    assert table["headline"].sum() == 2
    everything = babyeval.load_results(tmp_path / "results", seeds=True)
    assert everything["headline"].sum() == 8
    assert set(everything["seed"].dropna()) == {1, 2, 3}


def test_spans_and_fits_in_one_run(fake, run):
    results = run("rte", "blimp")
    assert [(result.task.name, result.status) for result in results] == [("blimp", "done"), ("rte", "done")]


def test_another_masking_does_not_fit_again(fake, tmp_path):
    tokenizer = make_tokenizer("cls_sep")
    masked = make_model("bert", tokenizer)
    for masking in ("pll", "word-l2r"):
        (result,) = babyeval.evaluate(
            masked, ["rte"], tokenizer=tokenizer, name="tiny", split="mini", seeds=1, masking=masking, out=tmp_path / "results"
        )
        assert result.backend == "mlm"
    assert fake.calls == [("rte", 1)]


def test_mean_over_the_seven_tasks_is_formed_of_the_headlines(fake, run):
    results = [result.model_copy(update={"split": "full"}) for result in run("finetune", seeds=1)]
    (group,) = report(("finetune",), results).groups
    assert group.missing == ()
    assert group.tasks == ("boolq", "mnli", "mrpc", "multirc", "qqp", "rte", "wsc")
    assert group.value == pytest.approx(fmean(result.headline.value for result in results))
    assert {result.task.name: result.headline.metric for result in results}["mrpc"] == "f1"
    (less,) = report(("finetune",), results[1:]).groups
    assert (less.value, less.missing) == (None, ("boolq",))
