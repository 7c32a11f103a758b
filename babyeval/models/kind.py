"""What kind of model a checkpoint is, and by which backend it can be scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from babyeval.errors import UsageError

Backend = Literal["causal", "mlm", "mntp"]
Masking = Literal["pll", "word-l2r"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
MASKED_BACKENDS: tuple[Backend, ...] = ("mlm", "mntp")

# Position tables of these start behind the padding id, so that many entries are never used.
_OFFSET_POSITIONS = {
    "roberta",
    "xlm-roberta",
    "xlm-roberta-xl",
    "camembert",
    "roberta-prelayernorm",
    "data2vec-text",
    "longformer",
    "mpnet",
}
_WINDOW_KEYS = ("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "n_ctx")


@dataclass(frozen=True, slots=True)
class KindChoice:
    """A backend and the reason why it was chosen."""

    backend: Backend
    reason: str


def detect_backend(config: Any, wanted: str) -> KindChoice:
    """Chooses the backend from a checkpoint's configuration.

    Args:
        config: The ``transformers`` configuration.
        wanted: ``auto`` or a backend's name, which then wins.

    Raises:
        UsageError: The kind cannot be told, or no backend can score it.
    """
    if wanted != "auto":
        return KindChoice(_checked(wanted), "asked for by --backend")
    heads = [str(name) for name in getattr(config, "architectures", None) or []]
    if getattr(config, "is_encoder_decoder", False):
        raise UsageError(
            "Encoder-decoder models cannot be scored by this version.",
            where=f"architecture {', '.join(heads) or config.model_type}",
            hint="It scores causal and masked models.",
        )
    for head in heads:
        if head.endswith(("ForCausalLM", "LMHeadModel")):
            return KindChoice("causal", f"its architecture is {head}")
        if head.endswith("ForMaskedLM") or head == "BertForPreTraining":
            return KindChoice("mlm", f"its architecture is {head}")
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as CAUSAL
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES as MASKED

    if config.model_type in MASKED and not getattr(config, "is_decoder", False):
        return KindChoice("mlm", f"its model type is {config.model_type}")
    if config.model_type in CAUSAL:
        return KindChoice("causal", f"its model type is {config.model_type}")
    raise UsageError(
        f"The kind of this model cannot be told from its configuration (model type '{config.model_type}', "
        f"architectures {heads or 'not stated'}).",
        hint="Say it by --backend causal, --backend mlm or --backend mntp.",
    )


def _checked(name: str) -> Backend:
    for backend in BACKENDS:
        if backend == name:
            return backend
    raise UsageError(f"Unknown backend '{name}'.", hint=f"Choose one of auto, {', '.join(BACKENDS)}.")


def context_window(config: Any, tokenizer: Any) -> int | None:
    """The most tokens the model can take at once; None if nothing states a limit (D40).

    The tokenizer's limit counts only where the model states none: the official pipelines ignore it.
    """
    limits = [value for key in _WINDOW_KEYS if isinstance(value := getattr(config, key, None), int) and value > 0]
    window = limits[0] if limits else None
    if window is not None and config.model_type in _OFFSET_POSITIONS:
        window -= (config.pad_token_id or 0) + 1
    stated = getattr(tokenizer, "model_max_length", None)
    if window is None and isinstance(stated, int) and 0 < stated < 1_000_000:
        return stated
    return window
