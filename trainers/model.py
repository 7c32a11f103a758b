"""The model that a recipe describes: its transformers configuration, its fresh weights, and how many they are."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from babyeval.errors import MissingError, UsageError, raise_interrupt

if TYPE_CHECKING:
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from .recipe import ModelSpec, Recipe

SPECIAL_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
# The configuration's name for what the recipe says itself; and for what it says by default, which `extra` may refine.
SHAPE = {
    "llama": ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size", "max_position_embeddings"),
    "gpt2": ("n_embd", "n_layer", "n_head", "n_inner", "n_positions"),
}
SHAPE["bert"] = SHAPE["roberta"] = SHAPE["llama"]
DROPOUT = {
    "llama": ("attention_dropout",),
    "gpt2": ("embd_pdrop", "attn_pdrop", "resid_pdrop"),
    "bert": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
    "roberta": ("hidden_dropout_prob", "attention_probs_dropout_prob"),
}


def model_config(
    spec: ModelSpec, vocab_size: int, ids: Mapping[str, int | None] | None = None, attention: str = "auto"
) -> PreTrainedConfig:
    """The configuration of the model.

    A RoBERTa counts positions from behind its padding token's id, so that its table of positions has
    so many rows more than `spec.max_length`.

    Args:
        spec: The model's shape.
        vocab_size: Rows of the embeddings.
        ids: ``bos_token_id``, ``eos_token_id`` and ``pad_token_id``; one that is absent does not exist.
        attention: As `Training.attention`; ``auto`` leaves it to the library.

    Raises:
        UsageError: `spec.extra` holds a key that the architecture does not know or that the recipe sets
            elsewhere, or a value that it does not take.

    Example:
        >>> from babyeval.trainers.recipe import ModelSpec
        >>> model_config(ModelSpec(hidden_size=64, layers=2, heads=4, max_length=32), 300).intermediate_size
        256
    """
    from transformers import AutoConfig

    known = AutoConfig.for_model(spec.architecture)
    positions = spec.max_length
    token_ids = {name: (ids or {}).get(name) for name in SPECIAL_IDS}
    if spec.architecture == "roberta":
        token_ids["pad_token_id"] = padding = token_ids["pad_token_id"] or 0
        positions += padding + 1
    sizes = (spec.hidden_size, spec.layers, spec.heads, spec.intermediate_size or 4 * spec.hidden_size, positions)
    fixed = {
        **dict(zip(SHAPE[spec.architecture], sizes, strict=True)),
        **token_ids,
        "vocab_size": vocab_size,
        "tie_word_embeddings": spec.tie_embeddings,
    }
    open_to_change = dict.fromkeys(DROPOUT[spec.architecture], spec.dropout)
    if spec.architecture == "roberta":
        open_to_change["type_vocab_size"] = 1  # as its authors': the tokenizer marks no segments
    _require_known(spec, known, fixed)
    _require_even_heads(spec)
    try:
        config = type(known)(**{**open_to_change, **fixed, **spec.extra})
    except Exception as error:  # strict configurations raise a class of their own for each kind of fault
        raise_interrupt(error)
        raise _unusable_shape(error) from error
    if attention != "auto":
        config._attn_implementation = attention
    return config


def _require_known(spec: ModelSpec, known: PreTrainedConfig, fixed: Mapping[str, Any]) -> None:
    """Refuses keys of `extra` that would be ignored, or that would make the recipe say two things."""
    fields = {field.name for field in dataclasses.fields(known)}
    aliases = getattr(known, "attribute_map", {})
    for key in spec.extra:
        if aliases.get(key, key) in fixed:
            raise UsageError(
                f"model.extra.{key} would say a second time what other keys of the recipe say.",
                where="model.extra",
                hint="Set it by the keys of [model]; special tokens and the vocabulary come from the tokenizer.",
            )
        if key not in fields and key not in aliases:
            near = difflib.get_close_matches(key, fields, n=1)
            raise UsageError(
                f"The configuration of {spec.architecture} knows no '{key}'"
                + (f" (did you mean '{near[0]}'?)." if near else "."),
                where="model.extra",
                hint=f"{type(known).__name__} in the documentation of transformers lists its keys.",
            )


def _require_even_heads(spec: ModelSpec) -> None:
    """Finds out what a Llama would say only while it computes: rotary positions turn pairs of a head's dimensions."""
    if spec.architecture != "llama":
        return
    width, shared = spec.extra.get("head_dim", spec.hidden_size // spec.heads), spec.extra.get("num_key_value_heads", spec.heads)
    if isinstance(width, int) and width % 2:
        raise UsageError(
            f"Heads of {width} dimensions cannot be turned by rotary positions, which take them in pairs.",
            where="model.heads",
            hint="Choose hidden_size and heads so that their quotient is even.",
        )
    if isinstance(shared, int) and (shared < 1 or spec.heads % shared):
        raise UsageError(
            f"{spec.heads} heads cannot be divided among {shared} heads of keys and values.",
            where="model.extra.num_key_value_heads",
        )


def _unusable_shape(error: Exception) -> UsageError:
    reason = " ".join(str(error).split()).rstrip(".")
    return UsageError(
        f"The model cannot be made: {reason} ({type(error).__name__}).",
        where="[model]",
        hint="Is every value of [model] and model.extra one that this architecture takes?",
    )


def parameter_count(spec: ModelSpec, vocab_size: int, ids: Mapping[str, int | None] | None = None) -> int:
    """Trainable parameters, shared ones counted once, without allocating them.

    Args:
        spec: The model's shape.
        vocab_size: Rows of the embeddings.
        ids: As of `model_config`; of a RoBERTa the padding token's id decides how many positions there are.

    Example:
        >>> from babyeval.trainers.recipe import ModelSpec
        >>> parameter_count(ModelSpec(hidden_size=8, layers=1, heads=2, max_length=16, intermediate_size=16), 300)
        5464
    """
    return sum(weight.numel() for weight in empty_model(spec, vocab_size, ids).parameters() if weight.requires_grad)


def empty_model(spec: ModelSpec, vocab_size: int, ids: Mapping[str, int | None] | None = None) -> PreTrainedModel:
    """The model with the shapes of its weights, but no memory for them."""
    import torch

    with torch.device("meta"):
        return _from_config(spec, model_config(spec, vocab_size, ids))


def new_model(recipe: Recipe, tokenizer: PreTrainedTokenizerBase) -> PreTrainedModel:
    """A model of random float32 weights, as its architecture draws them; the caller seeds.

    Args:
        recipe: Says shape and attention.
        tokenizer: Decides the size of the embeddings and the special tokens' ids.

    Raises:
        UsageError: The tokenizer has not as many tokens as the recipe says, or `model.extra` is wrong.
        MissingError: The recipe's attention needs a library that is not installed.
    """
    if len(tokenizer) != recipe.tokenizer.vocab_size:
        raise UsageError(
            f"The tokenizer has {len(tokenizer):,} tokens, and the recipe says {recipe.tokenizer.vocab_size:,}: "
            "the model would be of another size than the recipe's.",
            where="tokenizer.vocab_size",
            hint=f"Train the tokenizer of this recipe, or say --set tokenizer.vocab_size={len(tokenizer)}.",
        )
    ids = {name: getattr(tokenizer, name) for name in SPECIAL_IDS}
    config = model_config(recipe.model, len(tokenizer), ids, recipe.pretrain.attention)
    return _from_config(recipe.model, config)


def _from_config(spec: ModelSpec, config: PreTrainedConfig) -> PreTrainedModel:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM

    family = AutoModelForCausalLM if spec.causal else AutoModelForMaskedLM
    try:
        model: PreTrainedModel = family.from_config(config, dtype=torch.float32)
    except ImportError as error:
        raise_interrupt(error)
        raise MissingError(
            f"The attention that the recipe asks for is not installed: {str(error).splitlines()[0]}",
            where="pretrain.attention",
            hint="Choose auto, sdpa or eager, which need no further library.",
        ) from error
    except Exception as error:  # such as a KeyError for an activation that it does not know
        raise_interrupt(error)
        raise _unusable_shape(error) from error
    _freeze_dead_bias(model)
    return model


def _freeze_dead_bias(model: PreTrainedModel) -> None:
    """Takes out of training a bias that nothing reads.

    The head of a masked model and its output layer share one bias only as long as embeddings are tied;
    untied, the head's own takes part in nothing, and DDP would wait for its gradient.
    """
    import torch

    for module in model.modules():
        output, own = getattr(module, "decoder", None), getattr(module, "bias", None)
        if isinstance(output, torch.nn.Linear) and isinstance(own, torch.nn.Parameter) and own is not output.bias:
            own.requires_grad_(False)
