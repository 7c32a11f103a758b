"""Runs the command line, as ``python -m babyeval`` and as ``babyeval``; Ctrl-C ends it in words while it still starts."""

import sys
from typing import NoReturn

INTERRUPTED = 130  # 128 and the number of the signal, as typer and shells have it


def main() -> None:
    """Imports the command line and runs it."""
    try:
        from babyeval.cli.main import main as command

        command()
    except KeyboardInterrupt:
        interrupted()


def interrupted() -> NoReturn:
    """Ends the process after Ctrl-C."""
    print(
        "Interrupted. What was computed is kept: the same command goes on from here (a training with --resume). "
        "A run keeps the rows that it has scored; the records of tasks that lacked none are written.",
        file=sys.stderr,
    )
    sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
