"""The results folder: written whole or not at all, and read with clear words where a record is damaged."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from pathlib import Path

import pandas as pd
import pytest

from babyeval.errors import MissingError, UsageError
from babyeval.records import FitInfo, ModelInfo, Score, SeedFit, TaskResult, load_result
from babyeval.registry import get_task
from babyeval.store import DamagedRecord, ResultStore, atomic_path

TABLE = pd.DataFrame({"item_id": ["a", "b"], "value": [0.0, 1.0]})


def make_result(name: str = "model", digest: str = "d1", status: str = "done", **fields) -> TaskResult:
    model = ModelInfo(name=name, source="./model", revision="main", digest=digest, parameters=1, kind="causal")
    score = Score(
        metric="accuracy", value=50.0, unit="percent", estimator="micro", n=2, n_clusters=2, se=1.0, se_method="wilson",
        ci_low=40.0, ci_high=60.0, chance=50.0,
    )  # fmt: skip
    scores = (score,) if status == "done" else ()
    given = {"protocol": "robust", "split": "mini", "backend": "causal", "headlines": scores, "scores": scores, **fields}
    return TaskResult(status=status, task=get_task("blimp").card, model=model, **given)


@pytest.fixture
def store(tmp_path) -> ResultStore:
    return ResultStore(tmp_path / "results")


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_atomic_path_gives_all_or_nothing(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")

    def break_off() -> None:
        with atomic_path(target) as draft:
            draft.write_text("half")
            assert target.read_text() == "old"
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert (files(tmp_path), target.read_text()) == (["a.txt"], "old")
    with atomic_path(target) as draft:
        draft.write_text("new")
    assert (files(tmp_path), target.read_text()) == (["a.txt"], "new")


def test_atomic_path_that_was_not_written_to_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(FileNotFoundError), atomic_path(target):
        pass
    assert (files(tmp_path), target.read_text()) == (["a.txt"], "old")


def test_what_is_written_is_read_again(store):
    written = store.write(make_result(), TABLE)
    folder = store.folder_of(written)
    assert folder == store.root / "model" / "main" / "blimp" / "mini-causal" / "robust"
    assert files(store.root) == ["items.parquet", "result.json"]
    assert (written.items.path, written.items.rows) == ("items.parquet", 2)
    assert written.items.sha256 == hashlib.sha256((folder / "items.parquet").read_bytes()).hexdigest()
    assert store.find(written.model, "blimp", "mini", "causal", "robust") == written
    assert list(store.results()) == [written]
    assert load_result((folder / "result.json").read_text()).headline == written.headlines[0]
    pd.testing.assert_frame_equal(pd.read_parquet(folder / "items.parquet"), TABLE)


def test_record_that_was_not_written_is_not_found(store):
    result = make_result()
    assert store.find(result.model, "blimp", "mini", "causal", "robust") is None
    with pytest.raises(MissingError, match="no results folder"):
        list(store.results())


@pytest.mark.parametrize("fails_at", ["table", "record"])
def test_failed_write_leaves_nothing_under_a_final_name(store, monkeypatch, fails_at):
    def fail(self, path, *_, **__):
        Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    if fails_at == "table":
        monkeypatch.setattr(pd.DataFrame, "to_parquet", fail)
    else:
        monkeypatch.setattr(Path, "write_text", lambda path, *_, **__: fail(None, path))
    with pytest.raises(MissingError, match="No space left on device") as error:
        store.write(make_result(), TABLE)
    assert str(store.folder_of(make_result())) in str(error.value)
    assert "What next:" in str(error.value)
    assert "result.json" not in files(store.root)
    assert not [name for name in files(store.root) if "draft" in name]


def test_items_whole_sees_a_lost_or_changed_table(store):
    written = store.write(make_result(), TABLE)
    table = store.folder_of(written) / "items.parquet"
    assert store.items_whole(written)
    table.write_bytes(table.read_bytes() + b"x")
    assert not store.items_whole(written)
    table.unlink()
    assert not store.items_whole(written)
    assert store.items_whole(make_result())


DAMAGE = {
    "empty": "", "cut": '{"schema_version": 1, "sta', "no object": "[]", "null": "null", "bytes": b"\xff\xfe",
    "lacking": '{"schema_version": 1}', "no number": '{"schema_version": "one"}', "deep": "[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_damaged_record_is_reported_with_its_place_and_claims_nothing(store, kind):
    written = store.write(make_result(), TABLE)
    path = store.folder_of(written) / "result.json"
    text = DAMAGE[kind]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UsageError, match="A record cannot be read") as error:
        list(store.results())
    assert str(path) in str(error.value)
    assert "What next: Delete it" in str(error.value)
    assert store.find(written.model, "blimp", "mini", "causal", "robust") is None
    store.require_same_model(make_result(digest="another").model)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "well"}, "status: "),
        ({"model": {"name": "m"}}, "the key 'model.source' is missing"),
        ({"protcol": "robust"}, "unknown key 'protcol' (did you mean 'protocol'?)"),
    ],
)
def test_the_field_that_damages_a_record_is_named(store, change, words):
    path = store.folder_of(store.write(make_result(), TABLE)) / "result.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(UsageError) as error:
        list(store.results())
    assert f"A record cannot be read: {words}" in str(error.value)
    assert "validation error" not in str(error.value)


def test_record_of_a_later_version_is_never_overwritten(store):
    written = store.write(make_result(), TABLE)
    path = store.folder_of(written) / "result.json"
    path.write_text('{"schema_version": 99}')
    for attempt in (
        lambda: list(store.results()),
        lambda: store.find(written.model, "blimp", "mini", "causal", "robust"),
        lambda: store.write(make_result(), TABLE),
    ):
        with pytest.raises(UsageError, match="newer than this babyeval"):
            attempt()
    assert path.read_text() == '{"schema_version": 99}'


def test_one_name_stands_for_one_model(store):
    store.write(make_result(digest="d1"), TABLE)
    store.require_same_model(make_result(digest="d1").model)
    store.require_same_model(make_result(name="other", digest="d2").model)
    with pytest.raises(UsageError, match="'model' is taken by another model") as error:
        store.require_same_model(make_result(digest="d2").model)
    for word in ("d1", "d2", "--model NAME=PATH", "--out"):
        assert word in str(error.value)


def test_names_that_differ_lie_in_folders_that_differ(store):
    names = ["a/b", "a%2Fb", "a b", "..", ".", "a\\b", "A", "ä", "a@b", "x=y"]
    folders = {store.folder_of(make_result(name=name)) for name in names}
    assert len(folders) == len(names)
    assert all(folder.is_relative_to(store.root) and len(folder.relative_to(store.root).parts) == 5 for folder in folders)
    assert all(".." not in folder.parts for folder in folders)


@pytest.mark.parametrize("written", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_damages_a_record(store, written):
    path = store.folder_of(store.write(make_result(), TABLE)) / "result.json"
    text = path.read_text()
    assert text.count('"value":50.0') + text.count('"value": 50.0') == 3
    path.write_text(text.replace("50.0", written))
    with pytest.raises(DamagedRecord, match=f"A record cannot be read: {written} is no number"):
        list(store.results())


def test_undefined_numbers_of_an_own_record_are_written_as_null_and_read_again(store):
    fit = SeedFit(
        seed=1, value=math.nan, constant=None, best_epoch=1, losses=(math.inf, 1.0), selection=(math.nan,), updates=1,
        truncated=0, batch_size=1, accumulation=1, seconds=1.0,
    )  # fmt: skip
    hyper = {"rate": math.nan, "inner": [math.inf]}
    info = FitInfo(fits=(fit,), hyper=hyper, hyper_digest="h", train_labels=(1,), reported_labels=(1,), mde=math.nan)
    store.write(make_result(fit=info), TABLE)
    (read,) = store.results()
    (again,) = read.fit.fits
    assert (again.value, again.losses, again.selection, read.fit.mde) == (None, (None, 1.0), (None,), None)
    assert read.fit.hyper == {"rate": None, "inner": [None]}


def test_a_record_counts_only_where_it_belongs(store):
    """Results that were copied beside one's own under another folder name, and whose names in the records are one's own."""
    own = store.write(make_result(digest="d1"), TABLE)
    theirs = ResultStore(store.root.parent / "theirs")
    theirs.write(make_result(digest="d2"), TABLE)
    shutil.copytree(theirs.root / "model", store.root / "theirs")
    damaged: list[DamagedRecord] = []
    assert list(store.results(damaged=damaged)) == [own]
    (error,) = damaged
    assert "it is of 'model' at 'main' (blimp, mini-causal, robust)" in error.what
    assert error.where == str(store.root / "theirs" / "main" / "blimp" / "mini-causal" / "robust" / "result.json")
    assert "--model NAME=PATH" in error.hint
    with pytest.raises(DamagedRecord, match="a name that is not its own"):
        list(store.results())


def test_another_model_does_not_overwrite_a_misplaced_record(store):
    written = store.write(make_result(digest="d1"), TABLE)
    (store.root / "model").rename(store.root / "renamed")
    assert store.find(make_result("renamed").model, "blimp", "mini", "causal", "robust") is None
    with pytest.raises(UsageError, match="'renamed' is taken by another model"):
        store.require_same_model(make_result("renamed", digest="d2").model)
    mine = store.write(make_result("renamed", digest="d1"), TABLE)  # the same model, run under its new name
    assert [result.model.name for result in store.results()] == ["renamed"]
    assert mine.headlines == written.headlines


@pytest.mark.parametrize("name", ["a/b", "a b", "..", "ä", "x=y", "50%", "chck_*"])
@pytest.mark.parametrize("seed", [None, 3])
def test_a_record_of_any_name_is_read_where_it_was_written(store, name, seed):
    fit = FitInfo(seed=seed, fits=(), hyper={}, hyper_digest="h", train_labels=(1,), reported_labels=(1,))
    written = store.write(make_result(name, fit=fit), TABLE)
    assert list(store.results(seeds=True)) == [written]
    moved = store.root.rename(store.root.with_name("moved [1]"))
    assert list(ResultStore(moved).results(seeds=True)) == [written]


def test_a_folder_around_the_results_folder_is_told_from_another_name(store):
    store.write(make_result(), TABLE)
    damaged: list[DamagedRecord] = []
    assert list(ResultStore(store.root.parent).results(damaged=damaged)) == []
    assert [error.hint for error in damaged] == ["Name the results folder itself, which lies within this one."]


def test_records_of_two_models_under_one_name_are_left_out(store):
    """As after copying one results folder into another; nothing says which model is meant."""
    kept = store.write(make_result("other"), TABLE)
    for digest, tasks in (("d1", ("blimp", "comps")), ("d2", ("ewok",))):
        for task in tasks:
            result = make_result(digest=digest).model_copy(update={"task": get_task(task).card})
            path = store.folder_of(result) / "result.json"
            path.parent.mkdir(parents=True)
            path.write_text(result.model_dump_json())
    damaged: list[DamagedRecord] = []
    assert list(store.results(damaged=damaged)) == [kept]
    (error,) = damaged
    assert error.what == "The records of 'model' at 'main' are of 2 models: 2 records of digest d1, 1 record of digest d2."
    assert error.where == str(store.root / "model" / "main")
    with pytest.raises(DamagedRecord, match="are of 2 models"):
        list(store.results())


def test_record_round_trip_keeps_every_field(store):
    result = make_result(name="naïve \u2028 name", error=None)
    written = store.write(result, TABLE)
    content = json.loads((store.folder_of(written) / "result.json").read_text(encoding="utf-8"))
    assert content["model"]["name"] == "naïve \u2028 name"
    assert load_result(json.dumps(content)) == written
    with pytest.raises(ValueError, match="extra"):
        load_result(json.dumps({**content, "surprise": 1}))
