"""Every kind of model learns every mini split under ``robust``; a decoder that reads its first position learns none (D13)."""

from __future__ import annotations

import pytest

from babyeval import evaluate
from babyeval.registry import resolve_tasks

TASKS = [task.card.name for task in resolve_tasks(["finetune"])]
CHANCE = {"mnli": 100 / 3}
POSITIONS = 192  # the tiny tokenizers know few words, so that a line of the mini files is long
MODELS = {"llama": "bos", "gpt2": "bos_eos", "bert": "cls_sep", "roberta": "bos_eos", "t5": "t5", "bart": "bart"}
DECODERS = ("llama", "gpt2")


def accuracies(folder, tmp_path, **options) -> dict[str, float | None]:
    """Accuracy in percent by task, the mean over seeds."""
    results = evaluate(folder, "finetune", split="mini", out=tmp_path, **options)
    assert {result.task.name: result.status for result in results} == dict.fromkeys(TASKS, "done")
    return {r.task.name: next(s.value for s in r.scores if s.metric == "accuracy" and not s.group) for r in results}


@pytest.mark.slow
@pytest.mark.parametrize("architecture", MODELS)
def test_every_kind_of_model_learns_under_robust(architecture, tiny_folder, tmp_path):
    folder = tiny_folder(architecture, MODELS[architecture], positions=POSITIONS)
    found = accuracies(folder, tmp_path, seeds=2)
    print(architecture, found)
    assert {name: value for name, value in found.items() if value < 95} == {}


@pytest.mark.slow
@pytest.mark.parametrize("architecture", DECODERS)
def test_a_decoder_learns_nothing_from_its_first_position(architecture, tiny_folder, tmp_path):
    folder = tiny_folder(architecture, MODELS[architecture], positions=POSITIONS)
    found = accuracies(folder, tmp_path, protocol="babylm-2025")
    print(architecture, found)
    assert found == pytest.approx({name: CHANCE.get(name, 50.0) for name in TASKS})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny-llama", "tiny-bert"])
def test_trained_checkpoints_learn_under_robust(name, shared, tmp_path):
    found = accuracies(shared / "models" / name, tmp_path, seeds=1)
    print(name, found)
    assert {name: value for name, value in found.items() if value < 95} == {}
