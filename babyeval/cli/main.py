"""The babyeval command: its verbs, and how errors become exit codes."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from babyeval.__main__ import INTERRUPTED, interrupted
from babyeval.cli import check, compare, data, demo, doctor, export, import_, leaderboard, results, run, surprisal, tasks, train
from babyeval.errors import BabyevalError, raise_interrupt, unusable
from babyeval.quiet import quiet_deepspeed

_WRONG_USAGE = 2

app = typer.Typer(
    name="babyeval",
    help="How good is a small language model really? The BabyLM suite: right, fast, with error bars.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("run")(run.run)
app.add_typer(tasks.app, name="tasks")
app.add_typer(data.app, name="data")
app.command("check")(check.check)
app.command("surprisal")(surprisal.surprisal)
app.add_typer(train.app, name="train")
app.command("leaderboard")(leaderboard.leaderboard)
app.add_typer(results.app, name="results")
app.command("compare")(compare.compare)
app.command("import")(import_.import_)
app.command("export")(export.export)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"babyeval {version('babyeval')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Options of the command itself."""


def _refuse(error: BabyevalError) -> NoReturn:
    print(f"Error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)


def main() -> None:
    """Runs the command and ends the process with the exit code of the outcome."""
    quiet_deepspeed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that lacks a letter shows its number
            stream.reconfigure(errors="backslashreplace")
    try:
        _run()
    except BabyevalError as error:
        _refuse(error)
    except OSError as error:  # an unreadable folder, a name too long: no bug of ours
        _refuse(unusable(error))
    except KeyboardInterrupt:
        interrupted()
    except SystemExit as end:
        if end.code == INTERRUPTED:  # what typer makes of Ctrl-C
            interrupted()
        if end.code == _WRONG_USAGE and _glob_expanded(sys.argv):
            print("What next: put the glob in quotes, or the shell expands it: --revisions 'chck_*'.", file=sys.stderr)
        raise


def _run() -> None:
    try:
        app()
    except Exception as error:
        raise_interrupt(error)
        raise


def _glob_expanded(arguments: Sequence[str]) -> bool:
    """Whether several words follow ``--revisions``, as where the shell made them of a glob."""
    for option, *values in zip(arguments, arguments[1:], arguments[2:], strict=False):
        if option in ("--revisions", "--revision") and not any(value.startswith("-") for value in values):
            return True
    return False


if __name__ == "__main__":
    main()
