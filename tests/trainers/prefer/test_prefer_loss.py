"""Loss, gradients, references, margins and accuracy of a real batch against a computation by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from babyeval.trainers.instruct.rows import Row
from babyeval.trainers.prefer.engine import PreferenceTrainer
from babyeval.trainers.prefer.pairs import encode_pairs, training_order
from babyeval.trainers.prefer.references import References, measure, pair_loss
from babyeval.trainers.schedule import Schedule
from tiny import make_tokenizer
from transformers import AutoModelForCausalLM
from trl import DPOConfig

from babyeval.progress import Quiet

BETA = 0.3
ROWS = [
    ("Why does the dog bark?", "Because of the moon.", "It is a dog."),
    ("What did she say?", "That the cup is on the table, twice!", "Nothing."),
    ("Is it cold?", "No.", "Every child who sings has ever been unhappy."),
    ("Who sings?", "The dogs.", "Nobody walked to the unlikeliest of places because it rained."),
    ("Did he buy it?", "He did.", "He did not, and said so to the dog near the old houses."),
]


@pytest.fixture
def setting(tmp_path, tiny_folder):
    """A trainer over five pairs, of which the longest sides are cut, and the model that it began with."""
    folder = tiny_folder("llama", "bos_eos")
    tokenizer = make_tokenizer("bos_eos")
    pairs = encode_pairs(tokenizer, [Row(p, c, "mine", "en", rejected=r) for p, c, r in ROWS], 40)
    assert pairs.cut
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    parent = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def make(beta: float = BETA, **more):
        settings = DPOConfig(
            output_dir=str(tmp_path / "states"), max_steps=4, per_device_train_batch_size=3, use_cpu=True, bf16=False, beta=beta,
            max_length=None, precompute_ref_log_probs=True, gradient_checkpointing=False, report_to=[], disable_tqdm=True,
            learning_rate=1e-2, remove_unused_columns=False, train_sampling_strategy="sequential", save_strategy="no",
            **more,
        )  # fmt: skip
        return PreferenceTrainer(
            model, tokenizer, pairs, training_order(len(pairs.pairs), 12, seed=1),
            References(tmp_path, "parent", "float32", 2, Quiet()),
            settings=settings, schedule=Schedule(4, {}, 0), states=tmp_path / "states", callbacks=[],
        )  # fmt: skip

    return make, pairs, parent


def by_hand(model, prompt, reply) -> torch.Tensor:
    """Sum over the reply's tokens of the logarithm of their probabilities, one sequence, one token at a time."""
    ids = [*prompt, *reply]
    logits = model(torch.tensor([ids])).logits[0].double()
    total = torch.zeros((), dtype=torch.float64)
    for place in range(len(prompt), len(ids)):
        total = total + torch.log(torch.exp(logits[place - 1, ids[place]]) / torch.exp(logits[place - 1]).sum())
    return total


def ratios_by_hand(model, parent, pair) -> torch.Tensor:
    with torch.no_grad():
        was = by_hand(parent, pair.prompt, pair.chosen) - by_hand(parent, pair.prompt, pair.rejected)
    return by_hand(model, pair.prompt, pair.chosen) - by_hand(model, pair.prompt, pair.rejected) - was


def moved(model) -> None:
    """Lets the model differ from its parent, else every margin is 0."""
    torch.manual_seed(3)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.05 * torch.randn_like(weight))


def test_references_are_the_parents_and_computed_once(setting, monkeypatch):
    make, pairs, parent = setting
    trainer = make()
    with torch.no_grad():
        expected = [[by_hand(parent, p.prompt, side(p)).item() for p in pairs.pairs] for side in (chosen, rejected)]
    found = trainer._log_probabilities(pairs)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    order = training_order(len(pairs.pairs), 12, seed=1)
    rows = trainer.train_dataset
    assert len(rows) == 12
    for place, number in enumerate(order):
        assert rows[place]["chosen_ids"] == list(pairs.pairs[number].chosen)
        assert rows[place]["ref_chosen_logps"] == pytest.approx(expected[0][number], rel=1e-5)
        assert rows[place]["ref_rejected_logps"] == pytest.approx(expected[1][number], rel=1e-5)

    moved(trainer.model)
    monkeypatch.setattr(PreferenceTrainer, "compute_ref_log_probs", None)  # a second computation would fail
    np.testing.assert_array_equal(make()._log_probabilities(pairs), found)


def chosen(pair):
    return pair.chosen


def rejected(pair):
    return pair.rejected


@pytest.mark.parametrize("kind", ["sigmoid", "hinge"])
def test_loss_and_gradients_of_a_batch(setting, kind):
    make, pairs, parent = setting
    trainer = make(loss_type=[kind])
    model = trainer.model
    moved(model)
    batch = next(iter(trainer.get_train_dataloader()))
    model.train()
    loss = trainer.compute_loss(model, batch)
    model.zero_grad()
    loss.backward()
    found = {name: weight.grad.clone() for name, weight in model.named_parameters()}

    model.eval()
    model.zero_grad()
    order = training_order(len(pairs.pairs), 12, seed=1)[:3]
    losses = []
    for number in order:
        x = BETA * ratios_by_hand(model, parent, pairs.pairs[number])
        losses.append(torch.clamp(1 - x, min=0) if kind == "hinge" else -torch.log(1 / (1 + torch.exp(-x))))
    expected = torch.stack(losses).mean()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    largest = max(weight.grad.abs().max().item() for weight in model.parameters())
    assert largest > 1e-3
    for name, weight in model.named_parameters():
        torch.testing.assert_close(found[name], weight.grad, rtol=1e-3, atol=1e-5 * largest, msg=name)


def test_before_the_first_update_nothing_is_preferred(setting):
    make, pairs, _ = setting
    trainer = make()
    losses = measure(trainer, {"mine": trainer.validation_set(pairs)})
    assert losses["mine"].loss == pytest.approx(math.log(2), rel=1e-6)
    assert losses["mine"].margin == pytest.approx(0, abs=1e-5)


def test_validation_is_a_mean_over_pairs(setting):
    make, pairs, parent = setting
    trainer = make()
    sets = {"mine": trainer.validation_set(pairs), "less": trainer.validation_set(type(pairs)(pairs.pairs[:2], 0, {}))}
    moved(trainer.model)
    found = measure(trainer, sets)
    assert trainer.model.training
    trainer.model.eval()
    with torch.no_grad():
        margins = [BETA * ratios_by_hand(trainer.model, parent, pair).item() for pair in pairs.pairs]
    for name, chosen_margins in (("mine", margins), ("less", margins[:2]), ("all", margins + margins[:2])):
        losses = [math.log(1 + math.exp(-margin)) for margin in chosen_margins]
        assert found[name].loss == pytest.approx(np.mean(losses), rel=1e-4)
        assert found[name].margin == pytest.approx(np.mean(chosen_margins), rel=1e-3, abs=1e-5)
        assert found[name].accuracy == pytest.approx(np.mean([margin > 0 for margin in chosen_margins]))
    assert 0 < found["all"].accuracy < 1  # else the share of right ones would prove little
    assert found["all"].words == sum(pair.words for pair in pairs.pairs) + sum(pair.words for pair in pairs.pairs[:2])
    assert found["mine"].tokens == sum(len(pair.chosen) + len(pair.rejected) for pair in pairs.pairs)


def test_pair_losses():
    margins = torch.tensor([-2.0, 0.0, 3.0])
    assert pair_loss("hinge", margins).tolist() == [3.0, 1.0, 0.0]
    assert pair_loss("sigmoid", margins).tolist() == pytest.approx([math.log(1 + math.exp(-x)) for x in (-2, 0, 3)])


def test_attention_dropout_is_off(setting, tiny_folder):
    """The reference has none; a Llama's is no module, and TRL would leave it on."""
    make, _, _ = setting
    trainer = make()
    model = AutoModelForCausalLM.from_pretrained(tiny_folder("llama", "bos_eos"), attention_dropout=0.5)
    from babyeval.trainers.prefer.engine import _switch_off_attention_dropout

    _switch_off_attention_dropout(model)
    model.train()
    ids = trainer.data_collator([trainer.train_dataset[0]])["input_ids"]
    assert torch.equal(model(ids).logits, model(ids).logits)
