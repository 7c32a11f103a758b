"""What a tuning will need, before it starts; what only its sets and its parent can tell is unknown until they are there."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from babyeval.errors import BabyevalError

from ..estimate import Counts, Estimate, memories
from ..folders import run_folder
from ..milestones import FINAL
from ..model import parameter_count
from ..prefer.tuning import require_pairs
from ..recipe import Recipe, Training, TuningRecipe, Updates
from ..saving import read_facts
from ..schedule import plan_checkpoints
from .order import Run
from .sets import InstructionSet, look_up_set
from .tuning import lay_out


def estimate_tuning(recipe: TuningRecipe, out: Path) -> Estimate:
    """Works out what a tuning comes to; builds nothing and needs neither corpus nor parent.

    Args:
        recipe: The recipe, checked.
        out: Where what has been built already is looked for.
    """
    root, training = recipe.root, recipe.training
    length = training.max_length or (root.model.max_length if root else None)
    sets, why = _sets(recipe, out)
    counts = _count(recipe, sets)
    known: dict[str, Any] = {
        "parameters": parameter_count(root.model, root.tokenizer.vocab_size) if root else None,
        "vocab_size": root.tokenizer.vocab_size if root else None,
        "sequence_length": length,
        "train_words": counts.train_words,
        "valid_words": counts.valid_words,
        "sequences": counts.sequences,
        "updates": counts.updates,
        "words_seen": counts.words_after(counts.updates) if counts.words_after and counts.updates else None,
        "checkpoints": _checkpoints(recipe, counts, sets),
        "tokens": None,
        "batch_tokens": None,
    }
    reasons = dict.fromkeys(("parameters", "vocab_size", "sequence_length"), "the parent says so, and no recipe of it is known")
    reasons |= {"tokens": "rows differ in length, and are encoded when the tuning starts"}
    reasons["batch_tokens"] = reasons["tokens"]
    if sets:
        reasons["words_seen"] = "how much is left of pairs that are cut is known when the tuning starts"
        reasons["checkpoints"] = "checkpoints by words count from what the parent has seen"
    return Estimate(
        condition=recipe.condition,
        seed=recipe.seed,
        architecture=root.model.architecture if root else "the parent's",
        batch_size=training.batch_size,
        epochs=_epochs(recipe),
        budget_words=None,
        **known,
        unknown={name: reasons.get(name, why) for name, value in known.items() if value is None},
        memory=memories(_as_pretraining(root, training, length), known["parameters"]) if root else (),
        remarks=_remarks(recipe, counts, out),
    )


def _epochs(recipe: TuningRecipe) -> int:
    return sum(recipe.instruct.curriculum.stage_epochs) if recipe.instruct is not None else recipe.preference.epochs


def _sets(recipe: TuningRecipe, out: Path) -> tuple[dict[str, InstructionSet], str]:
    """The sets that have been built, all or none, and why there are none."""
    found: dict[str, InstructionSet] = {}
    for name in recipe.set_names:
        try:
            made = look_up_set(name, recipe.sets[name], recipe.data.corpus, out, recipe.data.clean)
        except BabyevalError:
            made = None
        if made is None:
            corpus = "" if recipe.data.corpus else "; no corpus is named (--corpus DIR)"
            return {}, f"the set '{name}' has not been built{corpus}"
        found[name] = made
    return found, ""


def _count(recipe: TuningRecipe, sets: dict[str, InstructionSet]) -> Counts:
    if not sets:
        return Counts()
    parts = {part: [made.manifest.parts[part] for made in sets.values()] for part in ("train", "valid")}
    rows = sum(part.rows for part in parts["train"])
    counts = Counts(
        train_words=sum(part.words for part in parts["train"]),
        valid_words=sum(part.words for part in parts["valid"]),
        sequences=rows,
    )
    if recipe.instruct is None:
        return replace(counts, updates=require_pairs(recipe.preference, sets))
    return _laid_out(recipe, sets, counts)


def _laid_out(recipe: TuningRecipe, sets: dict[str, InstructionSet], counts: Counts) -> Counts:
    """Updates, and words after each of them, in the order of the tuning itself."""
    import numpy as np

    runs, batch = _runs(recipe, sets), recipe.tuning.batch_size
    words = np.array([row.shown_words for made in sets.values() for row in made.rows("train")], dtype=np.int64)
    after = np.concatenate([[0], words[np.concatenate([run.order for run in runs])].cumsum()])
    updates = sum(run.updates for run in runs)
    return replace(counts, updates=updates, words_after=lambda update: int(after[update * batch]))


def _runs(recipe: TuningRecipe, sets: dict[str, InstructionSet]) -> list[Run]:
    return lay_out(recipe, {name: made.manifest.parts["train"].rows for name, made in sets.items()})


def _checkpoints(recipe: TuningRecipe, counts: Counts, sets: dict[str, InstructionSet]) -> tuple[str, ...] | None:
    if counts.updates is None or recipe.checkpoints.words:
        return None  # checkpoints by words count from what the parent has seen
    at = plan_checkpoints(recipe.checkpoints, counts.updates, lambda _: 0).at
    found = [(update, name) for update, names in at.items() for name in names]
    if recipe.instruct is not None:
        ends = accumulate(run.updates for run in _runs(recipe, sets)[:-1])
        found += [(update, f"stage_{number}") for number, update in enumerate(ends, 1)]
    return (*(name for _, name in sorted(found)), FINAL)


def _as_pretraining(root: Recipe, training: Updates, length: int | None) -> Recipe:
    """The parent's shape with this training's batch, for the formulas of memory."""
    shared = {name: getattr(training, name) for name in Updates.model_fields}
    return root.model_copy(update={"pretrain": Training(**shared, sequence_length=length)})


def _remarks(recipe: TuningRecipe, counts: Counts, out: Path) -> tuple[str, ...]:
    said = ["Words are those of the tuning; what the parent has seen comes on top."]
    before = recipe.before
    if recipe.parent is None and before is not None and read_facts(run_folder(out, before) / FINAL) is None:
        said.append(f"The parent '{before.condition}' is not there: it is trained first ('{before.section}').")
    if recipe.root is not None:
        said.append("Memory is that of a batch of the longest rows; shorter ones take less.")
    if counts.updates is not None:
        said.append("Rows whose reply is cut away wholly are left out when the tuning starts, and not before.")
    if any(recipe.sets[name].writer == "template" for name in recipe.set_names):
        said.append("Questions and answers are written by rules (writer = template), a substitute for the paper's.")
    return tuple(said)
