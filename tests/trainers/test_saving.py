"""States and checkpoints on disk: whole or passed over, never half-written; and the log."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch
from babyeval.trainers.history import append_line, cut_back, draw, read_lines
from babyeval.trainers.saving import (
    TrainingFacts,
    choose_state,
    clean_states,
    save_checkpoint,
    seal_state,
    state_draft,
    state_folder,
    writing,
)
from tiny import make_tokenizer

from babyeval.errors import MissingError, UsageError

FACTS = TrainingFacts(condition="c", seed=1, words_seen=10, tokens_seen=20, step=3, recipe={})


def ends(folder: Path) -> object:
    from transformers import GenerationConfig

    return GenerationConfig.from_pretrained(folder).eos_token_id


@pytest.mark.parametrize("known", [None, 2, [2, 7]])
def test_a_tuned_model_stops_at_what_ends_its_replies(known: object, tmp_path: Path) -> None:
    tokenizer = make_tokenizer("bos_eos")
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    tokenizer.chat_template = (Path(__file__).parents[2] / "trainers" / "templates" / "chatml.jinja").read_text()
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    eos, mark = tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("<|im_end|>")

    def write_weights(folder: Path) -> None:
        (folder / "generation_config.json").write_text(json.dumps({"_from_model_config": True, "eos_token_id": known}))

    save_checkpoint(tmp_path / "pretrained", write_weights, tmp_path / "tokenizer", FACTS)
    assert ends(tmp_path / "pretrained") == known
    save_checkpoint(tmp_path / "tuned", write_weights, tmp_path / "tokenizer", FACTS.model_copy(update={"words_tuned": 5}))
    before = known if isinstance(known, list) else [] if known is None else [known]
    assert ends(tmp_path / "tuned") == list(dict.fromkeys([*before, eos, mark]))
    save_checkpoint(tmp_path / "nothing", lambda _: None, tmp_path / "tokenizer", FACTS.model_copy(update={"words_tuned": 5}))
    assert ends(tmp_path / "nothing") == [eos, mark]


def make_state(root: Path, step: int) -> Path:
    draft = state_draft(root, step) / f"checkpoint-{step}"
    (draft / "deep").mkdir(parents=True)
    (draft / "optimizer.pt").write_bytes(bytes(range(200)) + bytes([step]))
    (draft / "deep" / "part.pt").write_bytes(b"part")
    (draft / "training_args.bin").write_bytes(b"pickle")
    folder = state_folder(root, step)
    seal_state(draft, folder)
    return folder


def test_two_states_are_kept_and_the_newest_is_chosen(tmp_path: Path) -> None:
    for step in (5, 10, 100, 20):  # a resumed training may write a lower number than lies there
        make_state(tmp_path, step)
    assert {path.name for path in tmp_path.glob("checkpoint-*")} == {"checkpoint-100", "checkpoint-20"}
    folder, said = choose_state(tmp_path)
    assert (folder, said) == (tmp_path / "checkpoint-100", [])
    assert not list(tmp_path.rglob("training_args.bin"))


def cut(folder: Path) -> None:
    path = folder / "optimizer.pt"
    path.write_bytes(path.read_bytes()[:100])


def change(folder: Path) -> None:
    path = folder / "optimizer.pt"
    path.write_bytes(bytes(len(path.read_bytes())))


def lose(folder: Path) -> None:
    (folder / "deep" / "part.pt").unlink()


def unmark(folder: Path) -> None:
    (folder / "whole.json").unlink()


def cut_marker(folder: Path) -> None:
    (folder / "whole.json").write_text("{")


def strange_marker(folder: Path) -> None:
    (folder / "whole.json").write_text("[1]")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (cut, "100 bytes instead of 201"),
        (change, "has changed"),
        (lose, "part.pt is missing"),
        (unmark, "whole.json is missing"),
        (cut_marker, "cannot be read"),
        (strange_marker, "cannot be read"),
    ],
)
def test_a_damaged_state_is_passed_over_and_said(damage: Callable[[Path], None], reason: str, tmp_path: Path) -> None:
    old, new = make_state(tmp_path, 4), make_state(tmp_path, 8)
    damage(new)
    folder, said = choose_state(tmp_path)
    assert folder == old
    assert len(said) == 1
    assert str(new) in said[0]
    assert reason in said[0]
    damage(old)
    assert choose_state(tmp_path)[0] is None


def test_a_state_that_was_being_written_is_passed_over_and_said(tmp_path: Path) -> None:
    old = make_state(tmp_path, 4)
    (state_draft(tmp_path, 8) / "checkpoint-8").mkdir(parents=True)
    folder, (remark,) = choose_state(tmp_path)
    assert folder == old
    assert f"{state_folder(tmp_path, 8)} is not whole (the training ended while it was written)" in remark


def test_what_an_interrupted_training_left_is_removed(tmp_path: Path) -> None:
    old, new = make_state(tmp_path, 4), make_state(tmp_path, 8)
    state_draft(tmp_path, 12).mkdir()
    clean_states(tmp_path, old)
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-4"]
    clean_states(tmp_path, None)
    assert list(tmp_path.iterdir()) == []
    assert choose_state(new.parent / "nowhere") == (None, [])


def tokenizer_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "tokenizer"
    (folder / "sub").mkdir(parents=True)
    (folder / "tokenizer.json").write_text("{}")
    return folder


def test_a_checkpoint_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    folder = tmp_path / "chck_10"
    folder.mkdir()
    (folder / "old").touch()

    def weights(draft: Path) -> None:
        assert (folder / "old").exists()  # until the new one is whole
        (draft / "model.safetensors").write_bytes(b"weights")
        (draft / "training_args.bin").write_bytes(b"pickle")

    save_checkpoint(folder, weights, tokenizer_folder(tmp_path), FACTS)
    assert sorted(path.name for path in folder.iterdir()) == ["babyeval.json", "model.safetensors", "tokenizer.json"]
    content = json.loads((folder / "babyeval.json").read_text())
    assert (content["schema_version"], content["words_seen"], content["parent_digest"]) == (1, 10, None)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:664] . unexpected pos 64 vs 0"),
    ],
)
def test_a_full_disk_leaves_nothing_half_written(error: Exception, tmp_path: Path) -> None:
    def weights(draft: Path) -> None:
        (draft / "model.safetensors").write_bytes(b"wei")
        raise error

    with pytest.raises(MissingError, match="Could not write"):
        save_checkpoint(tmp_path / "chck_10", weights, tokenizer_folder(tmp_path), FACTS)
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer"]


def test_the_safetensors_librarys_error_too(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    with pytest.raises(MissingError, match="Could not write"), writing(tmp_path):
        save_file({"a": np.zeros(2)}, tmp_path / "nowhere" / "model.safetensors")


def test_an_error_in_words_and_an_interrupt_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="words"), writing(tmp_path):
        raise UsageError("in words")
    with pytest.raises(torch.OutOfMemoryError), writing(tmp_path):
        raise torch.OutOfMemoryError("CUDA out of memory.")
    error = RuntimeError("a library's own")
    error.__cause__ = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt), writing(tmp_path):
        raise error


def test_a_log_is_cut_back_to_the_state(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    cut_back(path, 3)
    assert not path.exists()
    for step in (1, 2, 3, 3, 4, 5):
        append_line(path, {"step": step, "words": step * 10, "loss": 1.0})
    with path.open("a") as file:
        file.write('{"step": 6, "wo')  # the process was killed here
    assert [line["step"] for line in read_lines(path)] == [1, 2, 3, 3, 4, 5]
    cut_back(path, 3)
    assert [line["step"] for line in read_lines(path)] == [1, 2, 3, 3]
    assert path.read_text().endswith("}\n")
    shutil.rmtree(tmp_path)
    with pytest.raises(MissingError, match="Could not write"):
        append_line(path, {})


def test_the_figure_shows_training_and_each_domain(tmp_path: Path) -> None:
    path = tmp_path / "training.svg"
    draw([], path, "nothing")
    assert not path.exists()
    lines = [{"step": i, "words": 100 * 3**i, "loss": 5.0 - i} for i in range(4)]
    lines.append({"step": 4, "words": 9000, "validation": {"tales": {"loss": 2.0}, "all": {"loss": 2.5}}})
    draw(lines, path, "a title & more")
    text = "".join(ElementTree.parse(path).getroot().itertext())  # noqa: S314 (our own file)
    for part in ("a title & more", "words seen", "validation, tales", "validation, all", "training"):
        assert part in text
