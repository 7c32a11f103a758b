"""What a training will need, before it starts: parameters, tokens, updates, checkpoints and memory per device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict

from babyeval.errors import UsageError

from .memory import Memory, memory_of
from .model import parameter_count
from .recipe import AnyRecipe, Recipe, TuningRecipe
from .schedule import divide_batch, plan_checkpoints, warm_up_remarks

if TYPE_CHECKING:
    from .shards import Shards

_DEVICES = (1, 2, 4, 8)  # shown where the recipe leaves their number open


class Estimate(BaseModel):
    """The plan of a training; what the data alone can tell is null until it is built, and `unknown` says why.

    Attributes:
        condition: The recipe's.
        seed: The recipe's.
        architecture: The recipe's.
        parameters: Trainable ones, exact.
        vocab_size: Tokens of the tokenizer.
        sequence_length: Tokens of a packed sequence; of a tuning, the most tokens of a row.
        batch_size: Sequences of an update.
        batch_tokens: Tokens of an update.
        epochs: Passes over the training part.
        budget_words: Words that the recipe allows, training and validation together.
        train_words: Words of the training part.
        valid_words: Words of the validation part.
        tokens: Tokens of the training part, special ones included.
        sequences: Packed sequences, or rows, of the training part.
        updates: Of the whole training.
        words_seen: Words of all epochs.
        checkpoints: Names of what will be kept, ``final`` included.
        unknown: Why a value above is null, by its name.
        memory: Per device, for each ZeRO stage and number of devices.
        remarks: What should be known before starting.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    condition: str
    seed: int
    architecture: str
    parameters: int | None
    vocab_size: int | None
    sequence_length: int | None
    batch_size: int
    batch_tokens: int | None
    epochs: int
    budget_words: int | None
    train_words: int | None = None
    valid_words: int | None = None
    tokens: int | None = None
    sequences: int | None = None
    updates: int | None = None
    words_seen: int | None = None
    checkpoints: tuple[str, ...] | None = None
    unknown: dict[str, str] = {}
    memory: tuple[Memory, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """What is known of the data.

    Attributes:
        train_words: Words of the training part.
        valid_words: Words of the validation part.
        tokens: Tokens of the training part.
        sequences: Its packed sequences.
        updates: Of the whole training.
        words_after: Words seen after an update.
        missing: Why the last of these are unknown.
    """

    train_words: int | None = None
    valid_words: int | None = None
    tokens: int | None = None
    sequences: int | None = None
    updates: int | None = None
    words_after: Callable[[int], int] | None = None
    missing: str = ""


def estimate(recipe: AnyRecipe, out: Path) -> Estimate:
    """Works out what a recipe's training comes to; builds nothing and needs no corpus.

    Args:
        recipe: The recipe.
        out: Where what has been built already is looked for.

    Raises:
        UsageError: The recipe cannot be trained as it stands: its schedule, its model's shape, or how
            its batch is divided among devices.
    """
    from .checks import check_recipe

    check_recipe(recipe)
    if isinstance(recipe, TuningRecipe):
        from .instruct.plan import estimate_tuning

        return estimate_tuning(recipe, out)
    assert isinstance(recipe, Recipe)
    counts = count(recipe, out)
    names, remarks = _checkpoints(recipe, counts)
    known = {name: getattr(counts, name) for name in ("train_words", "valid_words", "tokens", "sequences", "updates")}
    words_seen = counts.words_after(counts.updates) if counts.words_after and counts.updates else None
    known |= {"words_seen": words_seen, "checkpoints": names}
    parameters = parameter_count(recipe.model, recipe.tokenizer.vocab_size)
    return Estimate(
        condition=recipe.condition,
        seed=recipe.seed,
        architecture=recipe.model.architecture,
        parameters=parameters,
        vocab_size=recipe.tokenizer.vocab_size,
        sequence_length=recipe.sequence_length,
        batch_size=recipe.pretrain.batch_size,
        batch_tokens=recipe.pretrain.batch_size * recipe.sequence_length,
        epochs=recipe.pretrain.epochs,
        budget_words=recipe.data.words,
        **known,
        unknown={name: counts.missing for name, value in known.items() if value is None},
        memory=memories(recipe, parameters),
        remarks=(*_remarks(recipe, counts), *remarks),
    )


def count(recipe: Recipe, out: Path) -> Counts:
    """Counts what has been built of the recipe's data already, and builds nothing."""
    updates = recipe.pretrain.max_steps
    if recipe.data.corpus is None:
        return Counts(updates=updates, missing="no corpus is named (--corpus DIR)")
    from .corpus.build import look_up_corpus
    from .shards import look_up_shards
    from .tokenizer import tokenizer_folder

    corpus = look_up_corpus(recipe.data, out)
    if corpus is None:
        return Counts(updates=updates, missing="the corpus has not been built (babyeval train corpus makes it)")
    words = Counts(train_words=corpus.train_words, valid_words=corpus.valid_words, updates=updates)
    if recipe.parent is not None:
        return replace(words, missing="the parent's tokenizer decides how many tokens there are")
    folder = tokenizer_folder(corpus, recipe.tokenizer, recipe.model.causal, out, recipe.model.max_length)
    if not folder.is_dir():
        return replace(words, missing="the tokenizer has not been trained (babyeval train tokenizer makes it)")
    shards = look_up_shards(corpus, folder, recipe.sequence_length, recipe.model.causal, out)
    if shards is None:
        return replace(words, missing="the text has not been packed for this tokenizer and sequence length")
    return _trained_on(words, recipe, shards)


def _trained_on(words: Counts, recipe: Recipe, shards: Shards) -> Counts:
    """Counts updates and words as the training itself does."""
    from .pretrain import count_updates
    from .stream import TrainStream

    batch, sequences = recipe.pretrain.batch_size, len(shards.train)
    updates = count_updates(recipe, sequences)
    stream = TrainStream(shards.train, updates * batch, recipe.seed)
    return replace(
        words,
        tokens=shards.train.n_tokens,
        sequences=sequences,
        updates=updates,
        words_after=lambda update: stream.words_after(update * batch),
    )


def _checkpoints(recipe: Recipe, counts: Counts) -> tuple[tuple[str, ...] | None, list[str]]:
    """The names of all checkpoints, and what has to be said of those that there will not be."""
    if counts.updates is None or counts.words_after is None:
        return None, []
    schedule = plan_checkpoints(recipe.checkpoints, counts.updates, counts.words_after)
    return (*(name for _, names in sorted(schedule.at.items()) for name in names), "final"), schedule.remarks()


def _remarks(recipe: Recipe, counts: Counts) -> list[str]:
    """What the recipe says that its author may not have meant."""
    training, said = recipe.pretrain, []
    if counts.updates is not None:
        said += warm_up_remarks(training.warmup_steps, counts.updates)
    if recipe.sequence_length < recipe.model.max_length:
        said.append(
            f"Sequences have {recipe.sequence_length:,} tokens and the model takes {recipe.model.max_length:,}: "
            "what it does with longer ones is never trained."
        )
    if recipe.parent is not None:
        said.append("The words that the parent has seen are not counted here.")
    if training.zero_config is not None:
        said.append(f"Memory is that of the shipped configurations; {training.zero_config} may ask for another.")
    return said


def memories(recipe: Recipe, parameters: int) -> tuple[Memory, ...]:
    """All stages with the recipe's number of devices, or with each of the usual ones that divides its batch."""
    found = []
    for devices in (recipe.pretrain.devices,) if recipe.pretrain.devices else _DEVICES:
        try:
            micro = divide_batch(recipe.pretrain.batch_size, recipe.pretrain.micro_batch_size, devices).micro
        except UsageError:
            if devices in (recipe.pretrain.devices, 1):
                raise
            continue
        found += [memory_of(recipe, parameters, zero, devices, micro) for zero in (None, 0, 1, 2, 3)]
    return tuple(found)
