"""Hooks of the documentation's site: files outside docs/ that pages link to become part of it, and links follow them.

On a code host a page's links are paths in the repository. On the site docs/ is the root, the README its first page, and
whatever else is linked lies below source/.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from griffe import Docstring, Extension, Object
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#|/)([^)\s#]+)(?=#[^)]*\)|\))")
HOME = "index.md"


def on_files(files: Files, *, config: Any) -> Files:
    """Adds the README as first page, and every file of the repository that a page of the site links to."""
    files.append(File.generated(config, HOME, abs_src_path=str(ROOT / "README.md")))
    known = {file.src_uri for file in files}
    waiting = [file.src_uri for file in files if file.src_uri.endswith(".md")]
    while waiting:
        page = waiting.pop()
        text = (ROOT / repository_path(page)).read_text(encoding="utf-8")
        for path in linked_files(page, text):
            place = site_path(path)
            if place not in known:
                known.add(place)
                files.append(File.generated(config, place, abs_src_path=str(ROOT / path)))
                waiting += [place] if place.endswith(".md") else []
    return files


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Files) -> str:
    """Turns links between files of the repository into links between files of the site."""
    here = page.file.src_uri

    def moved(match: re.Match[str]) -> str:
        path = target(here, match[1])
        return posixpath.relpath(site_path(path), posixpath.dirname(here) or ".") if (ROOT / path).is_file() else match[1]

    return LINK.sub(moved, markdown)


def linked_files(page: str, text: str) -> Iterator[str]:
    """The repository's files to which a page of the site links."""
    for match in LINK.finditer(text):
        if (ROOT / (path := target(page, match[1]))).is_file():
            yield path


def target(page: str, link: str) -> str:
    """The path in the repository to which a link in a page of the site leads.

    >>> target("tasks/blimp.md", "../../tasks/blimp/README.md")
    'tasks/blimp/README.md'
    """
    return posixpath.normpath(posixpath.join(posixpath.dirname(repository_path(page)), link))


def repository_path(page: str) -> str:
    """Where a page of the site lies in the repository."""
    if page == HOME:
        return "README.md"
    return page.removeprefix("source/") if page.startswith("source/") else f"docs/{page}"


def site_path(path: str) -> str:
    """Where a file of the repository lies on the site."""
    if path == "README.md":
        return HOME
    return path.removeprefix("docs/") if path.startswith("docs/") else f"source/{path}"


class Examples(Extension):
    """Shows a docstring's ``Example:`` as what it is, code with its output, which the generator knows as ``Examples:`` only."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        if isinstance(obj.docstring, Docstring):
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
