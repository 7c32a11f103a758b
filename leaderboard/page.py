"""The page: payload, styles and scripts in one HTML file that asks nobody for anything."""

from __future__ import annotations

import base64
import gc
import hashlib
from importlib.resources import files
from pathlib import Path

from babyeval.errors import UsageError, disk_error
from babyeval.store import atomic_path

from .build import make_payload
from .payload import Payload, embedded
from .plots import make_figures
from .read import read_board

_TEMPLATE = "page.html.jinja"


def build_page(
    results: Path,
    out: Path,
    *,
    protocol: str | None = None,
    split: str | None = None,
    figures: Path | None = None,
    title: str | None = None,
) -> Payload:
    """Builds the leaderboard of a results folder, from records alone.

    Args:
        results: The results folder.
        out: The HTML file, written whole or not at all.
        protocol: By default ``robust``, unless another is the only one that all models share.
        split: By default, task by task, the one that most models have, of equals the largest.
        figures: A folder for the figures as SVG and PDF.
        title: By default the name of the results folder.

    Returns:
        What is on the page.

    Raises:
        MissingError: There is nothing to show, or the page cannot be written.
        UsageError: Protocol or split are not there, or ``out`` is a folder.
    """
    if out.is_dir():
        raise UsageError("The page needs the name of a file.", where=str(out), hint="For example --out leaderboard.html.")
    board = read_board(results, protocol=protocol, split=split)
    gc.freeze()  # statsmodels collects garbage in each of many corrections, and would look through all records
    try:
        payload = make_payload(board, title or results.resolve().name)
    finally:
        gc.unfreeze()
    payload = payload.model_copy(update={"figures": make_figures(board, payload, figures)})
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(out) as draft:
            draft.write_text(render(payload), encoding="utf-8", newline="\n")
    except OSError as error:
        raise disk_error(error, str(out)) from error
    return payload


def render(payload: Payload) -> str:
    """The page of a payload."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    here = files("babyeval.leaderboard")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(here.joinpath("templates", _TEMPLATE).read_text(encoding="utf-8"))
    styles, scripts = _assets(".css"), _assets(".js")
    # Style sheets and scripts are ours, and the payload has no letter that HTML would take for markup.
    return template.render(
        title=payload.title,
        # The page's security policy allows these very texts, and no connection anywhere.
        style_hashes=[_hash(text) for text in styles],
        script_hashes=[_hash(text) for text in scripts],
        styles=[Markup(text) for text in styles],  # noqa: S704
        scripts=[Markup(text) for text in scripts],  # noqa: S704
        payload=Markup(embedded(payload)),  # noqa: S704
    )


def _assets(ending: str) -> list[str]:
    """The texts of all assets of a kind, in the order of their names."""
    found = [path for path in files("babyeval.leaderboard").joinpath("assets").iterdir() if path.name.endswith(ending)]
    return [path.read_text(encoding="utf-8") for path in sorted(found, key=lambda path: path.name)]


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode()}"
