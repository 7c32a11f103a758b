"""Which records a page shows: protocol, splits, rows, and what it tells of the rest."""

from __future__ import annotations

import json
import shutil

import pytest
from babyeval.leaderboard.read import read_board
from boards import a_model, bare, provenance, write

from babyeval.errors import MissingError, UsageError
from babyeval.records import CheckpointRef, DataInfo, Score


def labels(board):
    return sorted(row.label for row in board.models)


def shown(board):
    """By task and label the value."""
    return {
        task: {row.label: next((score.value for score in result.headlines), None) for row, result in records.items()}
        for task, records in board.records.items()
    }


def test_robust_is_taken_where_all_have_it(tmp_path):
    for name in ("a", "b"):
        for protocol, value in (("robust", 60.0), ("babylm-2025", 70.0)):
            write(tmp_path, bare("blimp", a_model(name), value, protocol=protocol))
    board = read_board(tmp_path)
    assert (board.protocol, board.split, shown(board)) == ("robust", "full", {"blimp": {"a": 60.0, "b": 60.0}})
    official = {
        row.label: {name: r.headlines[0].value for name, r in found.items()} for row, found in board.official["blimp"].items()
    }
    assert official == {"a": {"babylm-2025": 70.0}, "b": {"babylm-2025": 70.0}}
    assert shown(read_board(tmp_path, protocol="babylm-2025")) == {"blimp": {"a": 70.0, "b": 70.0}}


def test_else_the_one_protocol_that_all_share(tmp_path):
    write(tmp_path, bare("blimp", a_model("a"), 60.0), bare("blimp", a_model("a"), 61.0, protocol="babylm-2026"))
    write(tmp_path, bare("blimp", a_model("b"), 62.0, protocol="babylm-2026"))
    assert shown(read_board(tmp_path)) == {"blimp": {"a": 61.0, "b": 62.0}}
    board = read_board(tmp_path, protocol="robust")
    assert labels(board) == ["a"]
    assert "Without results of the protocol robust, and so not shown: b." in board.notes


def test_a_protocol_that_is_not_clear_or_not_there_is_refused(tmp_path):
    for protocol in ("babylm-2025", "babylm-2026"):
        write(tmp_path, bare("blimp", a_model("a"), 60.0, protocol=protocol))
    with pytest.raises(UsageError, match="several protocols") as caught:
        read_board(tmp_path)
    assert "babylm-2025, babylm-2026" in str(caught.value)
    with pytest.raises(UsageError, match="No record is of the protocol 'robust'"):
        read_board(tmp_path, protocol="robust")


def test_a_protocol_of_a_later_version_is_told(tmp_path):
    write(tmp_path, bare("blimp", a_model("a"), 60.0), bare("blimp", a_model("a"), 61.0, protocol="babylm-2030"))
    board = read_board(tmp_path)
    assert shown(board) == {"blimp": {"a": 60.0}}
    told = "Not known to this version of babyeval, and so without means: the protocol babylm-2030."
    assert told in board.notes
    assert shown(read_board(tmp_path, protocol="babylm-2030")) == {"blimp": {"a": 61.0}}


def test_the_largest_split_that_all_have(tmp_path):
    for name in ("a", "b"):
        write(tmp_path, bare("blimp", a_model(name), 60.0, split="fast"))
    write(tmp_path, bare("blimp", a_model("a"), 65.0))
    assert shown(read_board(tmp_path)) == {"blimp": {"a": 60.0, "b": 60.0}}
    board = read_board(tmp_path, split="full")
    assert shown(board) == {"blimp": {"a": 65.0}}
    assert any("which b lack" in note for note in board.notes)
    assert any("and so not shown: b" in note for note in board.notes)
    with pytest.raises(UsageError, match="No record is of the split 'mini'"):
        read_board(tmp_path, split="mini")


def test_the_fast_set_of_a_small_task_is_its_full_one(tmp_path):
    for name in ("a", "b"):
        write(tmp_path, bare("wug_adj", a_model(name), 0.3), bare("blimp", a_model(name), 60.0, split="fast"))
    board = read_board(tmp_path, split="fast")
    assert sorted(board.records) == ["blimp", "wug_adj"]
    assert dict(board.splits) == {"blimp": "fast", "wug_adj": "fast"}


def test_limited_runs_are_never_shown_and_mini_not_beside_a_benchmark(tmp_path):
    write(tmp_path, bare("blimp", a_model("a"), 60.0), bare("ewok", a_model("a"), 90.0, split="full@200"))
    write(tmp_path, bare("comps", a_model("a"), 80.0, split="mini"))
    board = read_board(tmp_path)
    assert shown(board) == {"blimp": {"a": 60.0}}
    assert "1 record of limited runs (full@200) not shown." in board.notes
    assert any("mini split of comps" in note for note in board.notes)
    assert shown(read_board(tmp_path, split="mini")) == {"comps": {"a": 80.0}}


def test_the_mini_split_hides_no_real_data(tmp_path):
    for name in "abc":
        write(tmp_path, bare("blimp", a_model(name), 90.0, split="mini"))
    assert shown(read_board(tmp_path)) == {"blimp": dict.fromkeys("abc", 90.0)}  # there is nothing else
    for name in "ab":
        write(tmp_path, bare("blimp", a_model(name), 60.0))
    write(tmp_path, bare("comps", a_model("c"), 70.0, split="mini"))
    board = read_board(tmp_path)
    assert shown(board) == {"blimp": {"a": 60.0, "b": 60.0}}
    assert "blimp: the full split is shown, which c lack." in board.notes
    assert "Without results of the splits that are shown, and so not shown: c." in board.notes
    assert any("mini split of comps" in note for note in board.notes)
    assert shown(read_board(tmp_path, split="mini"))["blimp"] == dict.fromkeys("abc", 90.0)


def test_what_any_record_knows_of_a_models_training_counts(tmp_path):
    about = {"condition": "x", "train_seed": 3, "parent_digest": "p" * 64, "words_seen": 5000}
    write(tmp_path, bare("blimp", a_model("a"), 60.0), bare("ewok", a_model("a", **about), 61.0, protocol="babylm-2025"))
    write(tmp_path, bare("blimp", a_model("b"), 60.0), bare("blimp", a_model("b", revision="chck_1K", **about), 61.0))
    models = {row.label: model for row, model in read_board(tmp_path).models.items()}
    assert {key: getattr(models["a"], key) for key in about} == about
    assert {getattr(models["b"], key) for key in about} == {None}  # another revision's


def test_another_models_records_make_no_cell_of_this_one(tmp_path):
    mine = write(tmp_path / "mine", bare("blimp", a_model("a"), 60.0))
    theirs = write(tmp_path / "theirs", bare("ewok", a_model("a", digest="another"), 61.0))
    shutil.copytree(theirs / "a", mine / "theirs")
    board = read_board(mine)
    assert shown(board) == {"blimp": {"a": 60.0}}
    (left_out,) = board.damaged
    assert left_out.path == "theirs/main/ewok/full-causal/robust/result.json"
    assert "a name that is not its own: it is of 'a' at 'main'" in left_out.reason
    write(tmp_path / "mine", bare("blimp", a_model("b"), 62.0))
    shutil.move(mine / "theirs" / "main" / "ewok", mine / "a" / "main" / "ewok")
    board = read_board(mine)
    assert shown(board) == {"blimp": {"b": 62.0}}
    assert [(one.path, "are of 2 models" in one.reason) for one in board.damaged] == [("a/main", True)]


def test_damaged_and_later_records_are_listed_and_the_rest_is_shown(tmp_path):
    write(tmp_path, bare("blimp", a_model("a"), 60.0), bare("ewok", a_model("a"), 61.0), bare("comps", a_model("a"), 62.0))
    (tmp_path / "a/main/ewok/full-causal/robust/result.json").write_text('{"status": "done"')
    later = tmp_path / "a/main/comps/full-causal/robust/result.json"
    later.write_text(json.dumps({**json.loads(later.read_text()), "schema_version": 99}))
    board = read_board(tmp_path)
    assert shown(board) == {"blimp": {"a": 60.0}}
    assert [one.path.split("/")[2] for one in board.damaged] == ["comps", "ewok"]
    assert "99" in board.damaged[0].reason


@pytest.mark.parametrize("made", [False, True])
def test_a_folder_with_nothing_is_refused(tmp_path, made):
    folder = tmp_path / "results"
    if made:
        write(folder, bare("ewok", a_model("a"), 90.0, split="full@200"))
    with pytest.raises(MissingError, match="nothing that could be shown" if made else "no results folder"):
        read_board(folder)


def test_one_row_per_model_at_main_or_its_last_checkpoint(tmp_path):
    for words, revision in ((10, "chck_10"), (1000, "chck_1K"), (200, "chck_200")):
        write(tmp_path, bare("blimp", a_model("a", revision=revision, words_seen=words), words / 20))
        write(tmp_path, bare("blimp", a_model("b", revision=revision, words_seen=words), 50.0))
    write(tmp_path, bare("blimp", a_model("b"), 70.0))
    board = read_board(tmp_path)
    assert shown(board) == {"blimp": {"a@chck_1K": 50.0, "b": 70.0}}
    assert "5 further checkpoints of these models are shown in learning curves only." in board.notes
    assert len(board.series) == 7


@pytest.mark.parametrize("revision", ["main", "final"])
def test_a_number_over_checkpoints_counts_for_what_stands_for_the_model(tmp_path, revision):
    refs = tuple(CheckpointRef(revision=f"chck_{n}", words_seen=n, digest=f"{n}", weights=f"{n}") for n in (1, 2))
    write(tmp_path, bare("blimp", a_model("a", revision=revision), 60.0))
    write(tmp_path, bare("aoa", a_model("a", revision="chck_*"), 0.4, checkpoints=refs))
    assert shown(read_board(tmp_path)) == {"blimp": {"a": 60.0}, "aoa": {"a": 0.4}}


def test_ways_of_scoring_are_rows_of_their_own_and_corrected_values_are_not(tmp_path):
    write(tmp_path, bare("blimp", a_model("a"), 60.0, backend="mlm"))
    write(tmp_path, bare("blimp", a_model("a"), 64.0, backend="mlm-word-l2r"))
    write(tmp_path, bare("blimp", a_model("a"), 99.0, backend="mlm-corrected"))
    write(tmp_path, bare("rte", a_model("a"), 55.0, backend="mlm"))
    board = read_board(tmp_path)
    assert shown(board)["blimp"] == {"a (mlm)": 60.0, "a (mlm-word-l2r)": 64.0}
    assert shown(board)["rte"] == {"a (mlm)": 55.0, "a (mlm-word-l2r)": 55.0}  # fits do not depend on the masking


def test_failures_are_shown_where_there_is_nothing_better(tmp_path):
    failed, _ = bare("ewok", a_model("a"), 50.0)
    gone = {"status": "failed", "error": "It broke.", "headlines": (), "scores": ()}
    write(tmp_path, bare("ewok", a_model("b"), 61.0), bare("blimp", a_model("a"), 60.0), (failed.model_copy(update=gone), None))
    board = read_board(tmp_path)
    assert shown(board)["ewok"] == {"a": None, "b": 61.0}


DIFFERENT = {
    "different data": {"data": DataInfo(split="full", digest="e" * 64, files=())},
    "different versions of the protocol": {"provenance": provenance(protocol_version=2)},
    "different versions of scoring": {"provenance": provenance(scoring_version=2)},
    "different code of the task": {"provenance": provenance(task_code="c" * 64)},
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_was_not_measured_alike_is_told(tmp_path, what):
    first = {"provenance": provenance(task_code="a" * 64)} if "code" in what else {}
    write(tmp_path, bare("blimp", a_model("a"), 60.0, **first), bare("blimp", a_model("b"), 61.0, **DIFFERENT[what]))
    write(tmp_path, bare("ewok", a_model("a"), 60.0), bare("ewok", a_model("b"), 61.0))
    board = read_board(tmp_path)
    assert list(board.mixed) == ["blimp"]
    assert what in board.mixed["blimp"]
    assert not any("blimp" in note for note in board.notes)  # the page tells of `mixed` itself


def test_another_version_of_the_task_is_told(tmp_path):
    newer, _ = bare("blimp", a_model("b"), 61.0)
    newer = newer.model_copy(update={"task": newer.task.model_copy(update={"version": 2})})
    write(tmp_path, bare("blimp", a_model("a"), 60.0), (newer, None))
    assert "different versions of the task (version 1: a; version 2: b)" in read_board(tmp_path).mixed["blimp"]


def test_versions_of_babyeval_and_copies_of_a_model_are_told_of(tmp_path):
    model = a_model("a")
    write(tmp_path, bare("blimp", model, 60.0), bare("blimp", model.model_copy(update={"name": "copy"}), 60.0))
    write(tmp_path, bare("blimp", a_model("b"), 61.0, provenance=provenance(babyeval="0.0.1")))
    notes = read_board(tmp_path).notes
    assert "a, copy have the same weights." in notes
    assert any("different versions of babyeval (0.1.0: a, copy; 0.0.1: b)" in note for note in notes)


def test_ways_and_settings_of_scoring_are_told(tmp_path):
    write(tmp_path, bare("blimp", a_model("a"), 60.0), bare("blimp", a_model("b"), 61.0, backend="mlm"))
    write(tmp_path, bare("blimp", a_model("c"), 61.0, provenance=provenance(dtype="bfloat16")))
    board = read_board(tmp_path)
    assert board.mixed == {}
    assert "Scored in different ways (causal: a, c; mlm: b)." in board.notes
    assert "Scored with different settings, precision: float32 (a); bfloat16 (c)." in board.notes


def test_a_single_checkpoints_surprisal_is_no_score_of_age_of_acquisition(tmp_path):
    record, _ = bare("aoa", a_model("a"), 0.1)
    surprisal = Score.model_validate({**record.headlines[0].model_dump(), "metric": "surprisal", "unit": "nats"})
    write(tmp_path, (record.model_copy(update={"headlines": (surprisal,)}), None), bare("blimp", a_model("a"), 60.0))
    assert list(read_board(tmp_path).records) == ["blimp"]
