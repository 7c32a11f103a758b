"""What a page does not say: where results, checkpoints and texts lie on the disk of who built it."""

from __future__ import annotations

import json

import pytest
from babyeval.leaderboard.about import recipe_of, source_of, without_root
from babyeval.leaderboard.build import make_payload
from babyeval.leaderboard.payload import embedded
from babyeval.leaderboard.read import read_board
from boards import a_model, bare, whole, write

from babyeval.records import ImportedFrom


def payload_of(folder):
    return make_payload(read_board(folder), "test")


def test_the_folder_of_the_results_is_in_no_message(tmp_path):
    folder = tmp_path / "results"
    write(folder, *whole(a_model("a"), 1, 0.6), *whole(a_model("b"), 2, 0.8))
    next(folder.glob("b/**/blimp_supplement/**/items.parquet")).unlink()
    failed, _ = bare("ewok", a_model("a"), 50.0)
    gone = {"status": "failed", "error": f"No room in {folder}/a and {folder}.", "headlines": (), "scores": ()}
    write(folder, bare("ewok", a_model("b"), 61.0), (failed.model_copy(update=gone), None))
    payload = payload_of(folder)
    told = payload.pairs["blimp_supplement"].notes["0-1"]["note"]
    assert "(b/main/blimp_supplement/full-causal/robust/items.parquet)" in told
    assert payload.scores["ewok"][0].note == "No room in a and the results folder."
    assert str(tmp_path) not in embedded(payload)


@pytest.mark.parametrize("text", ["/other/results/a", "resultsx/a", "a-results/a", "results.old/a"])
def test_other_folders_of_that_name_stay(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results").mkdir()
    root = (tmp_path / "results").relative_to(tmp_path)
    assert without_root(text, root) == text
    assert without_root("(results/a)", root) == without_root(f"({tmp_path}/results/a)", root) == "(a)"


SHARED = {
    "../secret/x": "x", "clients/acme/m": "m", "--corpus /home/x/y": "--corpus y", "-c clients/acme/m.toml": "-c m.toml",
    "file:///home/x/y": "y", "C:\\texts\\b": "b", "~/texts/b": "b", "/home/some one/b": "b", ".cache/b": "b",
    "org/corpus": "org/corpus", "either/or of 3": "either/or of 3", "https://example.org/a/b": "https://example.org/a/b",
    "plain words": "plain words",
}  # fmt: skip


def test_folders_in_recipes_are_left_out_and_hub_ids_stay(tmp_path):
    recipe = {
        "texts": {str(number): text for number, text in enumerate(SHARED)} | {"list": ["/a/b", "org/c"]},
        "weights": {"/home/x/wiki": 1, "/home/y/wiki": 2, "org/wiki": 3},
        "data": {"corpus": "runs/texts"},
        "parent": "runs/base",
        "model": "org/writer",
    }
    (tmp_path / "babyeval.json").write_text(json.dumps({"recipe": recipe, "condition": "x", "seed": 1}))
    assert recipe_of(a_model("a", source=str(tmp_path), condition="x", train_seed=1)) == {
        "texts": {str(number): text for number, text in enumerate(SHARED.values())} | {"list": ["b", "org/c"]},
        "weights": {"wiki": 1, "wiki (2)": 2, "org/wiki": 3},
        "data": {"corpus": "texts"},
        "parent": "base",
        "model": "org/writer",
    }


def test_a_source_without_a_commit_is_a_local_path(tmp_path):
    assert source_of(a_model("a", source="runs/base")) == "base"
    assert source_of(a_model("a", source="org/base", commit="c" * 40)) == "org/base"
    assert source_of(a_model("a", source="memory")) == "memory"
    record, _ = bare("ewok", a_model("a"), 50.0)
    file = ImportedFrom(file="reports/best.txt", sha256="e" * 64, format="report")
    write(tmp_path, (record.model_copy(update={"imported": file}), None))
    assert payload_of(tmp_path).models[0].imported == "best.txt"
