"""What a training comes to: memory against published numbers and against what autograd keeps, and early refusals."""

from __future__ import annotations

import pytest
import torch
from babyeval.trainers.checks import check_recipe
from babyeval.trainers.estimate import Estimate, estimate
from babyeval.trainers.memory import activation_bytes, state_bytes, zero_bytes
from babyeval.trainers.model import model_config
from babyeval.trainers.recipe import ModelSpec, Recipe, TokenizerSpec, Training, load_recipe
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

from babyeval.errors import UsageError


def recipe(model: dict | None = None, vocab_size: int = 300, **training) -> Recipe:
    sizes = {"hidden_size": 96, "layers": 4, "heads": 4, "max_length": 128, **(model or {})}
    return Recipe(
        model=ModelSpec(**sizes),
        tokenizer=TokenizerSpec(vocab_size=vocab_size),
        pretrain=Training(**{"learning_rate": 1e-3, **training}),
    )


@pytest.mark.parametrize(
    ("stage", "gigabytes"),
    [(0, 120), (1, 31.4), (2, 16.6), (3, 1.9)],  # figure 1 of the ZeRO paper: 7.5 billion parameters, 64 devices, Adam
)
def test_states_take_what_the_zero_paper_says(stage, gigabytes):
    assert sum(zero_bytes(2, 12, stage, 64)) * 7.5 == pytest.approx(gigabytes, abs=0.05)


def test_one_process_takes_what_pytorch_is_seen_to_take():
    model = torch.nn.Linear(50, 40)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 50)).sum().backward()
    optimizer.step()
    count = sum(weight.numel() for weight in model.parameters())
    moments = sum(value.nbytes for state in optimizer.state.values() for value in state.values() if value.dim())
    seen = [sum(w.nbytes for w in model.parameters()), sum(w.grad.nbytes for w in model.parameters()), moments]
    assert [part * count for part in state_bytes(False, None, 1)] == seen


def test_a_stage_never_takes_more_than_the_one_before():
    for bfloat16 in (False, True):
        for devices in (2, 8, 64):
            together = [sum(state_bytes(bfloat16, stage, devices)) for stage in (1, 2, 3)]
            assert together == sorted(together, reverse=True)
            assert together[0] <= sum(state_bytes(bfloat16, 0, devices))


def layer_bytes(**training) -> float:
    """One layer of a GPT of 175 billion parameters, by Korthikanti et al., section 4.1: 2,048 tokens, 96 heads of 128."""
    shape = {"architecture": "bert", "hidden_size": 12_288, "heads": 96, "max_length": 2_048, "dropout": 0.1}
    one, two = (activation_bytes(recipe({**shape, "layers": layers}, **training), micro=1) for layers in (1, 2))
    return (two - one) / (2_048 * 12_288)


def test_a_layer_takes_what_the_paper_on_activations_says():
    """The paper's 34 bytes are 32 of 16-bit tensors and 2 of masks, its 5 a s / h = 80 are 64 and 16; here tensors have 32 bits."""
    assert layer_bytes(attention="eager") == pytest.approx(2 * 32 + 2 + 2 * 64 + 16)
    assert layer_bytes(attention="sdpa") == pytest.approx(2 * 32 + 2)
    assert layer_bytes(attention="eager", gradient_checkpointing=True) == pytest.approx(2 * 2)


def kept(asked: Recipe, micro: int, *, autocast: bool) -> tuple[int, int]:
    """Bytes that autograd keeps of a forward pass, and those of bfloat16 copies of weights among them."""
    family = AutoModelForCausalLM if asked.model.causal else AutoModelForMaskedLM
    vocabulary = asked.tokenizer.vocab_size
    model = family.from_config(model_config(asked.model, vocabulary, attention=asked.pretrain.attention)).train()
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    shapes = {shape for weight in model.parameters() for shape in (weight.shape, weight.shape[::-1])}
    activations, copies = {}, {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            copied = tensor.dtype == torch.bfloat16 and tensor.shape in shapes
            (copies if copied else activations)[storage.data_ptr()] = storage
        return tensor

    ids = torch.randint(5, vocabulary, (micro, asked.sequence_length), generator=torch.Generator().manual_seed(0))
    with torch.autograd.graph.saved_tensors_hooks(note, lambda kept: kept), torch.autocast("cpu", enabled=autocast):
        model(input_ids=ids, labels=ids)
    return sum(one.nbytes() for one in activations.values()), sum(one.nbytes() for one in copies.values())


@pytest.mark.parametrize("architecture", ["llama", "gpt2", "bert", "roberta"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_activations_are_about_what_autograd_keeps(architecture, dtype, attention):
    asked = recipe({"architecture": architecture}, vocab_size=600, dtype=dtype, attention=attention)
    micro, autocast = 2, dtype == "bfloat16"
    seen, copies = kept(asked, micro, autocast=autocast)
    gradients_of_the_head = 2 * 4 * micro * 128 * 600  # come in the backward pass
    expected = activation_bytes(asked, micro) - gradients_of_the_head
    lowest = 0.65 if autocast and attention == "eager" else 0.85
    assert lowest < expected / seen < 1.1
    in_products = sum(  # the copies of autocast: all weights but those of embeddings and norms
        weight.numel() for name, weight in torch_parameters(asked) if weight.dim() == 2 and "embe" not in name and ".w" in name
    )
    assert copies == (pytest.approx(2 * in_products, rel=0.1) if autocast else 0)


def torch_parameters(asked: Recipe) -> list[tuple[str, torch.Tensor]]:
    from babyeval.trainers.model import empty_model

    skipped = ("wte.", "wpe.")
    named = empty_model(asked.model, asked.tokenizer.vocab_size).named_parameters()
    return [(name, weight) for name, weight in named if not any(part in name for part in skipped)]


def test_without_a_corpus_parameters_are_exact_and_counts_null_with_a_reason(tmp_path):
    plan = estimate(load_recipe("class-it-140m"), tmp_path)
    assert (plan.parameters, plan.vocab_size, plan.batch_tokens) == (140_231_872, 32_000, 8 * 1024)
    unknown = {"train_words", "valid_words", "tokens", "sequences", "updates", "words_seen", "checkpoints"}
    assert {name for name, value in plan if value is None} == unknown == set(plan.unknown)
    assert all("--corpus" in reason for reason in plan.unknown.values())
    assert Estimate.model_validate(plan.model_dump(mode="json", exclude={"memory": {"__all__": {"total"}}})) == plan
    assert list(tmp_path.iterdir()) == []


def test_memory_is_shown_for_every_stage_and_number_of_devices(tmp_path):
    plan = estimate(load_recipe("class-it-140m"), tmp_path)
    assert [(one.devices, one.zero) for one in plan.memory] == [(n, z) for n in (1, 2, 4, 8) for z in (None, 0, 1, 2, 3)]
    assert {(one.devices, one.micro_batch_size) for one in plan.memory} == {(1, 8), (2, 4), (4, 2), (8, 1)}
    assert all(one.total == one.weights + one.gradients + one.optimizer + one.activations for one in plan.memory)
    chosen = estimate(load_recipe("class-it-140m", ("pretrain.zero=2", "pretrain.devices=4")), tmp_path).memory
    assert [(one.devices, one.zero) for one in chosen if one.chosen] == [(4, 2)]
    assert {one.devices for one in chosen} == {4}


def test_remarks_say_what_was_hardly_meant(tmp_path):
    warmup = estimate(recipe(max_steps=50, warmup_steps=50, sequence_length=64), tmp_path)
    assert warmup.updates == 50
    assert any("warm-up (50" in line for line in warmup.remarks)
    assert any("64 tokens" in line and "128" in line for line in warmup.remarks)
    assert estimate(recipe(max_steps=51, warmup_steps=50), tmp_path).remarks == ()


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"schedule": "cosin"}, ("'cosin'", "'cosine'")),
        ({"schedule": "greedy"}, ("follows the loss",)),
        ({"schedule": "constant", "warmup_steps": 5}, ("no warm-up", "warmup_steps = 5")),
        ({"schedule": "cosine", "schedule_options": {"num_cicles": 3}}, ("num_cicles",)),
        ({"schedule": "warmup_stable_decay"}, ("warmup_stable_decay", "num_decay_steps")),
        ({"attention": "flash_attention_2"}, ("16 bits", "float32")),
        ({"batch_size": 8, "devices": 3}, ("8 sequences", "3 devices")),
        ({"batch_size": 8, "micro_batch_size": 3}, ("8 sequences", "passes of 3")),
    ],
)
def test_a_training_that_would_fail_later_is_refused_at_once(training, words, tmp_path):
    for ask in (check_recipe, lambda asked: estimate(asked, tmp_path)):
        with pytest.raises(UsageError) as error:
            ask(recipe(**training))
        for word in words:
            assert word in error.value.what


@pytest.mark.parametrize(
    "training",
    [
        {"schedule": "linear", "warmup_steps": 5},
        {"schedule": "constant"},
        {"schedule": "cosine_with_restarts", "schedule_options": {"num_cycles": 3}},
        {"schedule": "warmup_stable_decay", "schedule_options": {"num_decay_steps": 20}, "max_steps": 100},
        {"schedule": "cosine_with_min_lr", "schedule_options": {"min_lr_rate": 0.1}},
        {"attention": "flash_attention_2", "dtype": "bfloat16"},
        {"batch_size": 8, "micro_batch_size": 2, "devices": 2},
    ],
)
def test_a_training_that_can_be_passes(training):
    check_recipe(recipe(**training))
