"""A checkpoint: its facts are read at once, its weights only when something must be computed."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.errors import MissingError, UsageError, raise_interrupt
from babyeval.models.digest import folder_digests, loaded_digest, parameter_count, weight_files
from babyeval.models.kind import MASKED_BACKENDS, Backend, KindChoice, context_window, detect_backend
from babyeval.models.locate import locate
from babyeval.models.naming import ModelRef, default_name
from babyeval.models.tokenizer import TokenizerFacts, load_tokenizer, require_fast, tokenizer_facts

if TYPE_CHECKING:
    import torch

_TRAINING_FILE = "babyeval.json"


@dataclass(frozen=True)
class Checkpoint:
    """A model to be evaluated.

    Attributes:
        name: Its name in results.
        source: What the user named: a folder, a Hub id, or ``memory``.
        revision: The Hub revision, or the sub-folder of a sweep; else ``main``.
        commit: The commit a Hub revision stands for.
        folder: Where its files lie; None for a model in memory.
        digest: Digest of weights, configuration and tokenizer.
        config: Its ``transformers`` configuration.
        tokenizer: Its fast tokenizer.
        choice: The backend and why.
        training: What the trainers wrote about it (`babyeval.json`), empty for others.
        trust_remote_code: Whether its own code may run.
        allow_pickle: Whether weights may come from PyTorch's own format.
        loaded: The model itself, if it came from memory.
        weights: Digest of its weight files alone; None for a model in memory.
    """

    name: str
    source: str
    revision: str
    commit: str | None
    folder: Path | None
    digest: str
    config: Any
    tokenizer: Any
    choice: KindChoice
    training: dict[str, Any] = field(default_factory=dict)
    trust_remote_code: bool = False
    allow_pickle: bool = False
    loaded: torch.nn.Module | None = None
    weights: str | None = None

    @property
    def backend(self) -> Backend:
        return self.choice.backend

    @cached_property
    def facts(self) -> TokenizerFacts:
        """What the tokenizer adds around a text, and what the decoder begins with if there is one."""
        return tokenizer_facts(self.tokenizer, getattr(self.config, "decoder_start_token_id", None))

    @cached_property
    def window(self) -> int | None:
        """The most tokens it takes at once."""
        return context_window(self.config, self.tokenizer)

    @cached_property
    def parameters(self) -> int | None:
        """Number of parameters, if known without loading the weights."""
        if self.loaded is not None:
            return sum(weight.numel() for weight in self.loaded.parameters())
        return parameter_count(self.folder) if self.folder else None

    @property
    def words_seen(self) -> int | None:
        """Words of training, from the trainers' file, else from a revision or folder like ``chck_10M``."""
        if (stated := self.training.get("words_seen")) is not None:
            return int(stated)
        return words_in_name(self.revision) or words_in_name(Path(self.source).name)


def words_in_name(name: str) -> int | None:
    """Number of words that a checkpoint's name states.

    Example:
        >>> words_in_name("chck_10M"), words_in_name("main")
        (10000000, None)
    """
    match = re.search(r"(\d+(?:\.\d+)?)([KMB])(?![A-Za-z0-9])", name)
    return round(float(match[1]) * {"K": 1e3, "M": 1e6, "B": 1e9}[match[2]]) if match and name.startswith("chck") else None


def open_checkpoint(
    ref: ModelRef, *, backend: str = "auto", trust_remote_code: bool = False, allow_pickle: bool = False, offline: bool = False
) -> Checkpoint:
    """Reads everything about a checkpoint except its weights.

    Raises:
        MissingError: It is not there, has no weights, or no tokenizer.
        UsageError: Its kind cannot be told, its tokenizer is slow or broken, it needs its own
            code, or the backend does not fit.
    """
    folder, commit = locate(ref, offline=offline, trust_remote_code=trust_remote_code, allow_pickle=allow_pickle)
    config = _read_config(folder, trust_remote_code)
    _require_weights(folder, allow_pickle)
    training = _read_training(folder)
    choice = detect_backend(config, backend)
    tokenizer = load_tokenizer(folder, trust_remote_code=trust_remote_code)
    name = ref.name or default_name(
        ref.source, local=ref.is_local, condition=training.get("condition"), seed=training.get("seed")
    )
    digests = folder_digests(folder, trust_remote_code and hasattr(config, "auto_map"))
    checkpoint = Checkpoint(
        name=name, source=ref.source, revision=ref.revision or "main", commit=commit, folder=folder,
        digest=digests.whole, weights=digests.weights, config=config, tokenizer=tokenizer, choice=choice, training=training,
        trust_remote_code=trust_remote_code, allow_pickle=allow_pickle,
    )  # fmt: skip
    require_special_tokens(checkpoint)
    return checkpoint


def from_memory(model: torch.nn.Module, tokenizer: Any, *, name: str | None = None, backend: str = "auto") -> Checkpoint:
    """Wraps a model that is already loaded.

    Raises:
        UsageError: Its kind cannot be told, its tokenizer is slow, or the backend does not fit.
    """
    require_fast(tokenizer, "the tokenizer that was passed")
    config: Any = model.config
    checkpoint = Checkpoint(
        name=name or type(model).__name__, source="memory", revision="main", commit=None, folder=None,
        digest=loaded_digest(model, tokenizer), config=config, tokenizer=tokenizer,
        choice=detect_backend(config, backend), loaded=model,
    )  # fmt: skip
    require_special_tokens(checkpoint)
    return checkpoint


def require_special_tokens(checkpoint: Checkpoint) -> None:
    """Refuses a backend for a tokenizer that lacks the special tokens it cannot do without.

    Raises:
        UsageError: There is no mask token; for ``enc-dec-mask`` no sentinel either; for
            ``enc-dec-prefix`` nothing that the encoder could read where the context is empty.
    """
    backend, facts = checkpoint.backend, checkpoint.facts
    if backend in MASKED_BACKENDS and facts.mask is None:
        lacks, hint = "a mask token", "Use --backend causal if it is a left-to-right model"
    elif backend == "enc-dec-mask" and facts.blank is None:
        lacks, hint = "a mask token or a sentinel", "Use --backend enc-dec-prefix"
    elif backend == "enc-dec-prefix" and (facts.blank, facts.eos, facts.cls) == (None, None, None):
        lacks, hint = "a mask token, a sentinel, EOS or CLS", "Save it again with the special tokens it was trained with"
    else:
        return
    raise UsageError(
        f"The backend '{backend}' needs {lacks}, and the tokenizer of '{checkpoint.name}' defines none.",
        where=f"backend {backend}: {checkpoint.choice.reason}",
        hint=f"{hint}, else add the mask token it was trained with.",
    )


def _read_config(folder: Path, trust_remote_code: bool) -> Any:
    path = folder / "config.json"
    if not path.is_file():
        raise MissingError(
            "This folder is no Hugging Face checkpoint: it has no config.json.", where=str(folder), hint=_children_hint(folder)
        )
    content = _json_of(path)
    from transformers import CONFIG_MAPPING, AutoConfig

    if "auto_map" in content and content.get("model_type") not in CONFIG_MAPPING and not trust_remote_code:
        raise UsageError(
            "This checkpoint brings its own Python code, which would run with your rights.",
            where=f"{path}: auto_map {content['auto_map']}",
            hint="Read that code; if you trust it, add --trust-remote-code.",
        )
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except Exception as error:  # any failure of the library over this file means the same to the user
        raise_interrupt(error)
        raise UsageError(
            f"transformers cannot read the configuration: {str(error).strip().splitlines()[0]}",
            where=str(path),
            hint="Is 'model_type' right, and is your transformers new enough for it?",
        ) from error


def _require_weights(folder: Path, allow_pickle: bool) -> None:
    files = weight_files(folder)
    if not files:
        hint = f"{_children_hint(folder)} Weights in PyTorch's own format are fetched only with --allow-pickle."
        raise MissingError("The checkpoint has no weights.", where=f"{folder}/*.safetensors", hint=hint)
    if files[0].suffix != ".safetensors" and not allow_pickle:
        raise UsageError(
            "The weights are stored in PyTorch's own format, not as safetensors.",
            where=str(files[0]),
            hint="Convert them (model.save_pretrained(folder) writes safetensors), or add --allow-pickle if you trust the file.",
        )


def _read_training(folder: Path) -> dict[str, Any]:
    path = folder / _TRAINING_FILE
    if not path.is_file():
        return {}
    content = _json_of(path)
    fields = {"condition": str, "seed": int, "words_seen": int, "parent_digest": str}
    wrong = [k for k, kind in fields.items() if isinstance(content, dict) and not isinstance(content.get(k), kind | None)]
    if not isinstance(content, dict) or wrong:
        raise UsageError(
            f"The checkpoint's {_TRAINING_FILE} is wrong: {', '.join(wrong) or 'it holds no object'}.",
            where=str(path),
            hint="condition and parent_digest are texts, seed and words_seen whole numbers; or delete the file.",
        )
    return content


def _json_of(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise UsageError(
            f"The checkpoint's {path.name} is not valid JSON ({error}).",
            where=str(path),
            hint="It may have been cut while it was written or copied: save or copy the checkpoint again.",
        ) from error


def _children_hint(folder: Path) -> str:
    there = (child.name for child in folder.iterdir() if (child / "config.json").is_file())
    inside = sorted(there, key=lambda name: (words_in_name(name) is None, words_in_name(name) or 0, name))
    return (
        f"It holds checkpoints: {', '.join(inside[:8])}. Name one of them; 'babyeval run' takes several by --revisions GLOB."
        if inside
        else "Is this the right folder?"
    )
