"""babyeval surprisal: per word and per token, of any text."""

from __future__ import annotations

import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from babyeval.cli.options import AllowPickle, Backend, Device, Masking, Offline, TrustRemoteCode, WordEnd

if TYPE_CHECKING:
    import pandas as pd


def surprisal(
    model: Annotated[str, typer.Option(help=r"[NAME=]PATH_OR_ID\[@REV]")],
    text: Annotated[str, typer.Option(help="UTF-8 file with one text per line; - reads standard input.")],
    out: Annotated[Path | None, typer.Option(help="FILE.csv or FILE.parquet. Default: CSV on stdout.")] = None,
    unit: Annotated[str, typer.Option(help="One row per word or per token.")] = "word",
    backend: Backend = None,
    masking: Masking = None,
    word_end: WordEnd = None,
    dtype: Annotated[str, typer.Option(help="Always float32: surprisals are values, not decisions.")] = "float32",
    device: Device = None,
    offline: Offline = False,
    trust_remote_code: TrustRemoteCode = False,
    allow_pickle: AllowPickle = False,
    json: Annotated[bool, typer.Option("--json", help="Print a summary, and without --out the rows, as JSON.")] = False,
) -> None:
    """Surprisal in nats of each word, or token, of a text file.

    Started again, it computes only what is missing.

    Example: babyeval surprisal --model my-model --text stories.txt --out stories.csv
    """
    from babyeval.progress import reporter
    from babyeval.texts.read import read_lines
    from babyeval.texts.surprisal import surprisal as score

    if out is not None:
        _require_target(out)
    options = {
        "backend": backend, "masking": masking, "word_end": word_end, "dtype": dtype, "device": device, "offline": offline or None,
        "trust_remote_code": trust_remote_code or None, "allow_pickle": allow_pickle or None,
    }  # fmt: skip
    table = score(model, read_lines(text), unit=unit, reporter=reporter(), **options)  # type: ignore[arg-type]
    if out is not None:
        _write(table, out)
    if json:
        from babyeval.cli import render

        render.print_json({**_summary(table), "out": str(out) if out else None, **({} if out else {"rows": _plain(table)})})
    elif out is None:
        _print_csv(table)
    for line in _remarks(table, out):
        print(line, file=sys.stderr)


def _require_target(out: Path) -> None:
    """Finds out before the work whether the table can be written."""
    from babyeval.errors import UsageError
    from babyeval.store import ResultStore

    if out.is_dir():
        raise UsageError("A table needs the name of a file.", where=str(out), hint=f"For example --out {out / 'surprisal.csv'}.")
    if out.suffix.lower() not in (".csv", ".parquet"):
        raise UsageError(
            f"The ending '{out.suffix}' says no format." if out.suffix else "The name has no ending, which says the format.",
            where=str(out), hint="End it in .csv or .parquet.",
        )  # fmt: skip
    ResultStore(out.parent).require_writable()


def _write(table: pd.DataFrame, out: Path) -> None:
    from babyeval.errors import disk_error
    from babyeval.store import atomic_path

    try:
        with atomic_path(out) as draft:
            if out.suffix.lower() == ".csv":
                table.to_csv(draft, index=False, lineterminator="\n", encoding="utf-8")
            else:
                table.to_parquet(draft, index=False)
    except OSError as error:
        raise disk_error(error, str(out)) from error


def _print_csv(table: pd.DataFrame) -> None:
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure:
        reconfigure(encoding="utf-8", newline="")  # data, whatever the terminal's alphabet
    try:
        table.to_csv(sys.stdout, index=False, lineterminator="\n")
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _summary(table: pd.DataFrame) -> dict[str, Any]:
    """What the table comes to, as plain data."""
    defined = table["surprisal"].dropna()
    return {
        **{str(key): value for key, value in table.attrs.items()},
        "lines": int(table["line"].nunique()),
        "rows_total": len(table),
        "undefined": len(table) - len(defined),
        "straddling": int(table["straddles"].sum()),
        "truncated": int(table["truncated"].sum()),
        "unknown": int((table["unknown"] > 0).sum()),
        "mean_surprisal": _finite(float(defined.mean())) if len(defined) else None,
    }


def _plain(table: pd.DataFrame) -> list[dict[str, Any]]:
    rows = [{str(key): value for key, value in row.items()} for row in table.to_dict("records")]
    return [{key: _finite(value) if key.startswith("surprisal") else value for key, value in row.items()} for row in rows]


def _finite(value: float) -> float | None:
    """JSON knows neither NaN nor infinity."""
    return value if math.isfinite(value) else None


def _remarks(table: pd.DataFrame, out: Path | None) -> list[str]:
    """What a reader of the numbers must know."""
    from babyeval.models.naming import counted

    facts = _summary(table)
    unit = facts["unit"]
    mean = "undefined" if facts["mean_surprisal"] is None else f"{facts['mean_surprisal']:.3f} nats per {unit}"
    said = {
        "undefined": "without a surprisal; the column 'note' says why",
        "straddling": "sharing a token with another word (straddles)"
        if unit == "word"
        else "reaching over several words (straddles)",
        "truncated": "lacking context that did not fit the model's window (truncated)",
        "unknown": "holding what the vocabulary does not know (unknown)",
    }
    lines = [
        f"{f'Wrote {out}: ' if out else ''}{counted(facts['rows_total'], unit)} in {counted(facts['lines'], 'line')}, mean surprisal {mean}; "
        f"'{facts['model']}' scored as {facts['backend']}{'' if facts['masking'] == 'pll' else ', ' + facts['masking']}."
    ]
    return lines + [f"{counted(facts[key], unit)} {what}." for key, what in said.items() if facts[key]]
