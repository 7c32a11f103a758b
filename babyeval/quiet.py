"""Keeps what libraries say about themselves off standard output, which belongs to results."""

from __future__ import annotations

import logging


def quiet_deepspeed() -> None:
    """Drops DeepSpeed's notes and warnings, and sends its errors to standard error.

    The library logs to standard output, on machines without a GPU from the moment it is imported, and accelerate
    imports it wherever it is installed, as when a model is saved. So this must be called before anything is saved or trained.

    Example:
        >>> quiet_deepspeed()
        >>> logging.getLogger("DeepSpeed").warning("not shown")
    """
    log = logging.getLogger("DeepSpeed")  # the library sets the logger's level and handler, not its filters
    if _errors_only not in log.filters:
        log.addFilter(_errors_only)


def _errors_only(record: logging.LogRecord) -> bool:
    if record.levelno >= logging.ERROR and logging.lastResort is not None:
        logging.lastResort.handle(record)
    return False
