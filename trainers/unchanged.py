"""Whether the data that a recipe names are still those of a training that was done: by their content, wherever they lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from babyeval.errors import UsageError

from .recipe import AnyRecipe, TuningRecipe
from .saving import TrainingFacts


def compare_data(recipe: AnyRecipe, out: Path, corpus: str | None, sets: Mapping[str, str]) -> dict[str, bool | None]:
    """Compares a training's data with what its recipe names now; nothing is built.

    Args:
        recipe: Of the training.
        out: Folder of all runs.
        corpus: Digest of the corpus that it was trained on; of a tuning it says nothing.
        sets: Digests of a tuning's sets, by name.

    Returns:
        By ``corpus`` or ``set 'name'``, whether it is the same; None where nothing at hand tells.
    """
    if isinstance(recipe, TuningRecipe):
        from .instruct.sets import same_rows

        data = recipe.data
        return {
            f"set '{name}'": same_rows(name, recipe.sets[name], data.corpus, out, data.clean, sets[name])
            for name in recipe.set_names
            if name in sets
        }
    from .corpus.build import same_text

    return {"corpus": None if corpus is None else same_text(recipe.data, out, corpus)}


def require_same_data(recipe: AnyRecipe, out: Path, facts: TrainingFacts, folder: Path) -> None:
    """Refuses to take a finished training for one on data that have changed since.

    Args:
        recipe: What is asked for.
        out: Folder of all runs.
        facts: What the finished training says.
        folder: Its folder.

    Raises:
        UsageError: They have.
    """
    compared = compare_data(recipe, out, facts.corpus_digest, facts.set_digests)
    if changed := [what for what, same in compared.items() if same is False]:
        raise UsageError(
            f"The training in this folder is finished, and since then its {' and its '.join(changed)} changed.",
            where=str(folder),
            hint="To train on what is there now, give another condition or seed, write elsewhere (--out), or delete the folder.",
        )
