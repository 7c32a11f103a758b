"""The loss on text that is kept for validation: an exact mean over tokens, by domain."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import torch

    from .engine import LanguageTrainer

ALL = "all"


class DomainLoss(BaseModel):
    """How well a model predicts the validation part of a domain.

    Attributes:
        loss: Mean over predicted tokens, in nats.
        perplexity: Its exponential; None if that is beyond all numbers.
        bits_per_word: What all predicted tokens cost, in bits, by the number of words: it does not depend on the
            tokenizer, but for the first token of each block, which nothing predicts. None for masked models.
        tokens: Predicted tokens.
        words: Words of the text.
        margin: Of preference tuning, where all means are over pairs: how much more the preferred reply is preferred
            than by the parent (beta times the difference of log-ratios).
        accuracy: Of preference tuning: the share of pairs with a positive margin.
    """

    model_config = ConfigDict(frozen=True)

    loss: float
    perplexity: float | None
    bits_per_word: float | None
    tokens: int
    words: int
    margin: float | None = None
    accuracy: float | None = None


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """A domain's text.

    Attributes:
        items: Blocks, as the trainer's collator takes them; always the same tokens are asked for.
        words: Words of the text in them.
    """

    items: Sequence[Any]
    words: int


def first_items(words: Iterable[int], limit: int | None) -> int:
    """How many of the first items have no more than so many words together; at least one.

    Args:
        words: Of each item.
        limit: None: no limit.

    Example:
        >>> first_items([4, 5, 6], 10), first_items([40, 5], 10), first_items([4, 5], None)
        (2, 1, 2)
    """
    taken = total = 0
    for count in words:
        total += count
        if limit is not None and taken and total > limit:
            break
        taken += 1
    return taken


def summed(
    trainer: Any, items: Sequence[Any], size: int, measure: Callable[[dict[str, Any]], Sequence[torch.Tensor | float]]
) -> torch.Tensor:
    """Sums over all items, in batches that the processes divide among them.

    All processes compute equally often, since sharded weights (ZeRO 3) are gathered in every pass: one that has
    nothing left repeats the last batch and does not count it.

    Args:
        trainer: Collates, and knows the processes.
        items: As its collator takes them.
        size: How many sums there are.
        measure: What a batch, as the model takes it, adds to each sum.

    Returns:
        The sums over all processes, of shape (size,), in float64.
    """
    import torch

    rows, devices = trainer.args.per_device_train_batch_size, trainer.args.world_size
    batches = [range(start, min(start + rows, len(items))) for start in range(0, len(items), rows)]
    sums = torch.zeros(size, dtype=torch.float64, device=trainer.args.device)
    for first in range(0, len(batches), devices):
        own = first + trainer.args.process_index
        batch = trainer.data_collator([items[i] for i in batches[min(own, len(batches) - 1)]])
        found = torch.stack([torch.as_tensor(one).to(sums) for one in measure(trainer._prepare_inputs(batch))])
        if own < len(batches):
            sums += found
    gathered: torch.Tensor = trainer.accelerator.reduce(sums, reduction="sum")
    return gathered.cpu()


def validate(trainer: LanguageTrainer, sets: Mapping[str, ValidationSet], causal: bool) -> dict[str, DomainLoss]:
    """The losses of each domain, and under ``all`` of all their tokens together.

    Sums are gathered over tokens and processes before anything is divided, so that neither batches nor processes
    of unequal size change a mean. No random number is drawn: a training goes on as if it had not been interrupted.

    Args:
        trainer: Its model is asked as it is now.
        sets: Domains that hold something.
        causal: Whether the model predicts the next token.
    """
    import torch

    model = trainer.model
    model.eval()
    try:
        with torch.no_grad(), _arithmetic(trainer):
            sums = {name: _losses(trainer, part.items, causal) for name, part in sets.items()}
    finally:
        model.train()
    if len(sums) > 1:
        sums[ALL] = (sum(loss for loss, _ in sums.values()), sum(count for _, count in sums.values()))
    words = {name: part.words for name, part in sets.items()}
    return {
        name: domain_loss(loss, count, words.get(name, sum(words.values())), causal)
        for name, (loss, count) in sums.items()
        if count
    }


def _arithmetic(trainer: LanguageTrainer) -> contextlib.AbstractContextManager[Any]:
    """That of the training: plain PyTorch's autocast belongs to the model, DeepSpeed's to its engine, which is not asked here."""
    import torch

    engine: Any = trainer.model_wrapped
    if not (trainer.is_deepspeed_enabled and engine.torch_autocast_enabled()):
        return contextlib.nullcontext()
    return torch.autocast(trainer.args.device.type, engine.torch_autocast_dtype())


def domain_loss(total: float, tokens: int, words: int, causal: bool) -> DomainLoss:
    """Loss, perplexity and bits from a sum of losses.

    Example:
        >>> domain_loss(total=2 * math.log(4), tokens=2, words=1, causal=True).bits_per_word
        4.0
    """
    mean = total / tokens
    try:
        perplexity = math.exp(mean)
    except OverflowError:
        perplexity = None
    if perplexity is not None and not math.isfinite(perplexity):
        perplexity = None
    bits = total / math.log(2) / words if causal and words else None
    return DomainLoss(loss=mean, perplexity=perplexity, bits_per_word=bits, tokens=tokens, words=words)


def _losses(trainer: LanguageTrainer, items: Sequence[Any], causal: bool) -> tuple[float, int]:
    """Sum of losses and number of predicted tokens over all processes."""
    from .engine import summed_loss

    def measure(inputs: dict[str, Any]) -> tuple[torch.Tensor | float, torch.Tensor]:
        labels = inputs["labels"] if causal else inputs.pop("labels")
        predicted = (labels[:, 1:] if causal else labels).ne(-100).sum()
        # Of one item in the batch a causal model gives the sum of the losses.
        loss = trainer.model(**inputs, num_items_in_batch=1).loss if causal else summed_loss(trainer.model(**inputs), labels)
        return loss if predicted else 0.0, predicted  # of nothing some losses are no number

    total, count = summed(trainer, items, 2, measure).tolist()
    return total, int(count)


def as_log(losses: Mapping[str, DomainLoss]) -> dict[str, Any]:
    """The losses as they stand in logs and checkpoints."""
    return {name: loss.model_dump(exclude_defaults=True) for name, loss in losses.items()}


def in_words(losses: Mapping[str, DomainLoss]) -> str:
    """The losses in one line.

    Example:
        >>> in_words({"letters": domain_loss(3.0, 2, 1, True)})
        'validation loss letters 1.500'
    """
    return "validation loss " + ", ".join(
        f"{name} {loss.loss:.3f}" + ("" if loss.accuracy is None else f" (accuracy {loss.accuracy:.0%})")
        for name, loss in losses.items()
    )
