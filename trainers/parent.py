"""The checkpoint from which a pre-training goes on: whether it is the model that the recipe describes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from babyeval.errors import UsageError

from .model import DROPOUT, SHAPE, SPECIAL_IDS, model_config
from .recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedConfig

    from babyeval.models.checkpoint import Checkpoint

    from .sections import ModelSpec


def as_parent(recipe: Recipe, parent: Checkpoint) -> Recipe:
    """The recipe with the parent's values for what it does not say of the model, so that it describes what is trained.

    Args:
        recipe: What is asked for.
        parent: The checkpoint whose weights, and configuration, the training begins with.

    Raises:
        UsageError: What the recipe says is another model, of which the text names keys and both values; or the parent's
            tokenizer is not its own.
    """
    spec, config = recipe.model, parent.config
    if config.model_type != spec.architecture:
        raise _another(recipe, [f"model.architecture: {config.model_type} there, {spec.architecture} here"])
    if len(parent.tokenizer) != config.vocab_size:
        raise UsageError(
            f"The parent's tokenizer has {len(parent.tokenizer):,} tokens, and its model knows {config.vocab_size:,}.",
            where=str(recipe.parent),
            hint="Go on from a checkpoint with a row of its embeddings for each token, and no more; is the tokenizer its own?",
        )
    names = _names(spec)
    filled = spec.model_copy(update=_left_open(spec, config, names))
    padding = {"pad_token_id": getattr(config, "pad_token_id", None)}  # a RoBERTa counts positions from there
    wanted = model_config(filled, len(parent.tokenizer), padding)
    wrong = [
        f"model.{key}: {name} {there!r} there, {here!r} here"
        for key, its in names.items()
        for name in its
        if (there := _value(config, name)) != (here := _value(wanted, name))
        and (key != "dropout" or "dropout" in spec.model_fields_set)
    ]
    if wrong:
        raise _another(recipe, wrong)
    extra = {name: getattr(config, name) for name in _own(wanted) if getattr(config, name, None) != getattr(wanted, name)}
    return recipe.model_copy(update={"model": filled.model_copy(update={"extra": {**spec.extra, **extra}})})


def _names(spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """The configuration's names for each key of the recipe's section."""
    sizes = ("hidden_size", "layers", "heads", "intermediate_size", "max_length")
    return {
        **{key: (name,) for key, name in zip(sizes, SHAPE[spec.architecture], strict=True)},
        "tie_embeddings": ("tie_word_embeddings",),
        "dropout": tuple(name for name in DROPOUT[spec.architecture] if name not in spec.extra),
        **{f"extra.{name}": (name,) for name in spec.extra},
    }


def _left_open(spec: ModelSpec, config: PreTrainedConfig, names: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """The parent's values of keys that the recipe does not set; of several dropouts one."""
    keys = ("intermediate_size", "tie_embeddings", "dropout")
    return {key: _value(config, names[key][0]) for key in keys if key not in spec.model_fields_set and names[key]}


def _value(config: PreTrainedConfig, name: str) -> Any:
    value = getattr(config, name, None)
    return 4 * config.hidden_size if name == "n_inner" and value is None else value  # as GPT-2 reads it


def _own(config: PreTrainedConfig) -> list[str]:
    """The names that `extra` may set: what the architecture knows and the recipe does not say elsewhere."""
    from transformers import PreTrainedConfig

    elsewhere = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    elsewhere |= {*SHAPE[config.model_type], *SPECIAL_IDS, "vocab_size", "tie_word_embeddings"}
    return [field.name for field in dataclasses.fields(config) if field.name not in elsewhere]


def _another(recipe: Recipe, wrong: list[str]) -> UsageError:
    return UsageError(
        f"The parent is another model than the recipe's: {'; '.join(wrong)}.",
        where=str(recipe.parent),
        hint="Give these keys the parent's values (intermediate_size, tie_embeddings, dropout and extra may be left out, and "
        "are then the parent's), or begin with fresh weights by leaving 'parent' out.",
    )
