"""Where babyeval keeps what it can compute or fetch again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """``BABYEVAL_CACHE``, else the user's cache folder."""
    if given := os.environ.get("BABYEVAL_CACHE"):
        return Path(given)
    from platformdirs import user_cache_path

    return user_cache_path("babyeval")


def fetched_root() -> Path:
    """The folder in the official layout that ``babyeval data fetch`` fills."""
    return cache_root() / "data"
