"""All scores of a results folder as one flat table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from babyeval.errors import MissingError, UsageError

if TYPE_CHECKING:
    import pandas as pd

    from babyeval.store import DamagedRecord


def score_table(
    results: Path,
    *,
    model: str | None = None,
    revision: str | None = None,
    backend: str | None = None,
    damaged: list[DamagedRecord] | None = None,
) -> pd.DataFrame:
    """All scores in a fixed order: by folder, and inside a record as it lists them.

    Args:
        results: The results folder.
        model: Only this model's.
        revision: Only this revision's.
        backend: Only this backend's.
        damaged: Takes up the errors of records that cannot be read, which then stop nothing.

    Raises:
        MissingError: There is no such folder, or it holds no scores.
        UsageError: Nothing fits the choice, or a record is damaged and ``damaged`` is not given.
    """
    from babyeval.api import load_results

    table = load_results(results, damaged=damaged)
    if table.empty:
        raise MissingError("The results folder holds no scores.", where=str(results), hint="Make some by 'babyeval run'.")
    for column, wanted in (("model", model), ("revision", revision), ("backend", backend)):
        if wanted is not None:
            there = ", ".join(sorted(map(str, table[column].unique())))
            table = table[table[column] == wanted]
            if table.empty:
                raise UsageError(f"There is no {column} '{wanted}'.", where=f"there are: {there}", hint=f"Choose by --{column}.")
    return table.reset_index(drop=True)
