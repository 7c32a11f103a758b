"""Looking at a checkpoint: what it is, whether it is sound, and how it will be scored."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from babyeval.data.lookup import find_data
from babyeval.families import SpanTask, Task
from babyeval.models.checkpoint import Checkpoint
from babyeval.models.kind import Backend
from babyeval.protocols import PROTOCOLS
from babyeval.registry import list_tasks
from babyeval.scoring.encode import Encoder
from babyeval.scoring.encode_seq2seq import decoder_front
from babyeval.types import Span

# Plain sentences of our own; any model that was trained on English should expect them.
_SENTENCES = (
    "The dog ran across the road and into the garden.",
    "She put the cup on the table and looked out of the window.",
    "We are going to the park because the sun is shining.",
    "He said that he would come back in the morning.",
)


@dataclass(slots=True)
class Inspection:
    """What was found.

    Attributes:
        facts: Plain statements, in order.
        tasks: For each task, what it will do with the model.
        warnings: What a user should look into.
        unusable: True if the model gives no finite numbers.
    """

    facts: dict[str, str] = field(default_factory=dict)
    tasks: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    unusable: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def inspect_checkpoint(checkpoint: Checkpoint, device: str = "auto") -> Inspection:
    """Looks at a checkpoint and scores a few sentences with it.

    Raises:
        UsageError: The weights cannot be loaded, or the model looks ahead.
    """
    found = Inspection()
    facts = checkpoint.facts
    found.facts = {
        "backend": f"{checkpoint.backend}, because {checkpoint.choice.reason}; --backend overrides it",
        "asked": _what(checkpoint.backend),
        "parameters": f"{checkpoint.parameters:,}" if checkpoint.parameters else "unknown",
        "digest": checkpoint.digest[:16],
        "window": f"{checkpoint.window} tokens" if checkpoint.window else "no limit",
        "vocabulary": f"{facts.size:,} ids",
        "around a text": f"{_names(checkpoint, facts.prefix)} ... {_names(checkpoint, facts.suffix)}",
        "first token": _first_token(checkpoint),
        "words": _words(checkpoint),
    }
    if checkpoint.training:
        found.facts["trained as"] = f"{checkpoint.training.get('condition')}, seed {checkpoint.training.get('seed')}"
    _check_tokenizer(checkpoint, found)
    _check_scores(checkpoint, device, found)
    for listing in list_tasks():
        try:
            found.tasks[listing.name] = _use(listing.task) if listing.task else f"cannot be used: {listing.problem}"
        except Exception as error:  # a plug-in's own code may fail in any way
            found.tasks[listing.name] = f"cannot be used: {type(error).__name__}: {error}"
    return found


def _use(task: Task) -> str:
    """What a task does with the model, on what, and where it is not defined."""
    absent = [name for name in PROTOCOLS if name not in task.card.protocols]
    shape = _shape(task) if isinstance(task, SpanTask) else ""
    return task.does + shape + (f"; not part of {', '.join(absent)}" if absent else "")


def _shape(task: SpanTask) -> str:
    """What an item of the bundled split looks like."""
    if "mini" not in task.card.data:
        return ""
    spans = task.items(find_data(task.card, task.home, "mini", None))[0].spans
    if len(spans) == 1:
        return " (an ending after its context an item)" if spans[0].start else " (a whole text an item)"
    return f" ({len(spans)} {'endings after their context' if spans[0].start else 'whole texts'} an item)"


def _names(checkpoint: Checkpoint, ids: tuple[int, ...]) -> str:
    return " ".join(checkpoint.tokenizer.convert_ids_to_tokens(list(ids))) or "nothing"


def _first_token(checkpoint: Checkpoint) -> str:
    """How the start of a sentence is treated (D9)."""
    if checkpoint.backend in ("mlm", "enc-dec-mask"):
        return "scored like every other"
    if checkpoint.backend == "enc-dec-prefix":
        return _decoder_start(checkpoint)
    if checkpoint.facts.prefix:
        return f"scored given {_names(checkpoint, checkpoint.facts.prefix)}, under every protocol"
    front = checkpoint.facts.front(checkpoint.backend)
    if front is None:
        return "never scored: the tokenizer defines neither BOS nor EOS"
    return f"robust puts {_names(checkpoint, (front,))} in front and scores it; the official protocols leave it unscored (D9)"


def _words(checkpoint: Checkpoint) -> str:
    """What the official reading scores ask for instead of the word in its sentence (D10, D11)."""
    context, alone, whole = (
        tuple(checkpoint.tokenizer(text, add_special_tokens=False)["input_ids"])
        for text in ("He saw", "through", "He saw through")
    )
    inside = whole[len(context) :]
    behind = checkpoint.facts.suffix if checkpoint.backend == "causal" else ()
    said = []
    if inside != alone:
        said.append(
            f"'through' is {_names(checkpoint, inside)} in a sentence and {_names(checkpoint, alone)} alone. The official reading "
            "scores ask for the word alone (D11): text that continues the word before, and is rightly improbable; often more "
            "pieces, so that surprisal counts letters, which the baseline knows already."
        )
    if behind:
        said.append(
            f"The official reading scores ask for words behind {_names(checkpoint, behind)} (D10), where no text goes on."
        )
    if not said:
        return "the same tokens alone as in a sentence: the official reading scores ask for the right ones"
    return " ".join((*said, "Expect them near 0; robust takes the word in its sentence (docs/tasks/reading.md)."))


def _decoder_start(checkpoint: Checkpoint) -> str:
    """What the decoder of enc-dec-prefix predicts the first token from."""
    facts = checkpoint.facts
    robust, official = (_names(checkpoint, decoder_front(facts, facts.blank, explicit)) for explicit in (True, False))
    if robust == "nothing":
        return "never scored: neither a mask, a sentinel, BOS nor the model's decoder start stands before it"
    if robust == official:
        return f"scored given {robust} in the decoder, under every protocol"
    return f"scored given {robust} in the decoder; the official protocols begin it with {official}"


def _check_tokenizer(checkpoint: Checkpoint, found: Inspection) -> None:
    tokenizer = checkpoint.tokenizer
    for sentence in _SENTENCES:
        ids = tokenizer(sentence, add_special_tokens=False)["input_ids"]
        if tokenizer.unk_token_id is not None and tokenizer.unk_token_id in ids:
            found.warnings.append(f"The tokenizer does not know a part of plain English text: {sentence!r}.")
        elif len(ids) > len(sentence) * 0.8:
            found.warnings.append(
                f"The tokenizer cuts English into single letters ({len(ids)} tokens for {len(sentence)} letters)."
            )
        else:
            continue
        return


def _check_scores(checkpoint: Checkpoint, device: str, found: Inspection) -> None:
    from babyeval.scoring.batching import Work
    from babyeval.scoring.engine import Engine

    policy = PROTOCOLS["robust"].encoding
    encoder = Encoder(checkpoint.tokenizer, checkpoint.facts, checkpoint.backend, policy, checkpoint.window)
    engine = Engine(checkpoint, device=device)
    queries = {q.key(engine.salt): q for encoded in encoder.encode([Span(s) for s in _SENTENCES]) for q in encoded.queries}
    answers = engine.compute_unsaved(queries)
    values = [value for row in answers.values() for value in row]
    work = engine.works.get("float32", Work())
    found.facts["prefix sharing"] = "proven on this model" if work.path == "trie" else f"not used: {work.path}"
    engine.close()
    if not values or not all(map(math.isfinite, values)):
        found.unusable = True
        found.warnings.append("The model gives NaN or infinite log-probabilities: its weights are damaged or training diverged.")
        return
    surprisal = -sum(values) / len(values)
    uniform = math.log(checkpoint.facts.size)
    found.facts["mean surprisal"] = f"{surprisal:.2f} nats per token on four plain sentences (guessing: {uniform:.2f})"
    if surprisal > 0.95 * uniform:
        found.warnings.append(
            f"The model predicts plain English no better than chance ({surprisal:.2f} against {uniform:.2f} nats): "
            "untrained weights, or a tokenizer that is not its own."
        )


def _what(backend: Backend) -> str:
    ways = {
        "causal": "each token is scored given what stands before it",
        "mlm": "each token is masked in turn and scored given both sides (pseudo-log-likelihood)",
        "mntp": "each token is masked in turn and read one position before it",
        "enc-dec-mask": "each token is hidden from the encoder in turn and asked of the decoder "
        "(--backend enc-dec-prefix is the other way)",
        "enc-dec-prefix": "the encoder reads what stands before the scored words, the decoder predicts them one by one "
        "(--backend enc-dec-mask is the other way)",
    }
    return ways[backend]
