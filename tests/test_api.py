"""The Python API: a path or a loaded model in, results out."""

from __future__ import annotations

import pytest
import torch
from tiny import make_model, make_tokenizer

import babyeval
from babyeval.errors import MissingError, UsageError


def test_a_loaded_model_scores_as_its_folder_does(tiny_folder, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = tiny_folder("llama", "bos")
    (a,) = babyeval.evaluate(folder, ["blimp"], split="mini", out=tmp_path / "a")
    model, tokenizer = AutoModelForCausalLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    (b,) = babyeval.evaluate(model, ["blimp"], tokenizer=tokenizer, name="mine", split="mini", out=tmp_path / "b")
    assert [score.value for score in a.scores] == [score.value for score in b.scores]
    assert (b.model.name, b.model.source) == ("mine", "memory")
    assert b.timing.rows_computed > 0


def test_a_loaded_model_is_left_as_it_was(tmp_path):
    """Evaluating between two steps of training must not end the training."""
    tokenizer = make_tokenizer("bos")
    model = make_model("gpt2", tokenizer).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    hooks = model.transformer
    babyeval.evaluate(model, ["blimp"], tokenizer=tokenizer, split="mini", limit=5, out=tmp_path)
    assert model.transformer is hooks
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert all(weight.requires_grad for weight in model.parameters())
    assert model.training


def test_dropout_is_off_while_scoring(tmp_path):
    tokenizer = make_tokenizer("bos")
    options = {"tokenizer": tokenizer, "split": "mini", "fresh": True, "out": tmp_path}
    a, b = (babyeval.evaluate(make_model("gpt2", tokenizer).train(), ["blimp"], **options)[0] for _ in range(2))
    assert [score.value for score in a.scores] == [score.value for score in b.scores]


def test_a_loaded_model_needs_its_tokenizer(tmp_path):
    with pytest.raises(UsageError, match="needs its tokenizer"):
        babyeval.evaluate(make_model("gpt2", make_tokenizer("bos")), ["blimp"], out=tmp_path)


def test_several_tasks_come_back_in_the_order_asked(tiny_folder, tmp_path):
    results = babyeval.evaluate(tiny_folder("gpt2", "bos"), ["blimp_supplement", "blimp"], split="mini", out=tmp_path)
    assert [result.task.name for result in results] == ["blimp_supplement", "blimp"]
    one = babyeval.evaluate(tiny_folder("gpt2", "bos"), "blimp", split="mini", out=tmp_path)
    assert [result.task.name for result in one] == ["blimp"]


def test_an_unknown_option_is_refused_with_the_nearest(tiny_folder, tmp_path):
    with pytest.raises(UsageError, match="did you mean 'split'"):
        babyeval.evaluate(tiny_folder("gpt2", "bos"), ["blimp"], splitt="mini", out=tmp_path)


def test_a_dry_run_writes_and_computes_nothing(tiny_folder, tmp_path, monkeypatch):
    from babyeval.models import load

    monkeypatch.setattr(load, "load_model", lambda *_: pytest.fail("the weights were opened"))
    assert babyeval.evaluate(tiny_folder("gpt2", "bos"), ["blimp"], split="mini", dry_run=True, out=tmp_path / "results") == []
    assert not (tmp_path / "results").exists()


def test_results_come_back_as_a_table(tiny_folder, tmp_path):
    (result,) = babyeval.evaluate(f"tiny={tiny_folder('gpt2', 'bos')}", ["blimp"], split="mini", out=tmp_path)
    table = babyeval.load_results(tmp_path)
    assert len(table) == len(result.scores)
    head = table[table.headline]
    assert len(head) == 1
    assert head.iloc[0].value == result.headline.value
    assert set(table.model) == {"tiny"}
    assert {"revision", "task", "protocol", "split", "backend", "status", "metric", "se", "ci_low", "digest"} <= set(
        table.columns
    )


def test_no_results_folder_is_missing(tmp_path):
    with pytest.raises(MissingError, match="no results folder"):
        babyeval.load_results(tmp_path / "nowhere")


def test_the_package_says_what_it_offers():
    assert set(babyeval.__all__) <= set(dir(babyeval))
    for name in babyeval.__all__:
        assert getattr(babyeval, name).__name__ == name
    assert babyeval.__version__[0].isdigit()
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        babyeval.evaluat  # noqa: B018
