"""What kind of model a checkpoint is, and by which backend it can be scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, get_args

from babyeval.errors import UsageError

Backend = Literal["causal", "mlm", "mntp", "enc-dec-mask", "enc-dec-prefix"]
Masking = Literal["pll", "word-l2r"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
MASKED_BACKENDS: tuple[Backend, ...] = ("mlm", "mntp")
SEQ2SEQ_BACKENDS: tuple[Backend, ...] = ("enc-dec-mask", "enc-dec-prefix")

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
_WINDOW_KEYS = (
    *("max_position_embeddings", "n_positions", "max_sequence_length", "max_seq_len", "n_ctx"),
    "max_decoder_position_embeddings",  # LED's, fewer than its encoder's
)


@dataclass(frozen=True, slots=True)
class KindChoice:
    """A backend and the reason why it was chosen."""

    backend: Backend
    reason: str


def kind_of(backend: Backend) -> str:
    """What kind of model a backend is for: ``causal``, ``masked`` or ``encoder-decoder``."""
    if backend in SEQ2SEQ_BACKENDS:
        return "encoder-decoder"
    return "masked" if backend in MASKED_BACKENDS else "causal"


def detect_backend(config: Any, wanted: str) -> KindChoice:
    """Chooses the backend from a checkpoint's configuration.

    Args:
        config: The ``transformers`` configuration.
        wanted: ``auto`` or a backend's name, which then wins.

    Raises:
        UsageError: The kind cannot be told, or the backend is none for a model of this kind.
    """
    found = _found(config)
    if wanted != "auto":
        choice = KindChoice(_checked(wanted), "asked for by --backend")
        if found is not None:
            _require_fit(choice.backend, found)
        return choice
    if found is None:
        *others, last = (f"--backend {backend}" for backend in BACKENDS)
        raise UsageError(
            f"The kind of this model cannot be told from its configuration (model type '{config.model_type}', "
            f"architectures {_heads(config) or 'not stated'}).",
            hint=f"Say it by {', '.join(others)} or {last}.",
        )
    return found


def _heads(config: Any) -> list[str]:
    return [str(name) for name in getattr(config, "architectures", None) or []]


def _found(config: Any) -> KindChoice | None:
    """The backend that a configuration speaks for; None if it says nothing."""
    heads = _heads(config)
    if _is_encoder_decoder(config):
        model = f"its architecture {heads[0]}" if heads else f"its model type {config.model_type}"
        reason = f"{model} has an encoder and a decoder (the other way to ask it is --backend enc-dec-prefix)"
        return KindChoice("enc-dec-mask", reason)
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
    return None


def _is_encoder_decoder(config: Any) -> bool:
    """Whether text goes into an encoder and comes out of a decoder.

    Not every ``...ForConditionalGeneration`` does: that is also what decoder-only models with
    images are called, so the name counts only where the checkpoint's own code or the library
    opens it as a sequence-to-sequence model.
    """
    if getattr(config, "is_encoder_decoder", False):
        return True
    if not any(head.endswith("ForConditionalGeneration") for head in _heads(config)):
        return False
    from transformers.models.auto.modeling_auto import MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING_NAMES as SEQ2SEQ

    return config.model_type in SEQ2SEQ or "AutoModelForSeq2SeqLM" in (getattr(config, "auto_map", None) or {})


def _require_fit(backend: Backend, found: KindChoice) -> None:
    """Refuses to ask an encoder-decoder as something else, and something else as an encoder-decoder."""
    has_two, wants_two = found.backend in SEQ2SEQ_BACKENDS, backend in SEQ2SEQ_BACKENDS
    if has_two == wants_two:
        return
    fitting = SEQ2SEQ_BACKENDS if has_two else tuple(name for name in BACKENDS if name not in SEQ2SEQ_BACKENDS)
    raise UsageError(
        f"The backend '{backend}' is {'' if wants_two else 'not '}for encoder-decoder models, "
        f"and this is {'one' if has_two else 'none'}.",
        where=found.reason,
        hint=f"Leave --backend out, or choose one of {', '.join(fitting)}.",
    )


def _checked(name: str) -> Backend:
    for backend in BACKENDS:
        if backend == name:
            return backend
    raise UsageError(f"Unknown backend '{name}'.", hint=f"Choose one of auto, {', '.join(BACKENDS)}.")


def context_window(config: Any, tokenizer: Any) -> int | None:
    """The most tokens the model can take at once; None if nothing limits it (D40).

    The tokenizer's limit counts only where the model states none: the official pipelines ignore
    it. Models that know distances only, like T5, have no limit: what they state as ``n_positions``
    and as the tokenizer's limit is the length that they were trained on. Of a model put together
    from two, the shorter one counts.
    """
    parts = [part for part in (config, getattr(config, "encoder", None), getattr(config, "decoder", None)) if part is not None]
    windows = [window for part in parts if (window := _positions(part)) is not None]
    if windows:
        return min(windows)
    if any(map(_knows_distances_only, parts)):
        return None
    stated = getattr(tokenizer, "model_max_length", None)
    return stated if isinstance(stated, int) and 0 < stated < 1_000_000 else None


def _positions(config: Any) -> int | None:
    """How many positions a configuration states, those behind the padding id if they begin there."""
    window = None if _knows_distances_only(config) else _stated(config, _WINDOW_KEYS)
    if window is not None and config.model_type in _OFFSET_POSITIONS:
        window -= (config.pad_token_id or 0) + 1
    return window


def _knows_distances_only(config: Any) -> bool:
    return bool(getattr(config, "relative_attention_num_buckets", None)) and _stated(config, _WINDOW_KEYS[:1]) is None


def _stated(config: Any, keys: tuple[str, ...]) -> int | None:
    return next((value for key in keys if isinstance(value := getattr(config, key, None), int) and value > 0), None)
