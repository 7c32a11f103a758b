"""The classifier: a checkpoint's body without its vocabulary head, pooled states, and a new head."""

from __future__ import annotations

import copy
import inspect
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from babyeval.errors import UsageError
from babyeval.fit.batches import Collator, Read
from babyeval.fit.encode import EncodedExample
from babyeval.fit.types import Example, Hyper, Pooling
from babyeval.models.checkpoint import Checkpoint
from babyeval.models.kind import SEQ2SEQ_BACKENDS
from babyeval.models.load import load_as

_PROBE = "The cat sat."
# How far two ways to say the same may differ by rounding.
_TOLERANCE = 1e-4
# Encoded files that are kept: training and reported ones of two tasks.
_KEPT_FILES = 4


@dataclass(frozen=True, slots=True)
class Body:
    """A checkpoint's body, opened once; every seed trains a copy.

    Attributes:
        model: The body, in float32; never trained itself.
        width: Size of its hidden states.
        pad: Id for filling up: the tokenizer's, else EOS, else 0; it is masked whatever it is (D22).
        causal: Whether the body reads from left to right.
        decoder_start: What the decoder begins with, of encoder-decoders.
        first_position: The explicit position of a first token; None if the body takes no positions, or counts them in
            a way of its own.
        shifts: Whether padding on the left changes what it gives, since it counts positions from the first column.
        takes: Names of the forward pass's arguments; segments among them only if there are two.
        encoded: Encoded files of examples, since all seeds read the same.
    """

    model: Any
    width: int
    pad: int
    causal: bool
    decoder_start: int | None
    first_position: int | None
    shifts: bool
    takes: frozenset[str]
    encoded: dict[Any, list[EncodedExample]] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """Where it lies, and its copies are trained."""
        return next(self.model.parameters()).device  # type: ignore[no-any-return]

    def collator(self, hyper: Hyper, typed: bool) -> Collator:
        """How batches for this body are made.

        Where positions are to be explicit and the body takes none, padding stands on the right, whatever side was asked
        for: positions are then the same.
        """
        first = self.first_position if hyper.explicit_positions else None
        left = hyper.padding == "left" and (first is not None or not hyper.explicit_positions)
        return Collator(
            pad=self.pad,
            padding="left" if left else "right",
            first_position=first,
            read=pooled_position(hyper.pooling, self.causal),
            decoder_start=self.decoder_start,
            typed=typed and "token_type_ids" in self.takes,
            shifts=left and first is None and self.shifts,
        )

    def remember(self, key: tuple[Any, ...], examples: tuple[Example, ...], rows: list[EncodedExample]) -> None:
        """Keeps an encoded file for the next seed."""
        self.encoded[key, examples] = rows
        while len(self.encoded) > _KEPT_FILES:
            del self.encoded[next(iter(self.encoded))]


def pooled_position(pooling: Pooling, causal: bool) -> Read:
    """Which real token is read; of encoder-decoders the decoder's only state is, whatever this says.

    Example:
        >>> pooled_position("auto", causal=True), pooled_position("auto", causal=False)
        ('last', 'first')
    """
    if pooling != "auto":
        return pooling
    return "last" if causal else "first"


def open_body(checkpoint: Checkpoint, device: torch.device) -> Body:
    """Loads the body of a checkpoint, in float32 (D4); of a model in memory it is copied.

    Raises:
        UsageError: Weights are missing or damaged, or the model has no body that can be had without its head.
    """
    from transformers import AutoModel

    # A pooler that no language model is trained with; nothing reads it.
    model = _from_memory(checkpoint.loaded) if checkpoint.loaded is not None else load_as(AutoModel, checkpoint, ("pooler.",))
    model = model.float().to(device).eval()
    for weight in model.parameters():  # all are trained, also those of a model that was frozen to be evaluated
        weight.requires_grad_(weight.is_floating_point())
    tokenizer = checkpoint.tokenizer
    pad = next(token for token in (tokenizer.pad_token_id, tokenizer.eos_token_id, 0) if token is not None)
    ids = torch.tensor([tokenizer(_PROBE)["input_ids"]], device=device)
    starts = (checkpoint.facts.decoder_start, checkpoint.facts.bos, checkpoint.facts.eos)
    start = next((i for i in starts if i is not None), 0) if checkpoint.backend in SEQ2SEQ_BACKENDS else None
    probe: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if start is not None:
        probe["decoder_input_ids"] = torch.full((1, 1), start, device=device)
    takes = frozenset(inspect.signature(model.forward).parameters)
    if (getattr(checkpoint.config, "type_vocab_size", None) or 0) < 2:  # GPT-2 reads segments as words, RoBERTa knows but one
        takes -= {"token_type_ids"}
    if "use_cache" in takes:
        probe["use_cache"] = False
    with torch.no_grad():
        width = body_states(model, probe).shape[-1]
        first = _first_position(model, probe, checkpoint.config) if "position_ids" in takes else None
        shifts = _shifts(model, probe, pad)
    return Body(
        model=model,
        width=width,
        pad=pad,
        causal=checkpoint.backend == "causal",
        decoder_start=start,
        first_position=first,
        shifts=shifts,
        takes=takes,
    )


def _from_memory(model: Any) -> Any:
    """A copy of a loaded model's body.

    Raises:
        UsageError: The library does not know the body.
    """
    body = model.base_model
    if body is not model or model.get_output_embeddings() is None:
        return copy.deepcopy(body)
    from transformers import AutoModel

    try:
        body = AutoModel.from_config(model.config)  # the body of some, as T5, is spread over the model
        lacks = set(body.load_state_dict(model.state_dict(), strict=False).missing_keys)
    except Exception as error:  # a model of somebody's own, whose body the library cannot build
        raise _no_body(model) from error
    if lacks:
        raise _no_body(model)
    return body


def _no_body(model: Any) -> UsageError:
    return UsageError(
        f"The body of {type(model).__name__} cannot be had without its vocabulary head.",
        hint="Save it (model.save_pretrained(folder)) and evaluate the folder, or give it a base_model_prefix.",
    )


def body_states(model: Any, inputs: dict[str, Any]) -> Tensor:
    """What a body gives, found as the official script finds it: shape (rows, width, hidden)."""
    output = model(**inputs)
    if isinstance(output, tuple):
        return output[0]  # type: ignore[no-any-return]
    return output.logits if hasattr(output, "logits") else output.last_hidden_state  # type: ignore[no-any-return]


def _first_position(model: Any, probe: dict[str, Any], config: Any) -> int | None:
    """The position with which the body itself begins: 0, or as RoBERTa's behind the padding id; None if it is neither."""
    own = body_states(model, probe)
    count = torch.arange(own.shape[1], device=own.device)[None]
    for first in (0, (getattr(config, "pad_token_id", None) or 0) + 1):
        try:
            given = body_states(model, {**probe, "position_ids": count + first})
        except IndexError:  # beyond the table of positions
            continue
        if torch.allclose(own, given, rtol=0, atol=_TOLERANCE):
            return first
    return None


def _shifts(model: Any, probe: dict[str, Any], pad: int) -> bool:
    """Whether padding on the left changes a body's states."""
    ids, mask = probe["input_ids"], probe["attention_mask"]
    padded = {"input_ids": nn.functional.pad(ids, (3, 0), value=pad), "attention_mask": nn.functional.pad(mask, (3, 0))}
    own = body_states(model, probe)
    try:
        beside = body_states(model, {**probe, **padded})
    except IndexError:  # beyond the table of positions, which there is then
        return True
    return not torch.allclose(own, beside[:, -own.shape[1] :], rtol=0, atol=_TOLERANCE)


class PooledClassifier(nn.Module):
    """A copy of a body under a new head, which reads one pooled state.

    The head is the official one: LayerNorm, Linear, GELU, LayerNorm, dropout, Linear; the norms without parameters.

    Args:
        body: Is copied.
        labels: Number of labels.
        dropout: Of the head.
        seed: Initialises the head.
    """

    def __init__(self, body: Body, labels: int, dropout: float, seed: int) -> None:
        super().__init__()
        self.body = copy.deepcopy(body.model)
        self._constant = {"use_cache": False} if "use_cache" in body.takes else {}
        torch.manual_seed(seed)
        self.head = nn.Sequential(
            nn.LayerNorm(body.width, eps=1e-5, elementwise_affine=False),
            nn.Linear(body.width, body.width),
            nn.GELU(),
            nn.LayerNorm(body.width, eps=1e-5, elementwise_affine=False),
            nn.Dropout(dropout),
            nn.Linear(body.width, labels),
        ).to(body.device)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        reads: Tensor,
        position_ids: Tensor | None = None,
        token_type_ids: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
    ) -> Tensor:
        """Logits in float32, shape (rows, labels), from what a `Collator` makes."""
        more = {"position_ids": position_ids, "token_type_ids": token_type_ids, "decoder_input_ids": decoder_input_ids}
        given = {name: value for name, value in more.items() if value is not None} | self._constant
        states = body_states(self.body, {"input_ids": input_ids, "attention_mask": attention_mask, **given})
        chosen = states.masked_fill(~reads[..., None], 0.0).sum(1) / reads.sum(1, keepdim=True)
        return self.head(chosen).float()  # type: ignore[no-any-return]
