"""What a training leaves on disk: checkpoints to evaluate, and states from which an interrupted training goes on."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from babyeval.errors import BabyevalError, MissingError, disk_error, raise_interrupt

from .folders import built, file_digest
from .recipe import AnyRecipe

TRAINING_FILE = "babyeval.json"  # read by babyeval.models.checkpoint
GENERATION_FILE = "generation_config.json"
STATE_MARKER = "whole.json"
KEPT_STATES = 2

# Of these the trainer's library writes one, in a format that runs code when it is read; nothing here reads it.
_UNWANTED = ("training_args.bin",)
_STATE = re.compile(r"checkpoint-(\d+)")
_DRAFTS = ".checkpoint-*.draft"


class TrainingFacts(BaseModel):
    """What a checkpoint says about its training (``babyeval.json``).

    Attributes:
        schema_version: Of this file.
        condition: The recipe's.
        seed: The recipe's.
        words_seen: Words of all training so far, each time they were read, the parent's included; None if nobody knows these.
        words_tuned: Of a tuned model, words of the tuning alone.
        tokens_seen: Tokens of this training.
        step: Updates of this training.
        parent_digest: Digest of the checkpoint from which this training went on.
        corpus_digest: Of the corpus, or of the sets of a tuning together.
        tokenizer_digest: Of the tokenizer's file.
        set_digests: Of a tuned model, digests of the sets by name.
        recipe: The whole recipe.
        validation: Losses on the validation part; empty if there was none.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_version: int = 1
    condition: str
    seed: int
    words_seen: int | None
    words_tuned: int | None = None
    tokens_seen: int
    step: int
    parent_digest: str | None = None
    corpus_digest: str | None = None
    tokenizer_digest: str | None = None
    set_digests: dict[str, str] = {}
    recipe: dict[str, Any]
    validation: dict[str, Any] = {}


def save_checkpoint(folder: Path, write_weights: Callable[[Path], None], tokenizer: Path, facts: TrainingFacts) -> None:
    """Writes a checkpoint as ``transformers`` reads it, whole or not at all; one that lies there is replaced.

    Args:
        folder: Where.
        write_weights: Writes weights and configuration into the folder that it is given.
        tokenizer: Folder of the tokenizer, whose files are copied.
        facts: What the checkpoint says about itself.

    Raises:
        MissingError: The disk is full or the place may not be written; nothing half-written stays.
    """
    with writing(folder), built(folder) as draft:
        write_weights(draft)
        for name in _UNWANTED:
            (draft / name).unlink(missing_ok=True)
        copy_files(tokenizer, draft)
        if facts.words_tuned is not None:
            _write_ends(draft)
        (draft / TRAINING_FILE).write_text(facts.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _write_ends(folder: Path) -> None:
    """Adds the tokens that end a reply to those at which generation stops: a chat template may end it by a mark of its own."""
    from babyeval.models.tokenizer import load_tokenizer

    from .instruct.encode import reply_ends

    path = folder / GENERATION_FILE
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    known = content.get("eos_token_id")
    before = known if isinstance(known, list) else [] if known is None else [known]
    ends = list(dict.fromkeys([*before, *reply_ends(load_tokenizer(folder))]))
    if ends == before:
        return
    content.pop("_from_model_config", None)  # with it the library takes them from the model's configuration
    content["eos_token_id"] = ends if len(ends) > 1 else ends[0]
    path.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def copy_files(source: Path, target: Path) -> None:
    """Copies the files of a folder, those of its sub-folders left out."""
    for path in sorted(source.iterdir()):
        if path.is_file():
            shutil.copyfile(path, target / path.name)


def write_recipe(path: Path, recipe: AnyRecipe) -> None:
    """Writes the whole recipe."""
    path.write_text(json.dumps(recipe.as_json(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


@contextlib.contextmanager
def writing(place: Path) -> Iterator[None]:
    """Turns what the libraries raise when a file cannot be written into an error in words.

    Raises:
        MissingError: Writing failed.
    """
    from safetensors import SafetensorError

    from babyeval.scoring.batching import out_of_memory

    try:
        yield
    except BabyevalError:
        raise
    except OSError as error:
        raise disk_error(error, str(place)) from error
    except (RuntimeError, SafetensorError) as error:  # how torch and safetensors report a failed write
        raise_interrupt(error)
        if out_of_memory(error):  # to gather the weights takes memory too
            raise
        raise disk_error(OSError(str(error).splitlines()[0]), str(place)) from error


# States to go on from


def state_folder(root: Path, step: int) -> Path:
    """Where the state after so many updates lies."""
    return root / f"checkpoint-{step}"


def state_draft(root: Path, step: int) -> Path:
    """Where it is written first; the same for all processes of a training."""
    return root / f".checkpoint-{step}.draft"


def seal_state(draft: Path, folder: Path) -> None:
    """Notes size and digest of each file of a written state, puts it in its place, and removes older states.

    The digests tell a state apart that was cut by a full disk, a lost machine or a copy.
    """
    for name in _UNWANTED:
        (draft / name).unlink(missing_ok=True)
    files = {}
    for path in sorted(draft.rglob("*")):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
            files[str(path.relative_to(draft))] = {"bytes": path.stat().st_size, "sha256": file_digest(path)}
    (draft / STATE_MARKER).write_text(json.dumps({"schema_version": 1, "files": files}, indent=1) + "\n", encoding="utf-8")
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    for step, old in sorted(_states(folder.parent))[:-KEPT_STATES]:
        if step != _step(folder):
            shutil.rmtree(old, ignore_errors=True)


def choose_state(root: Path) -> tuple[Path | None, list[str]]:
    """Finds the newest whole state.

    Returns:
        Its folder, or None; and what is wrong with those that are newer.
    """
    said = [
        f"The state {root / draft.name} is not whole (the training ended while it was written), and is passed over."
        for draft in sorted(root.glob(f"{_DRAFTS}/checkpoint-*"))
    ]
    for _, folder in sorted(_states(root), reverse=True):
        reason = why_not_whole(folder)
        if reason is None:
            return folder, said
        said.append(f"The state {folder} is not whole ({reason}), and is passed over.")
    return None, said


def why_not_whole(folder: Path) -> str | None:
    """What is wrong with a state; None if it is as it was written."""
    try:
        files = json.loads((folder / STATE_MARKER).read_text(encoding="utf-8"))["files"]
        for name, facts in files.items():
            path = folder / name
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != facts["bytes"]:
                return f"{name} has {path.stat().st_size:,} bytes instead of {facts['bytes']:,}"
            if file_digest(path) != facts["sha256"]:
                return f"the content of {name} has changed"
    except FileNotFoundError:
        return f"{STATE_MARKER} is missing"
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        return f"{STATE_MARKER} cannot be read: {error}"
    return None


def clean_states(root: Path, keep: Path | None) -> None:
    """Removes what an interrupted training left: drafts, and states newer than the one from which it goes on."""
    last = _step(keep) if keep is not None else -1
    for draft in root.glob(_DRAFTS):
        shutil.rmtree(draft, ignore_errors=True)
    for step, folder in _states(root):
        if step > last:
            shutil.rmtree(folder, ignore_errors=True)


def steps_done(state: Path | None) -> int:
    """Updates after which a state was saved; 0 without one."""
    return 0 if state is None else _step(state)


def _states(root: Path) -> list[tuple[int, Path]]:
    return [(_step(path), path) for path in root.glob("checkpoint-*") if _STATE.fullmatch(path.name) and path.is_dir()]


def _step(folder: Path) -> int:
    return int(folder.name.removeprefix("checkpoint-"))


def read_facts(folder: Path) -> TrainingFacts | None:
    """What a checkpoint says about its training; None if it says nothing.

    Raises:
        MissingError: The file is damaged.
    """
    path = folder / TRAINING_FILE
    if not path.is_file():
        return None
    try:
        return TrainingFacts.model_validate_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise MissingError(
            f"What the checkpoint says about its training cannot be read: {str(error).splitlines()[0]}.",
            where=str(path),
            hint="Delete the folder and start again with --resume.",
        ) from error
