"""What a run's folder says of its training: whether anything was trained, of which recipe and data, and what it has kept."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from babyeval.errors import MissingError, UsageError, disk_error
from babyeval.progress import Reporter
from babyeval.store import atomic_path

from .folders import built
from .milestones import FINAL, Origin
from .pretrain import STATES
from .recipe import AnyRecipe, differences
from .saving import TRAINING_FILE, choose_state, copy_files, read_facts, write_recipe
from .unchanged import compare_data

RECIPE_FILE = "recipe.json"
ORIGIN_FILE = "origin.json"
TOKENIZER = "tokenizer"
_TRAINED = (f"{STATES}/**/*", f"*/{TRAINING_FILE}", "*/*.safetensors")  # cut states and drafts of checkpoints included


def _holds_training(folder: Path) -> bool:
    """Whether a training was begun and has left weights or a state, if only a part of them.

    A recipe may be found wrong after its training began; it must not hold the folder against the mended one.
    """
    there = (path for pattern in _TRAINED for path in folder.glob(pattern))
    return (folder / RECIPE_FILE).is_file() and any(path.is_file() for path in there)


def require_same_recipe(folder: Path, recipe: AnyRecipe, out: Path) -> None:
    """Refuses a folder in which another recipe was trained; one in which nothing was takes any.

    The corpus may lie elsewhere now, if it is the same.

    Raises:
        UsageError: The text names the keys that differ.
    """
    if not _holds_training(folder):
        return
    path = folder / RECIPE_FILE
    stored = _read_json(path)
    different = differences(stored, recipe)
    moved = [line.partition(":")[0] for line in different] == ["data.corpus"]
    if different and not (moved and _same_data(folder, recipe, out)):
        raise UsageError(
            f"Another recipe was trained in this folder: {'; '.join(different)}.",
            where=str(path),
            hint="Give this one another condition or seed, write elsewhere (--out), or delete the folder.",
        )


def _same_data(folder: Path, recipe: AnyRecipe, out: Path) -> bool:
    """Whether the recipe's data are known to be those that a training was begun with."""
    if not (folder / ORIGIN_FILE).is_file():
        return False
    origin = _read_json(folder / ORIGIN_FILE)
    return all(compare_data(recipe, out, origin.get("corpus"), origin.get("sets", {})).values())


def is_begun(folder: Path, resume: bool, reporter: Reporter) -> bool:
    """Whether the folder holds an unfinished training.

    Raises:
        UsageError: It does, and going on was not asked for.
    """
    if not _holds_training(folder):
        if resume:
            reporter.note(f"There is nothing to go on with in {folder}: the training starts.")
        return False
    if not resume:
        raise UsageError(
            "An unfinished training of this recipe is there.",
            where=str(folder),
            hint="Go on with it by --resume, or delete the folder.",
        )
    return True


def state_of(folder: Path, resume: bool, reporter: Reporter) -> Path | None:
    """The state from which to go on, if the folder holds an unfinished training.

    Raises:
        UsageError: It does, and going on was not asked for.
    """
    if not is_begun(folder, resume, reporter):
        return None
    state, said = choose_state(folder / STATES)
    for remark in said:
        reporter.note(remark)
    if state is None:
        reporter.note(f"No state to go on from was saved in {folder}: the training starts anew.")
    else:
        reporter.note(f"The training goes on from {state}.")
    return state


def begin(folder: Path, recipe: AnyRecipe, origin: Origin, tokenizer: Path, *, going_on: bool) -> None:
    """Writes what a run's folder says about itself; of one that goes on, finds out whether its data are the same.

    Raises:
        UsageError: The data have changed since.
        MissingError: The folder cannot be written.
    """
    from dataclasses import asdict

    if going_on and (folder / ORIGIN_FILE).is_file():
        stored = _read_json(folder / ORIGIN_FILE)
        if changed := [name for name, digest in asdict(origin).items() if stored.get(name, digest) != digest]:
            raise UsageError(
                f"The training cannot go on: since it began, its {' and '.join(changed)} changed.",
                where=str(folder / ORIGIN_FILE),
                hint="Put back what was there, or delete the folder and start again.",
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with built(folder / TOKENIZER) as draft:
            copy_files(tokenizer, draft)
        with atomic_path(folder / ORIGIN_FILE) as path:
            path.write_text(json.dumps(asdict(origin), indent=1) + "\n", encoding="utf-8")
        with atomic_path(folder / RECIPE_FILE) as path:  # last: it says that a training was begun
            write_recipe(path, recipe)
    except OSError as error:
        raise disk_error(error, str(folder)) from error


def checkpoint_names(folder: Path) -> tuple[str, ...]:
    """Names of the checkpoints in a run's folder, by updates."""
    found = []
    for path in folder.iterdir():
        with suppress(MissingError):
            if path.is_dir() and not path.name.startswith(".") and (facts := read_facts(path)) is not None:
                found.append((facts.step, path.name == FINAL, path.name))
    return tuple(name for _, _, name in sorted(found))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UsageError(
            f"The file is not valid JSON: {error}.", where=str(path), hint="Delete the folder and start again."
        ) from error
    return content
