"""Every command and every piece of Python that README and documentation show runs, page by page, as a reader would type it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from doc_blocks import PAGES, SHELL, Block, blocks, commands, shell_blocks
from doc_workspace import add_results, make_workspace, reader

# Commands that are parsed (test_commands.py) but not typed here, and why.
NOT_TYPED = {
    r"make \w": "continuous integration is made of these",
    r"babyeval data fetch ": "needs the Hub's own data sets; tests/cli/test_data_fetch.py fetches from a stand-in",
    r"babyeval data verify$": "the made-up data differ from what was published; tests/data/test_verify.py",
    r"python -m benchmarks\.": "minutes, and figures that only a quiet machine gives; tests/test_benchmarks.py",
}
# Pages whose commands another test types.
ELSEWHERE = {"examples/clams_fr/README.md": "tests/cli/test_example_plugin.py"}
# Blocks of Python that are part of a file, which a test of its own writes.
PARTS = {"docs/authors.md"}
# What a page takes to be done already.
BEFORE = {"docs/leaderboard.md": "babyeval run --model my-model --tasks blimp --split fast --protocol all\n"}
# What Python on a page takes for granted.
GIVEN = {
    "docs/tasks/reading.md": "import os; os.chdir('results/my-model/main/reading/full-causal-corrected/robust')\n",
}


# Python that ends in this error here, since what it is about takes too long to make, and the error that then is right.
LACKING = {"docs/submission.md": "15 of the 19 checkpoints of strict-small lack scores"}


def typed(block: Block) -> str:
    """A block without the commands that are not typed."""
    lines = block.text.splitlines()
    return "\n".join(":" if not_typed(line) else line for line in lines) + "\n"


def not_typed(line: str) -> list[str]:
    bare = re.sub(r"\s+#.*", "", line).strip()
    return [pattern for pattern in NOT_TYPED if re.match(pattern, bare)]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    return make_workspace(tmp_path_factory.mktemp("reader") / "workspace")


@pytest.mark.slow
@pytest.mark.parametrize(
    "page",
    [page for page in PAGES if page not in ELSEWHERE and (shell_blocks(page) or any(b.info == "python" for b in blocks(page)))],
)
def test_page_works_from_top_to_bottom(made, tmp_path, page):
    workspace = Path(shutil.copytree(made, tmp_path / "workspace"))
    python = ""
    with reader(workspace, page) as one:
        assert page not in BEFORE or one.types(BEFORE[page]).returncode == 0
        for block in blocks(page):
            if block.info == "python" and page not in PARTS:
                add_results(workspace / "results")
                python += block.text
                done = one.runs_python(GIVEN.get(page, "") + python)
                if page in LACKING:
                    assert LACKING[page] in done.stderr, f"{block.place}\n{done.stderr}"
                    continue
            elif block.info in SHELL:
                if "babyeval compare" in block.text:
                    add_results(workspace / "results")
                done = one.types(typed(block))
            else:
                continue
            assert done.returncode == 0, f"{block.place}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
            assert "Traceback" not in done.stderr, done.stderr


def test_what_is_not_typed_is_still_documented():
    lines = [line for page in PAGES for block in shell_blocks(page) for line, _ in commands(block)]
    used = {pattern for line in lines for pattern in not_typed(line)}
    assert used == set(NOT_TYPED)


@pytest.mark.slow
def test_the_example_for_authors_is_a_task(made, tmp_path):
    """Card, decoder and lines of the page, put where ``babyeval tasks new`` puts its own, are a sound task that runs."""
    page = {block.info: block.text for block in reversed(blocks("docs/authors.md")) if block.info in ("toml", "python", "json")}
    workspace = Path(shutil.copytree(made, tmp_path / "workspace"))
    with reader(workspace, "docs/authors.md") as one:
        assert one.types("babyeval tasks new tools").returncode == 0
        for name, kind in (("card.toml", "toml"), ("task.py", "python"), ("mini.jsonl", "json")):
            (workspace / "tools" / "tools" / name).write_text(page[kind], encoding="utf-8")
        done = one.types(
            "pip install --editable tools\nbabyeval tasks validate tools\nbabyeval run --model my-model --tasks tools --split mini\n"
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "33.33" in done.stdout
