"""Loading weights, in float32 whatever the checkpoint was stored in (D4)."""

from __future__ import annotations

import copy
from typing import Any

import torch

from babyeval.errors import MissingError, UsageError, raise_interrupt
from babyeval.models.checkpoint import Checkpoint
from babyeval.models.kind import SEQ2SEQ_BACKENDS

# Buffers that some checkpoints store and others compute; their absence means nothing.
_BUFFERS = ("position_ids", "inv_freq", "masked_bias", ".attn.bias")


def torch_device(name: str) -> torch.device:
    """The device of that name; ``auto`` takes a GPU if there is one.

    Raises:
        UsageError: The name is unknown.
        MissingError: A GPU was asked for and there is none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise MissingError("There is no GPU that PyTorch can use.", hint="Leave out --device, or look at 'babyeval doctor'.")
    if name not in ("cpu", "cuda"):
        raise UsageError(f"Unknown device '{name}'.", hint="Choose one of auto, cpu, cuda.")
    return torch.device(name)


def load_model(checkpoint: Checkpoint, device: torch.device) -> Any:
    """The checkpoint's model with its vocabulary head, in float32 and evaluation mode.

    Raises:
        UsageError: Weights are missing, damaged, or do not fit the configuration.
    """
    if checkpoint.loaded is not None:
        model: Any = checkpoint.loaded
        as_needed = all(weight.dtype == torch.float32 and weight.device.type == device.type for weight in model.parameters())
        if model.training or not as_needed:  # the caller's model stays as it is
            model = copy.deepcopy(model).float().to(device)
        return model.eval()
    from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM

    if checkpoint.backend in SEQ2SEQ_BACKENDS:
        auto: Any = AutoModelForSeq2SeqLM
    else:
        auto = AutoModelForCausalLM if checkpoint.backend == "causal" else AutoModelForMaskedLM
    return load_as(auto, checkpoint).to(device).eval()


def load_as(auto: Any, checkpoint: Checkpoint, unneeded: tuple[str, ...] = ()) -> Any:
    """The weights of a checkpoint's folder in float32, opened by one of the ``AutoModel`` classes.

    Args:
        auto: The class.
        checkpoint: What to open.
        unneeded: Beginnings of the names of weights that may be absent, since nothing reads them.

    Raises:
        UsageError: Weights are missing, damaged, or do not fit the configuration.
    """
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        model, info = auto.from_pretrained(
            checkpoint.folder,
            dtype=torch.float32,
            use_safetensors=None if checkpoint.allow_pickle else True,
            trust_remote_code=checkpoint.trust_remote_code,
            output_loading_info=True,
        )
    except Exception as error:  # a damaged file, shapes that differ, an unfit class: the library's words tell which
        raise_interrupt(error)
        raise UsageError(
            f"The weights cannot be loaded: {str(error).strip().splitlines()[0]}",
            where=f"{checkpoint.folder}, as {auto.__name__} ({checkpoint.choice.reason})",
            hint="Is the file complete, and the backend right? --backend says how a model is to be asked.",
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
    absent = sorted(name for name in info["missing_keys"] if not (name.endswith(_BUFFERS) or name.startswith(unneeded)))
    if absent:
        raise UsageError(
            f"The checkpoint lacks {len(absent)} weights of {type(model).__name__}, which would be random: "
            f"{', '.join(absent[:4])}{' ...' if len(absent) > 4 else ''}.",
            where=str(checkpoint.folder),
            hint="It may have been saved without its vocabulary head, or need another --backend.",
        )
    return model


def rounded_copy(model: Any) -> Any:
    """A copy in bfloat16, except for rotary frequencies, which positions would lose their precision by."""
    rounded = copy.deepcopy(model).to(torch.bfloat16)
    exact = dict(model.named_buffers())
    for name, buffer in rounded.named_buffers():
        if name.endswith("inv_freq"):
            buffer.data = exact[name].clone()
    return rounded


def native_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware; emulation is far slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
