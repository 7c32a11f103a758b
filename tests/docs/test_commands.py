"""Every command that README and documentation show is understood as it stands, and no option in them is out of date."""

from __future__ import annotations

import pytest
from doc_blocks import PAGES, ROOT, commands, shell_blocks, simple_commands
from doc_parsing import understand


@pytest.mark.parametrize("page", [page for page in PAGES if shell_blocks(page)])
def test_every_command_is_understood(page, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    for block in shell_blocks(page):
        for line, words in commands(block):
            try:
                understand(words)
            except (Exception, SystemExit) as error:
                pytest.fail(f"{block.place}: {line.strip()}\n{type(error).__name__}: {getattr(error, 'message', error)}")


@pytest.mark.parametrize(
    "line",
    [
        "babyeval rum --model my-model", "babyeval run --modle my-model", "babyeval run --limit many", "babyeval train pretrain",
        "make demos", "pip install '.[trian]'", "torchrun --nproc 4 -m babyeval rum", "wget x", "python -m benchmarks.scoring --modell x",
        "for x in a; do babyeval rum; done", "head x | babyeval rum", "srun babyeval rum",
    ],
)  # fmt: skip
def test_what_is_wrong_is_noticed(line, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    with pytest.raises((Exception, SystemExit)):
        [understand(words) for words in simple_commands(line)]


def test_pages_hold_commands():
    assert sum(1 for page in PAGES for block in shell_blocks(page) for _ in commands(block)) > 80
