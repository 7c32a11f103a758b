"""Runs the command line as ``python -m babyeval``."""

from babyeval.cli.main import main

main()
