"""Trainings that are done, and data that changed since or lie elsewhere now."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from babyeval.trainers.begun import require_same_recipe
from babyeval.trainers.corpus.build import build_corpus, same_text
from babyeval.trainers.recipe import Recipe
from babyeval.trainers.stages import StageResult, run_stage
from training import Listener, small_recipe

from babyeval.errors import UsageError
from babyeval.progress import Quiet


@pytest.fixture
def moved(corpus: Path, tmp_path: Path) -> Path:
    """The same corpus in another place."""
    return Path(shutil.copytree(corpus, tmp_path / "moved"))


def change(folder: Path) -> None:
    with (folder / "tales.txt").open("a", encoding="utf-8") as file:
        file.write("\nA line that was not there before, of a heron that stands in the rain all day long.\n")


def test_a_finished_training_on_other_text_is_not_taken_for_one_on_this(
    unbroken: tuple[StageResult, Listener], corpus: Path, moved: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    shutil.copytree(unbroken[0].folder.parents[1], out)
    recipe = small_recipe(moved)
    listener = Listener()
    assert run_stage("pretrain", recipe, out, False, listener).finished_before  # the same text, and only called another name
    assert listener.heard("is finished")
    change(moved)
    with pytest.raises(UsageError, match=r"data.corpus: .* there, .*moved"):  # the text is another, and the place too
        run_stage("pretrain", recipe, out, False, Quiet())
    file = out / "small" / "seed_7" / "recipe.json"
    file.write_text(file.read_text().replace(str(corpus), str(moved)))
    for resume in (False, True):
        with pytest.raises(UsageError, match="is finished, and since then its corpus changed") as refused:
            run_stage("pretrain", recipe, out, resume, Quiet())
        assert "another condition or seed" in str(refused.value)
    build_corpus(recipe.data, out, Quiet())
    with pytest.raises(UsageError, match="since then its corpus changed"):
        run_stage("pretrain", recipe, out, False, Quiet())
    shutil.rmtree(out / "_data")  # nothing is left to compare with
    assert run_stage("pretrain", recipe, out, False, Quiet()).finished_before


def test_a_training_that_is_not_done_may_find_its_corpus_elsewhere(
    unbroken: tuple[StageResult, Listener], moved: Path, tmp_path: Path
) -> None:
    out = tmp_path / "runs"
    folder = shutil.copytree(unbroken[0].folder.parents[1], out) / "small" / "seed_7"
    shutil.rmtree(folder / "final")
    recipe = small_recipe(moved)
    require_same_recipe(folder, recipe, out)
    with pytest.raises(UsageError, match=r"data.corpus: .*; pretrain.learning_rate"):
        require_same_recipe(folder, small_recipe(moved, pretrain={"learning_rate": 0.02}), out)
    (folder / "origin.json").rename(tmp_path / "origin.json")  # nothing says which text it was
    with pytest.raises(UsageError, match=r"data.corpus: "):
        require_same_recipe(folder, recipe, out)
    (tmp_path / "origin.json").rename(folder / "origin.json")
    change(moved)
    with pytest.raises(UsageError, match=r"data.corpus: "):
        require_same_recipe(folder, recipe, out)


def test_text_is_compared_by_content(moved: Path, tmp_path: Path) -> None:
    recipe: Recipe = small_recipe(moved)
    digest = build_corpus(recipe.data, tmp_path, Quiet()).digest
    assert same_text(recipe.data, tmp_path, digest) is True
    assert same_text(recipe.data, tmp_path, "of another") is False
    assert same_text(recipe.data.model_copy(update={"corpus": None}), tmp_path, digest) is None
    elsewhere = recipe.data.model_copy(update={"corpus": tmp_path / "_data"})  # no text is there
    assert same_text(elsewhere, tmp_path, digest) is None
    change(moved)
    assert same_text(recipe.data, tmp_path, digest) is False
    assert same_text(recipe.data, tmp_path, "of another") is None
    (manifest,) = tmp_path.glob("_data/corpus-*/manifest.json")
    manifest.write_text("{")
    assert same_text(recipe.data, tmp_path, digest) is None
