"""Memory that a training takes on each device, part by part, from published formulas."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, computed_field

from .recipe import Recipe

Stage = Literal[0, 1, 2, 3] | None
_GIB = 2**30


class Memory(BaseModel):
    """Memory of one device in GiB; what a library takes for itself, and buffers of communication, come on top.

    Attributes:
        zero: DeepSpeed's ZeRO stage; None: plain PyTorch.
        devices: Number of devices.
        micro_batch_size: Sequences of one forward pass on one device.
        weights: Weights, with the copies that are made of them to compute with.
        gradients: Gradients.
        optimizer: AdamW's two moments, and float32 weights where those of the model are others.
        activations: What the forward pass keeps for the backward pass: an estimate.
        chosen: Whether this is the stage that the recipe asks for.
    """

    model_config = ConfigDict(frozen=True)

    zero: Stage
    devices: int
    micro_batch_size: int
    weights: float
    gradients: float
    optimizer: float
    activations: float
    chosen: bool

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> float:
        """All parts together."""
        return self.weights + self.gradients + self.optimizer + self.activations


def memory_of(recipe: Recipe, parameters: int, zero: Stage, devices: int, micro: int) -> Memory:
    """The memory of one device under one ZeRO stage.

    Args:
        recipe: Says shape, arithmetic, attention and whether activations are computed twice.
        parameters: Trainable parameters.
        zero: ZeRO stage; None is plain PyTorch, under DDP if there are several devices.
        devices: Number of devices.
        micro: Sequences of one forward pass on one device.
    """
    weights, gradients, optimizer = state_bytes(recipe.pretrain.dtype == "bfloat16", zero, devices)
    return Memory(
        zero=zero,
        devices=devices,
        micro_batch_size=micro,
        weights=weights * parameters / _GIB,
        gradients=gradients * parameters / _GIB,
        optimizer=optimizer * parameters / _GIB,
        activations=activation_bytes(recipe, micro) / _GIB,
        chosen=zero == recipe.pretrain.zero,
    )


def state_bytes(bfloat16: bool, zero: Stage, devices: int) -> tuple[float, float, float]:
    """Bytes per parameter of weights, gradients and optimizer on one device.

    Bfloat16 is arithmetic over float32 weights (autocast), with DeepSpeed as without: weights, gradients and moments
    take four bytes, and each weight has a bfloat16 copy from the forward to the backward pass. Beside that:

    * Plain PyTorch with several devices (DDP) copies the gradients into buckets of the same size.
    * ZeRO stages 1 and 2 keep a copy of the device's own weights to update, stages 0 and 3 none.

    Args:
        bfloat16: Whether the arithmetic is bfloat16.
        zero: ZeRO stage; None is plain PyTorch.
        devices: Number of devices.

    Example:
        >>> state_bytes(False, None, 1), state_bytes(True, 1, 4), state_bytes(True, 3, 4)
        ((4.0, 4.0, 8.0), (6.0, 4.0, 3.0), (3.0, 1.0, 2.0))
    """
    if zero is None:
        weights, gradients, optimizer = 4.0, 4.0 if devices == 1 else 8.0, 8.0
    else:
        weights, gradients, optimizer = zero_bytes(4, 12 if zero in (1, 2) else 8, zero, devices)
    return weights + 2 * bfloat16, gradients, optimizer


def zero_bytes(width: int, states: int, zero: Literal[0, 1, 2, 3], devices: int) -> tuple[float, float, float]:
    """Bytes per parameter of weights, gradients and optimizer, as of Rajbhandari et al. 2020 (arXiv 1910.02054, figure 1).

    Args:
        width: Bytes of a weight and of a gradient.
        states: Bytes of the optimizer's states, which the paper calls K.
        zero: From which stage on: 1 divides the states among devices, 2 the gradients as well, 3 the weights as well.
        devices: Number of devices.
    """
    return width / (devices if zero >= 3 else 1), width / (devices if zero >= 2 else 1), states / (devices if zero >= 1 else 1)


def activation_bytes(recipe: Recipe, micro: int) -> float:
    """Bytes of activations when the backward pass begins: an estimate.

    It lies within a tenth of what autograd was seen to keep, or a third below under ``eager`` in bfloat16,
    whose softmax is float32.

    Counted as by Korthikanti et al. 2022 (arXiv 2205.05198, section 4.1), whose layer takes
    ``s b h (34 + 5 a s / h)`` bytes, with these changes: tensors are as wide as the arithmetic, those of norms
    four bytes; the
    feed-forward part has the recipe's width and as many tensors of that width as the architecture's
    activation keeps; a Llama's norms keep two tensors each, not one; dropout masks are there only with dropout; attention keeps its ``s x s`` scores only
    under ``eager``; and computing activations twice keeps each layer's input and one whole layer (their
    section 5). The head adds three float32 tensors of ``s b v``: log-probabilities and two gradients.

    Args:
        recipe: Says shape, arithmetic, attention and whether activations are computed twice.
        micro: Sequences of one forward pass.
    """
    spec, training = recipe.model, recipe.pretrain
    width = 4 if training.dtype == "float32" else 2
    positions = micro * recipe.sequence_length
    hidden = positions * spec.hidden_size
    inner = positions * (spec.intermediate_size or 4 * spec.hidden_size)
    masks = bool(spec.dropout)
    # Gate, value, activated gate and product; GPT-2's approximation of GELU keeps its steps; else input and output.
    kept_inside = {"llama": 4, "gpt2": 5}.get(spec.architecture, 2)
    norms = (4 if spec.architecture == "llama" else 2) * 4
    residual_masks = 0 if spec.architecture == "llama" else 2 * masks
    layer = hidden * (6 * width + norms + residual_masks) + inner * kept_inside * width
    if training.attention == "eager":
        layer += positions * recipe.sequence_length * spec.heads * ((2 * width + 1) if masks else width)
    kept = spec.layers * layer
    if training.gradient_checkpointing:
        kept = spec.layers * hidden * width + layer
    ends = hidden * (4 + width + masks)  # inputs of the last norm and of the head, and the embeddings' mask
    return kept + ends + 3 * 4 * positions * recipe.tokenizer.vocab_size
