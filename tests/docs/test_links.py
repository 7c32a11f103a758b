"""Links between README, documentation and the files they name lead somewhere, on a code host and on the site."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_blocks import PAGES, ROOT

_READMES = (p.relative_to(ROOT).as_posix() for p in ROOT.glob("*/*/README.md") if "node_modules" not in p.parts)
LINKING = sorted({*PAGES, "CHANGELOG.md", *_READMES})
# What a page would load from elsewhere as soon as it is opened.
_LOADED = re.compile(r"<(?:script|img|iframe)[^>]+src=[\"']?(?:https?:)?//[^>]*>|<link[^>]+href=[\"']?(?:https?:)?//[^>]*>")
_CODE = re.compile(r"^```.*?^```$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors(path: Path) -> set[str]:
    """The anchors that a code host makes of a page's headings."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title).lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", LINKING)
def test_links_lead_somewhere(page):
    lost = []
    for link in _LINK.findall(_CODE.sub("", (ROOT / page).read_text(encoding="utf-8"))):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        if not target.is_file() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    assert lost == []


def hooks():
    pytest.importorskip("mkdocs", reason="the site's generator comes with babyeval[docs]")
    spec = importlib.util.spec_from_file_location("site_hooks", ROOT / "docs/site_hooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("page", "link", "path", "place"),
    [
        ("index.md", "docs/data.md", "docs/data.md", "data.md"),
        ("tasks/blimp.md", "../../tasks/blimp/README.md", "tasks/blimp/README.md", "source/tasks/blimp/README.md"),
        ("source/tasks/blimp/README.md", "../../docs/tasks/blimp.md", "docs/tasks/blimp.md", "tasks/blimp.md"),
        ("design/README.md", "../../README.md", "README.md", "index.md"),
        (
            "training.md",
            "../benchmarks/results/zero-cpu.jsonl",
            "benchmarks/results/zero-cpu.jsonl",
            "source/benchmarks/results/zero-cpu.jsonl",
        ),
    ],
)
def test_where_a_link_of_the_site_leads(page, link, path, place):
    made = hooks()
    assert made.target(page, link) == path
    assert made.site_path(path) == place
    assert (ROOT / made.repository_path(place)) == ROOT / path


@pytest.mark.slow
def test_site_is_built_without_a_warning_and_loads_nothing_from_elsewhere(tmp_path):
    hooks()
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = sorted(tmp_path.rglob("*.html"))
    assert {"index.html", "start.html", "reference.html", "tasks/blimp.html"} <= {
        p.relative_to(tmp_path).as_posix() for p in pages
    }
    for page in pages:
        assert _LOADED.findall(page.read_text(encoding="utf-8")) == [], page
    assert 'id="babyeval.evaluate"' in (tmp_path / "reference.html").read_text(encoding="utf-8")
