"""What the documentation tells a reader to type: its blocks of commands and of Python, read from the pages themselves."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
_MORE = (*(ROOT / "docs").rglob("*.md"), *ROOT.glob("examples/*/README.md"))
PAGES = ["README.md", "benchmarks/README.md", *sorted(path.relative_to(ROOT).as_posix() for path in _MORE)]
# What a block of commands may be labelled, and programs by which an indented one is known.
SHELL = ("", "bash")
PROGRAMS = ("babyeval", "python", "pip", "make", "torchrun", "deepspeed")
_FENCE = re.compile(r"^```(?P<info>[\w-]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^    \S.*\n)+", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block of a page; ``line`` is where its text begins."""

    page: str
    line: int
    info: str
    text: str

    @property
    def place(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(page: str) -> list[Block]:
    """All blocks of a page in order: fenced ones, and indented ones whose lines are commands."""
    text = (ROOT / page).read_text(encoding="utf-8")
    found = [(match.start("text"), match["info"], match["text"]) for match in _FENCE.finditer(text)]
    bare = _FENCE.sub(lambda match: re.sub(r"[^\n]", "x", match[0]), text)
    for match in _INDENTED.finditer(bare):
        lines = [line[4:] for line in match[0].splitlines()]
        if lines[0].split()[0] in PROGRAMS:
            found.append((match.start(), "", "\n".join(lines) + "\n"))
    return [Block(page, text.count("\n", 0, start) + 1, info, body) for start, info, body in sorted(found)]


def shell_blocks(page: str) -> list[Block]:
    return [block for block in blocks(page) if block.info in SHELL]


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Each line of a block, continuation lines joined, with the words of each simple command in it."""
    for line in block.text.replace("\\\n", " ").splitlines():
        for words in simple_commands(line):
            yield line, words


def simple_commands(line: str) -> list[list[str]]:
    """The words of each command of a line, without redirections and comments.

    >>> simple_commands("head -1 a.txt | babyeval surprisal --text - > b.csv   # so")
    [['head', '-1', 'a.txt'], ['babyeval', 'surprisal', '--text', '-']]
    """
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|;&<>")
    lexer.whitespace_split = True
    found: list[list[str]] = [[]]
    target = False
    for token in lexer:
        if set(token) <= set("|;&"):
            found.append([])
        elif set(token) <= set("<>"):
            target = True
        elif target:
            target = False
        else:
            found[-1].append(token)
    return [words for words in found if words]
