"""The tokenizer that a tuning takes from its parent: with its template as it is now, or with another one."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from babyeval.trainers.begun import begin
from babyeval.trainers.checks import check_recipe
from babyeval.trainers.milestones import Origin
from babyeval.trainers.recipe import load_recipe
from babyeval.trainers.stages import parents_tokenizer
from babyeval.trainers.tokenizer import require_marks
from tiny import make_tokenizer
from training import Listener
from transformers import AutoTokenizer

from babyeval.errors import MissingError, UsageError
from babyeval.models.checkpoint import Checkpoint, open_checkpoint
from babyeval.models.naming import parse_model

CHATML = Path(__file__).parents[2] / "trainers" / "templates" / "chatml.jinja"


@pytest.fixture
def folder(tiny_folder: Callable[..., Path], tmp_path: Path) -> Path:
    made = Path(shutil.copytree(tiny_folder("llama", "bos_eos"), tmp_path / "parent"))
    (made / "chat_template.jinja").write_text("{{ messages[0].content }}")
    return made


def opened(folder: Path) -> Checkpoint:
    return open_checkpoint(parse_model(str(folder)))


def template(folder: Path) -> Any:
    return AutoTokenizer.from_pretrained(folder).chat_template


def test_a_template_that_was_changed_is_not_taken_from_before(folder: Path, tmp_path: Path) -> None:
    first = opened(folder)
    made = parents_tokenizer(first, tmp_path / "runs")
    (folder / "chat_template.jinja").write_text("{{ messages[-1].content }}")
    second = opened(folder)
    assert first.digest == second.digest
    other = parents_tokenizer(second, tmp_path / "runs")
    assert (template(made), template(other)) == ("{{ messages[0].content }}", "{{ messages[-1].content }}")
    assert parents_tokenizer(first, tmp_path / "runs") == made
    assert (made / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


def test_a_tuning_may_take_another_template(folder: Path, tmp_path: Path) -> None:
    parent, listener = opened(folder), Listener()
    mine = tmp_path / "mine.jinja"
    mine.write_text("{% for message in messages %}{{ message.content }}{% endfor %}")
    made = parents_tokenizer(parent, tmp_path / "runs", str(mine), listener)
    assert template(made) == mine.read_text()
    assert not listener.said
    chatml = parents_tokenizer(parent, tmp_path / "runs", "chatml", listener)
    assert template(chatml) == CHATML.read_text()
    assert listener.heard("<|im_end|> (")
    assert template(parents_tokenizer(parent, tmp_path / "runs")) == parent.tokenizer.chat_template == "{{ messages[0].content }}"
    assert all((one / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes() for one in (made, chatml))


def test_marks_of_a_template_that_the_vocabulary_has_or_has_not() -> None:
    tokenizer = make_tokenizer("bos_eos")
    tokenizer.chat_template = CHATML.read_text()
    pieces = len(tokenizer("<|im_start|>", add_special_tokens=False)["input_ids"])
    assert f"<|im_start|> ({pieces} tokens)" in require_marks(tokenizer, "chatml")
    tokenizer.add_tokens(["<|im_start|>", "<|im_end|>"], special_tokens=True)
    assert require_marks(tokenizer, "chatml") == ""
    words = make_tokenizer("cls_sep")
    words.chat_template = CHATML.read_text()
    with pytest.raises(UsageError, match=r"no tokens for the marks .*<\|im_end\|>"):
        require_marks(words, "chatml")


def test_a_template_that_is_not_there_is_said_before_anything_is_computed() -> None:
    with pytest.raises(MissingError, match="no chat template 'chatlm'"):
        check_recipe(load_recipe("tiny-merged", ("instruct.chat_template=chatlm",)))


def test_a_training_does_not_go_on_with_another_template(folder: Path, tmp_path: Path) -> None:
    recipe = load_recipe("tiny-merged")
    origin, changed = (Origin("corpus", "tokenizer", "parent", {}, digest) for digest in ("one", "other"))
    begin(tmp_path / "run", recipe, origin, folder, going_on=False)
    begin(tmp_path / "run", recipe, origin, folder, going_on=True)
    with pytest.raises(UsageError, match="its chat_template changed"):
        begin(tmp_path / "run", recipe, changed, folder, going_on=True)
