"""Digests that say whether two checkpoints are the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.errors import UsageError

if TYPE_CHECKING:
    import torch

# Besides the weights, whatever changes an answer: the architecture, the tokenizer, custom code.
_PATTERNS = (
    "config.json",
    "tokenizer*.json",
    "*.model",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "*.py",
)

_WRITING = ("chat_template*", "additional_chat_templates/*", "generation_config.json")

# What a configuration says about where it was loaded from and by what.
_WHEREABOUTS = ("_name_or_path", "transformers_version")


def weight_files(folder: Path) -> list[Path]:
    """The files that hold weights, safetensors only if there are any."""
    return sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))


@dataclass(frozen=True, slots=True)
class Digests:
    """What tells checkpoints apart.

    Attributes:
        whole: Digest of everything that changes an answer.
        weights: Digest of the weight files alone: revisions that share it are one model (D36).
    """

    whole: str
    weights: str


def folder_digests(folder: Path, own_code: bool = False) -> Digests:
    """Digests of a checkpoint folder: weights, configuration, tokenizer and code; and of its weights alone.

    Args:
        folder: The checkpoint.
        own_code: Whether its own code runs; it then is another model than without.
    """
    weighty = set(weight_files(folder))
    paths = {path for pattern in _PATTERNS for path in folder.glob(pattern)} | weighty
    whole, weights = hashlib.sha256(b"own code\n" if own_code else b""), hashlib.sha256()
    for path in sorted(paths):
        with path.open("rb") as file:
            line = f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode()
        whole.update(line)
        if path in weighty:
            weights.update(line)
    return Digests(whole.hexdigest(), weights.hexdigest())


def folder_digest(folder: Path, own_code: bool = False) -> str:
    """The digest of everything in a checkpoint folder that changes an answer (`folder_digests`)."""
    return folder_digests(folder, own_code).whole


def generation_digest(folder: Path) -> str:
    """Digest of what changes the texts that a model writes, but no score of a given text.

    These are its chat templates and ``generation_config.json``, which says where it stops; `folder_digest` leaves
    them out, since records of results are found by it.

    Args:
        folder: The checkpoint.

    Returns:
        Hexadecimal digits; nothing if there is none of these files.
    """
    total = hashlib.sha256()
    paths = sorted(path for pattern in _WRITING for path in folder.glob(pattern))
    for path in paths:
        name, digest = path.relative_to(folder).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{name} {digest}\n".encode())
    return total.hexdigest() if paths else ""


def tokenizer_digest(tokenizer: Any) -> str:
    """Digest of a fast tokenizer: equal ones make the same tokens of every text, whole."""
    import json

    backend = json.loads(tokenizer.backend_tokenizer.to_str())
    for key in ("truncation", "padding"):  # scoring switches both off
        backend.pop(key, None)
    facts = (type(tokenizer).__name__, len(tokenizer), sorted(tokenizer.special_tokens_map.items()), tokenizer.model_max_length)
    return hashlib.sha256((json.dumps(backend, sort_keys=True) + repr(facts)).encode()).hexdigest()


def loaded_digest(model: torch.nn.Module, tokenizer: Any) -> str:
    """Digest of a model in memory together with its tokenizer."""
    import torch

    config: Any = model.config
    facts = {key: value for key, value in config.to_dict().items() if key not in _WHEREABOUTS}
    total = hashlib.sha256(repr(sorted(facts.items(), key=str)).encode())
    total.update(tokenizer.backend_tokenizer.to_str().encode())
    # Which of its tokens is BOS or the mask, and its limit, stand outside the backend; they decide what is asked (D9, D40).
    total.update(repr((sorted(tokenizer.special_tokens_map.items()), tokenizer.model_max_length)).encode())
    for name, tensor in sorted(model.state_dict().items()):
        total.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        total.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return total.hexdigest()


def parameter_count(folder: Path) -> int | None:
    """Number of stored parameters, read from the headers; None without safetensors.

    Raises:
        UsageError: A file is damaged.
    """
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        return None
    import math

    from safetensors import SafetensorError, safe_open

    count = 0
    for path in files:
        try:
            with safe_open(path, framework="numpy") as weights:
                count += sum(math.prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
        except SafetensorError as error:
            raise UsageError(
                f"The weights cannot be read: {error}.",
                where=str(path),
                hint="The file may have been cut while it was written or copied: save or copy the checkpoint again.",
            ) from error
    return count
