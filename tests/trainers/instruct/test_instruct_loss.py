"""The loss of a tuning by hand, from tokens and labels made without the code under test; and a template of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from babyeval.trainers.instruct.rows import Row
from babyeval.trainers.instruct.sets import build_set
from babyeval.trainers.instruct.spec import SetSpec
from babyeval.trainers.recipe import load_recipe
from babyeval.trainers.stages import run_stage
from training import Listener
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

from babyeval.progress import Quiet

RECIPE = """
condition = "one_update"
parent = {parent}
[sets.mine]
kind = "file"
file = {file}
valid_share = 0.01
[instruct]
chat_template = "chatml"
batch_size = {rows}
micro_batch_size = {micro}
max_steps = 1
learning_rate = 0.001
[instruct.curriculum]
single = "mine"
epochs = 1
[checkpoints]
resume_steps = 0
[logging]
steps = 1
report_to = []
"""


def loss_by_hand(model: Any, tokenizer: Any, rows: list[Row]) -> float:
    """The mean over all tokens of replies and their ends of minus the log-probability, one row at a time."""
    total, count = 0.0, 0
    for row in rows:
        prompt = f"<s><|im_start|>user\n{row.prompt}<|im_end|>\n<|im_start|>assistant\n"
        before, whole = (
            tokenizer(text, add_special_tokens=False)["input_ids"] for text in (prompt, f"{prompt}{row.reply}<|im_end|></s>")
        )
        assert whole[: len(before)] == before
        with torch.no_grad():
            log_probabilities = model(torch.tensor([whole])).logits[0].double().log_softmax(-1)
        for place in range(len(before), len(whole)):
            total -= float(log_probabilities[place - 1, whole[place]])
            count += 1
    return total / count


def test_the_loss_of_an_update_is_the_mean_over_the_tokens_of_its_replies(
    tiny_folder: Callable[..., Path], tmp_path: Path
) -> None:
    parent, file = tiny_folder("llama", "bos_eos", positions=256), tmp_path / "mine.jsonl"
    lines = [{"prompt": f"Who sees moon {n}?", "reply": f"The old cat sees it{' again' * (n % 4)}."} for n in range(9)]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    rows = list(build_set("mine", SetSpec(kind="file", file=file, valid_share=0.01), None, tmp_path, Quiet()).rows("train"))
    assert len(rows) == 8
    text = RECIPE.format(parent=json.dumps(str(parent)), file=json.dumps(str(file)), rows=len(rows), micro=2)
    (tmp_path / "mine.toml").write_text(text)
    listener = Listener()
    result = run_stage("instruct", load_recipe(str(tmp_path / "mine.toml")), tmp_path / "runs", False, listener)
    log = [json.loads(line) for line in (result.folder / "log.jsonl").read_text().splitlines()]
    tokenizer = AutoTokenizer.from_pretrained(parent)
    expected = loss_by_hand(AutoModelForCausalLM.from_pretrained(parent).eval(), tokenizer, rows)
    assert next(line["loss"] for line in log if "loss" in line) == pytest.approx(expected, abs=2e-4)
    assert listener.heard("<|im_end|> (")
    final = result.folder / "final"
    template = Path(__file__).parents[3] / "trainers" / "templates" / "chatml.jinja"
    assert AutoTokenizer.from_pretrained(final).chat_template == template.read_text()
    assert GenerationConfig.from_pretrained(final).eos_token_id == tokenizer.eos_token_id
    assert json.loads((final / "babyeval.json").read_text())["recipe"]["instruct"]["chat_template"] == "chatml"
    assert json.loads((result.folder / "origin.json").read_text())["chat_template"]
