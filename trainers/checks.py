"""What a recipe can only be told with the libraries at hand: its schedule, its batch and its model's shape."""

from __future__ import annotations

import difflib
import inspect

from babyeval.errors import UsageError, raise_interrupt

from .recipe import AnyRecipe, Recipe, TuningRecipe, Updates

# These follow the loss, which would make an interrupted training another one when it goes on.
_FOLLOW_THE_LOSS = ("reduce_lr_on_plateau", "greedy")


def check_recipe(recipe: AnyRecipe) -> None:
    """Refuses, before anything is computed, what would fail or be ignored in the middle of a training.

    Args:
        recipe: The recipe, valid as TOML and by itself.

    Raises:
        UsageError: The schedule is unknown or lacks or does not take an option; the attention does not compute in the
            recipe's arithmetic; the batch cannot be divided among the devices; the architecture does not take what
            `model.extra` says; or a tuning's rows are longer than its parent takes, or that one writes nothing.
        MissingError: The chat template or the corpus that is named is not there.
    """
    from .corpus.read import require_folder
    from .model import empty_model
    from .schedule import divide_batch
    from .tokenizer import read_template

    if recipe.data.corpus is not None:
        require_folder(recipe.data.corpus)
    training = recipe.training
    _check_schedule(training, recipe.section)
    _check_attention(training, recipe.section)
    if isinstance(recipe, TuningRecipe) and recipe.training.chat_template is not None:
        read_template(recipe.training.chat_template)
    divide_batch(training.batch_size, training.micro_batch_size, training.devices or 1, recipe.section)
    if isinstance(recipe, TuningRecipe) and recipe.parent is None and recipe.root is not None:  # before the parent is trained
        _check_parent(recipe, recipe.root)
    if isinstance(recipe, Recipe):
        empty_model(recipe.model, recipe.tokenizer.vocab_size)


def _check_parent(recipe: TuningRecipe, root: Recipe) -> None:
    if not root.causal:
        raise UsageError(
            f"The base is a masked model ({root.model.architecture}), which writes no replies.",
            where="base",
            hint="Tuning needs a causal model: llama or gpt2.",
        )
    row_length(recipe, root.model.max_length)


def _check_schedule(training: Updates, section: str) -> None:
    from transformers import SchedulerType
    from transformers.optimization import TYPE_TO_SCHEDULER_FUNCTION

    names = [kind.value for kind in SchedulerType if kind.value not in _FOLLOW_THE_LOSS]
    name = training.schedule
    if name in _FOLLOW_THE_LOSS:
        raise UsageError(
            f"The schedule '{name}' follows the loss, and here the learning rate depends on the update alone.",
            where=f"{section}.schedule",
            hint=f"Choose one of {', '.join(names)}.",
        )
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        raise UsageError(
            f"Unknown schedule '{name}'" + (f" (did you mean '{near[0]}'?)." if near else "."),
            where=f"{section}.schedule",
            hint=f"Choose one of {', '.join(names)}.",
        )
    taken = inspect.signature(TYPE_TO_SCHEDULER_FUNCTION[SchedulerType(name)]).parameters
    if training.warmup_steps and "num_warmup_steps" not in taken:
        raise UsageError(
            f"The schedule '{name}' has no warm-up, so warmup_steps = {training.warmup_steps} would be ignored.",
            where=f"{section}.warmup_steps",
            hint="Set it to 0" + (", or choose constant_with_warmup." if name == "constant" else "."),
        )
    _check_options(training, section)


def _check_attention(training: Updates, section: str) -> None:
    if training.attention == "flash_attention_2" and training.dtype == "float32" and training.zero_config is None:
        raise UsageError(
            "FlashAttention computes in 16 bits, and the recipe in float32.",
            where=f"{section}.attention",
            hint=f"Add --set {section}.dtype=bfloat16, or choose auto, sdpa or eager.",
        )


def _check_options(training: Updates, section: str) -> None:
    """Makes the schedule once, as the trainer will."""
    import torch
    from transformers import get_scheduler

    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=training.learning_rate)
    updates = training.max_steps or 10 * (training.warmup_steps + 1)
    try:
        get_scheduler(
            training.schedule,
            optimizer,
            training.warmup_steps,
            updates,
            scheduler_specific_kwargs=dict(training.schedule_options),
        )
    except Exception as error:  # of any kind: what the schedule's own function makes of wrong options
        raise_interrupt(error)
        reason = " ".join(str(error).split()).rstrip(".")
        raise UsageError(
            f"The schedule '{training.schedule}' cannot be made with these options: {reason}.",
            where=f"{section}.schedule_options",
            hint="The documentation of transformers lists what get_scheduler passes on to each schedule.",
        ) from error


def row_length(recipe: TuningRecipe, window: int | None) -> int:
    """The most tokens of a row of a tuning: the recipe's, or all that the parent takes.

    Args:
        recipe: The tuning.
        window: Tokens that the parent takes; None if nobody says.

    Raises:
        UsageError: The parent takes fewer, or nobody says how many.
    """
    key = f"{recipe.section}.max_length"
    length = recipe.training.max_length or window
    if length is None:
        raise UsageError("Nothing says how many tokens the model takes.", hint=f"Set {key}.")
    if window is not None and length > window:
        raise UsageError(
            f"{key} {length:,} is longer than the model takes ({window:,}).", where=key, hint=f"--set {key}={window}"
        )
    return length
