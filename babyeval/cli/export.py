"""babyeval export: the official submission file, or all scores as a table."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from babyeval.cli.options import DataDir, DataPasswords, Results, Text, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from babyeval.official.submission import Submission
    from babyeval.store import DamagedRecord

FORMATS = ("babylm-2025", "babylm-2026", "csv", "parquet")


def export(
    results: Results = None,
    format: Annotated[Text, typer.Option(help=f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]}.")] = None,
    out: Annotated[Path | None, typer.Option(help="File to write, or a folder for the official name. Default: stdout.")] = None,
    model: Annotated[Text, typer.Option(help="The model's name, where the folder holds several.")] = None,
    revision: Annotated[Text, typer.Option(help="Likewise its revision.")] = None,
    backend: Annotated[Text, typer.Option(help="Likewise the backend.")] = None,
    track: Annotated[
        Text,
        typer.Option(help="Whose checkpoints are listed: strict-small or strict (all others). Default: told by those there."),
    ] = None,
    data_dir: DataDir = None,
    data_password: DataPasswords = None,
) -> None:
    """Write the official submission file, or all scores as a table.

    A submission holds texts of the benchmarks, which records do not: the data is read again.

    Example: babyeval export results --format babylm-2026 --out submission.json
    """
    from babyeval.data.archive import require_known_tasks
    from babyeval.errors import UsageError

    if format not in FORMATS:
        said = f"'{format}' is no format." if format else "The format is not named."
        raise UsageError(said, hint=f"Choose by --format: {', '.join(FORMATS)}.")
    config = settings(out=results, data_dir=data_dir, data_passwords=data_password)
    require_known_tasks(config.passwords)
    if format in ("csv", "parquet"):
        if track is not None:
            raise UsageError("--track is for submissions; a table holds all scores.", hint="Leave it out.")
        _export_table(config.out, format, out, model, revision, backend)
        return
    from babyeval.official.submission import make_submission

    choice = {"model": model, "revision": revision, "backend": backend, "track": track}
    _export_submission(
        make_submission(config.out, format, **choice, data_dir=config.data_dir, passwords=config.passwords), format, out
    )


def _export_submission(made: Submission, format: str, out: Path | None) -> None:
    from babyeval.errors import MissingError, UsageError
    from babyeval.official.submission import official_text

    lines = [f"{key}: {reason}" for key, reason in made.missing.items()]
    if made.missing and format == "babylm-2025":
        raise MissingError(
            f"The submission of '{made.entry.model}' is incomplete, and {format} takes only complete ones; nothing was written.",
            where="\n    ".join(["", *lines]),
            hint="\n    ".join(made.advice) or "Make what is missing, then export again.",
        )
    if out is not None and out.suffix.lower() in (".csv", ".parquet"):
        raise UsageError(f"The name ends in '{out.suffix}', and a submission is JSON.", where=str(out), hint="End it in .json.")
    text = official_text(made.content)
    if out is None:
        sys.stdout.write(text)
    else:
        target = out / made.entry.file_name() if out.is_dir() else out
        with _written(target) as draft:
            draft.write_text(text, encoding="utf-8")
        print(f"Wrote {target}: '{made.entry.model}' ({made.entry.revision}), scored as {made.entry.backend}.", file=sys.stderr)
    partial = {key for key in made.missing if made.content[key] is not None}
    for key, reason in made.missing.items():
        print(f"{'Incomplete' if key in partial else 'Left null'}: {key}: {reason.rstrip('.')}.", file=sys.stderr)
    for line in made.advice:
        print(f"What next: {line}", file=sys.stderr)


def _export_table(
    results: Path, format: str, out: Path | None, model: str | None, revision: str | None, backend: str | None
) -> None:
    from babyeval.cli.results import name_damaged
    from babyeval.errors import UsageError
    from babyeval.official.table import score_table

    if out is not None and out.suffix.lower() in {".csv", ".parquet", ".json"} - {f".{format}"}:
        hint = f"End it in .{format}, or choose another --format."
        raise UsageError(f"The name ends in '{out.suffix}', and the format is {format}.", where=str(out), hint=hint)
    if format == "parquet" and out is None:
        raise UsageError("Parquet is no text for a terminal.", hint="Name a file by --out FILE.parquet, or choose --format csv.")
    damaged: list[DamagedRecord] = []
    try:
        table = score_table(results, model=model, revision=revision, backend=backend, damaged=damaged)
    finally:
        name_damaged(damaged)
    if out is None:
        table.to_csv(sys.stdout, index=False, lineterminator="\n")
        return
    with _written(out) as draft:
        if format == "csv":
            table.to_csv(draft, index=False, lineterminator="\n")
        else:
            table.to_parquet(draft, index=False)
    print(f"Wrote {out}: {len(table):,} scores.", file=sys.stderr)


@contextmanager
def _written(target: Path) -> Iterator[Path]:
    """A path to write to, which takes the target's place only when all is written."""
    from babyeval.errors import UsageError, disk_error
    from babyeval.store import atomic_path

    if target.is_dir():
        raise UsageError("A table needs the name of a file.", where=str(target), hint="For example --out scores.csv.")
    try:
        if target.exists() and not target.is_file():  # a pipe or a device is written to, never replaced
            yield target
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(target) as draft:
            yield draft
    except OSError as error:
        raise disk_error(error, str(target)) from error
