"""The state of an unfinished fit on disk, written whole after each epoch, so that at most one epoch is repeated."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from babyeval.errors import disk_error
from babyeval.store import atomic_path

STATE_FILE = "state.pt"


@dataclass(slots=True)
class FitState:
    """What is known after so many epochs.

    Attributes:
        losses: Mean training loss of each finished epoch.
        scores: What selects, after each epoch.
        best_epoch: The best so far, from 1; of equals the last, officially the first. 0 before the first one.
        best_logits: Its logits on the reported file, where that file selects.
        best_weights: Its weights, where the reported file is predicted in the end; None while they are the current ones.
        rows: The most examples of a forward pass.
        seconds: Time spent.
    """

    rows: int
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best_epoch: int = 0
    best_logits: Tensor | None = None
    best_weights: dict[str, Tensor] | None = None
    seconds: float = 0.0


def save_state(folder: Path, key: str, state: FitState, trained: Any) -> None:
    """Writes the state of a fit.

    Args:
        folder: Where.
        key: Says which fit it is.
        state: What is known.
        trained: A trainer with ``model``, ``optimizer`` and ``lr_scheduler``.

    Raises:
        MissingError: The disk is full, or may not be written.
    """
    content = {
        "key": key,
        "state": {name: getattr(state, name) for name in FitState.__slots__},
        "model": trained.model.state_dict(),
        "optimizer": trained.optimizer.state_dict(),
        "scheduler": trained.lr_scheduler.state_dict(),
        "random": {"python": random.getstate(), "torch": torch.get_rng_state(), "cuda": _cuda_states()},
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder / STATE_FILE) as path:
            torch.save(content, path)
    except OSError as error:
        raise disk_error(error, str(folder)) from error
    except RuntimeError as error:  # how torch reports that a file could not be written
        raise disk_error(OSError(str(error).splitlines()[0]), str(folder)) from error


def load_state(folder: Path, key: str) -> dict[str, Any] | None:
    """What `save_state` wrote; None if there is nothing, it is damaged, or it belongs to another fit."""
    path = folder / STATE_FILE
    if not path.is_file():
        return None
    try:
        content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # a damaged file fails in any way; the fit then begins anew
        return None
    return content if content.get("key") == key else None


def restore(content: dict[str, Any], trained: Any) -> None:
    """Sets model, optimizer, schedule and random generators to what was saved."""
    trained.model.load_state_dict(content["model"])
    trained.optimizer.load_state_dict(content["optimizer"])
    trained.lr_scheduler.load_state_dict(content["scheduler"])
    version, numbers, gauss = content["random"]["python"]
    random.setstate((version, tuple(numbers), gauss))
    torch.set_rng_state(content["random"]["torch"])
    for device, numbers in enumerate(content["random"]["cuda"][: torch.cuda.device_count()]):
        torch.cuda.set_rng_state(numbers, device)


def copied_weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of a model's weights in the computer's memory."""
    return {name: weight.detach().to("cpu", copy=True) for name, weight in model.state_dict().items()}


def _cuda_states() -> list[Tensor]:
    return list(torch.cuda.get_rng_state_all()) if torch.cuda.is_available() else []
