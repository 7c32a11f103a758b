"""A model seen as body and vocabulary head, so that only asked-for positions reach the head."""

from __future__ import annotations

import contextlib
import inspect
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Mapping

# Positions that go through the head together: on a CPU their logits should stay in its cache.
_HEAD_POSITIONS_CPU = 256
_HEAD_NUMBERS_GPU = 1 << 28


@contextlib.contextmanager
def full_precision() -> Iterator[None]:
    """float32 means float32: TF32 is off while scoring (protocol.md, section 10)."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    torch.set_float32_matmul_precision("highest")
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


class _Given(nn.Module):
    """Stands in for a model's body and returns hidden states computed before."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden: Tensor | None = None

    def forward(self, *_: Any, **__: Any) -> Any:
        from transformers.modeling_outputs import BaseModelOutputWithPastAndCrossAttentions

        return BaseModelOutputWithPastAndCrossAttentions(last_hidden_state=self.hidden)


@dataclass(frozen=True, slots=True)
class Asked:
    """Reads of one batch, in the order in which their answers are wanted.

    Attributes:
        positions: Flat index (row times width plus column) of each read.
        targets: Vocabulary id of each read, or several ids whose probabilities are summed.
    """

    positions: Sequence[int]
    targets: Sequence[int | tuple[int, ...]]


class ModelView:
    """Runs a model and reads log-probabilities.

    Args:
        model: A ``transformers`` model with a vocabulary head, in evaluation mode.
        device: Where it lies.

    Attributes:
        split: Whether body and head run apart. Set by `try_split`, which proves it first.
        pads: Whether inputs of several lengths may share a batch; set once that is proven.
        encodes_once: Whether an encoder-decoder takes encoder outputs made before, so that equal
            encoder inputs need only one pass; set once that is proven.
    """

    def __init__(self, model: Any, device: torch.device) -> None:
        self.model = model
        self.device = device
        self.split = False
        self.pads = False
        self.encodes_once = False
        self._given = _Given()
        self._slot = _body_slot(model)

    @property
    def dtype(self) -> torch.dtype:
        return next(self.model.parameters()).dtype  # type: ignore[no-any-return]

    @property
    def vocabulary(self) -> int:
        return int(self.model.get_input_embeddings().num_embeddings)

    @full_precision()
    def try_split(self, inputs: Mapping[str, Any], tolerance: float = 1e-4) -> bool:
        """Runs body and head apart from now on, if that gives the logits of the whole model."""
        if self._slot is None:
            return False
        whole = self._logits(inputs).flatten(0, 1).float()
        try:
            self.split = True
            parts = self._head(self._hidden(inputs).flatten(0, 1)).float()
            self.split = parts.shape == whole.shape and bool((parts - whole).abs().max() <= tolerance)
        except (TypeError, AttributeError, RuntimeError, IndexError, ValueError):
            self.split = False  # a model built in another way: it is then run whole
        return self.split

    @full_precision()
    @torch.inference_mode()
    def read(self, inputs: Mapping[str, Any], asked: Asked) -> list[float]:
        """Log-probabilities in nats of the asked-for targets.

        The log-softmax is computed in float32 whatever the model's dtype (D4).

        Args:
            inputs: Arguments of the model's forward pass, ``input_ids`` of shape (rows, width);
                of an encoder-decoder, ``decoder_input_ids`` have the rows and the width.
            asked: What to read.
        """
        positions = torch.as_tensor(asked.positions, dtype=torch.long, device=self.device)
        unique, index = torch.unique(positions, return_inverse=True)
        states = (self._hidden(inputs) if self.split else self._logits(inputs)).flatten(0, 1)
        order = index.argsort(stable=True)
        ranks = index[order].tolist()
        by_rank = order.tolist()
        answers = [0.0] * len(asked.targets)
        done = 0
        for start, stop in self._chunks(len(unique)):
            chosen = states[unique[start:stop]]
            logits = (self._head(chosen) if self.split else chosen).float()
            end = bisect_left(ranks, stop)
            self._collect(logits, start, ranks[done:end], by_rank[done:end], asked, answers)
            done = end
        return answers

    @full_precision()
    @torch.inference_mode()
    def encode(self, inputs: Mapping[str, Any]) -> Tensor:
        """What an encoder-decoder's encoder makes of its inputs, shape (rows, width, hidden)."""
        return self.model.get_encoder()(**inputs)[0]  # type: ignore[no-any-return]

    def _collect(
        self, logits: Tensor, start: int, ranks: list[int], reads: list[int], asked: Asked, answers: list[float]
    ) -> None:
        """Reads the answers of one chunk of logits, shape (positions, vocabulary)."""
        normaliser = logits.logsumexp(-1)
        rows = torch.tensor(ranks, device=self.device) - start
        targets = [target if isinstance(target, int) else target[0] for target in map(asked.targets.__getitem__, reads)]
        values = logits[rows, torch.tensor(targets, device=self.device)] - normaliser[rows]
        for read, value in zip(reads, values.double().tolist(), strict=True):
            answers[read] = value
        sets: dict[tuple[int, ...], list[tuple[int, int]]] = {}  # many reads ask for one large set
        for rank, read in zip(ranks, reads, strict=True):
            target = asked.targets[read]
            if isinstance(target, tuple):
                sets.setdefault(target, []).append((read, rank - start))
        for target, found in sets.items():
            rows = torch.tensor([row for _, row in found], device=self.device)
            summed = logits[rows[:, None], torch.tensor(target, device=self.device)].logsumexp(-1) - normaliser[rows]
            for (read, _), value in zip(found, summed.double().tolist(), strict=True):
                answers[read] = value

    def _chunks(self, count: int) -> Iterator[tuple[int, int]]:
        size = _HEAD_POSITIONS_CPU if self.device.type == "cpu" else max(1, _HEAD_NUMBERS_GPU // self.vocabulary)
        for start in range(0, count, size):
            yield start, min(start + size, count)

    @torch.inference_mode()
    def _logits(self, inputs: Mapping[str, Any]) -> Tensor:
        return self.model(**inputs, **_no_cache(self.model)).logits  # type: ignore[no-any-return]

    @torch.inference_mode()
    def _hidden(self, inputs: Mapping[str, Any]) -> Tensor:
        assert self._slot is not None
        body = getattr(*self._slot)
        return body(**inputs, **_no_cache(body))[0]  # type: ignore[no-any-return]

    @torch.inference_mode()
    def _head(self, hidden: Tensor) -> Tensor:
        """Logits of hidden states, shape (positions, width) to (positions, vocabulary).

        Runs the model's own forward pass with its body replaced, so that whatever it does
        behind the body (transforms, scaling, capping) is done here too.
        """
        assert self._slot is not None
        owner, name = self._slot
        body = getattr(owner, name)
        self._given.hidden = hidden[None]
        try:
            setattr(owner, name, self._given)
            ids = torch.zeros(1, len(hidden), dtype=torch.long, device=self.device)
            return self.model(input_ids=ids).logits[0]  # type: ignore[no-any-return]
        finally:
            setattr(owner, name, body)
            self._given.hidden = None


def _body_slot(model: Any) -> tuple[nn.Module, str] | None:
    """The attribute that holds the model's body, as owner and name."""
    get_decoder = getattr(model, "get_decoder", None)
    candidates = (get_decoder() if callable(get_decoder) else None, model.base_model)
    head = model.get_output_embeddings()  # some models call their vocabulary layer "decoder"
    for body in (candidate for candidate in candidates if candidate is not head):
        for owner in model.modules():
            for name, child in owner.named_children():
                if child is body and body is not model:
                    return owner, name
    return None


def _no_cache(module: nn.Module) -> dict[str, bool]:
    """Keys and values of earlier tokens are never needed again."""
    return {"use_cache": False} if "use_cache" in inspect.signature(module.forward).parameters else {}
