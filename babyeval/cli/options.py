"""The options that several verbs share, and the settings behind them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from babyeval.config import RunConfig

Text = str | None

# The model, and how it is loaded and scored.
Backend = Annotated[Text, typer.Option(help="auto, causal, mlm, mntp, enc-dec-mask or enc-dec-prefix. Default: auto.")]
Masking = Annotated[Text, typer.Option(help="For masked models: pll or word-l2r. Default: pll.")]
WordEnd = Annotated[
    Text, typer.Option(help="none; or corrected: surprisals of words also corrected for the word's end, beside. Default: none.")
]
Device = Annotated[Text, typer.Option(help="auto, cpu or cuda. Default: auto.")]
Offline = Annotated[bool, typer.Option("--offline", help="Fetch nothing from the Hub.")]
TrustRemoteCode = Annotated[bool, typer.Option("--trust-remote-code", help="Run Python code that the checkpoint brings.")]
AllowPickle = Annotated[bool, typer.Option("--allow-pickle", help="Load weights stored in PyTorch's own format.")]

# The data, and where results lie.
DataDir = Annotated[Path | None, typer.Option(help="Folder in the official evaluation_data layout.")]
DataPasswords = Annotated[
    list[str] | None,
    typer.Option("--data-password", help="TASK=PASSWORD of a data archive; may be repeated.", show_default=False),
]
Out = Annotated[Path | None, typer.Option(help="Results folder. Default: results.")]
Results = Annotated[Path | None, typer.Argument(help="Results folder. Default: results.", show_default=False)]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def settings(*, out: Path | None = None, data_dir: Path | None = None, data_passwords: Sequence[str] | None = None) -> RunConfig:
    """The folders and passwords that 'run' would take: as given, else of the environment or the settings file."""
    from babyeval.config import load_config

    given = {"models": ("none",), "out": out, "data_dir": data_dir, "data_password": tuple(data_passwords or ()) or None}
    return load_config(given)
