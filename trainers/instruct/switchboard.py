"""Pairs of neighbouring turns of the Switchboard dialogues (recipes.md, section 1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..corpus.clean import clean_text
from ..recipe import Clean
from .rows import Candidate, Row

SOURCE = "switchboard"
BLOCK_TURNS = 40  # turns that are kept together for training or for validation
_LINE = re.compile(r"(?P<speaker>[A-Z]):[\t ]+(?P<text>.*\S)\s*")


@dataclass(frozen=True, slots=True)
class Turn:
    """All that a speaker says until another one speaks.

    Attributes:
        conversation: Number of the conversation; blank lines divide them, where a file has any.
        speaker: The letter that the file gives.
        text: What is said.
    """

    conversation: int
    speaker: str
    text: str


def switchboard_turns(lines: Iterable[str], clean: Clean) -> Iterator[Turn | str]:
    r"""Yields turns that alternate between speakers, and the reason for each line that is left out.

    As the paper has it, lines of few words go first (`Clean.min_words`), and what is left of a speaker without another
    one between is joined: so speakers always alternate. Lines are joined whatever `Clean.join_turns` says.

    Example:
        >>> list(switchboard_turns(["A:\tDo you have a cat?", "B:\tWell, I had one", "B:\tand it ran away."], Clean()))[1].text
        'Well, I had one and it ran away.'
    """
    conversation, speaker, said = 0, "", list[str]()
    for line in lines:
        if not line.strip():
            if said:
                yield Turn(conversation, speaker, " ".join(said))
                conversation, speaker, said = conversation + 1, "", []
            continue
        match = _LINE.fullmatch(line.strip("\n"))
        if match is None:
            yield "a line without a speaker"
            continue
        words = (clean_text(match["text"]) if clean.special_characters else match["text"]).split()
        if len(words) < clean.min_words:
            yield f"a line of fewer than {clean.min_words} words"
            continue
        if said and match["speaker"] != speaker:
            yield Turn(conversation, speaker, " ".join(said))
            said = []
        speaker = match["speaker"]
        said.append(" ".join(words))
    if said:
        yield Turn(conversation, speaker, " ".join(said))


def switchboard_pairs(lines: Iterable[str], clean: Clean) -> Iterator[Candidate]:
    """Slides over adjacent turns: (A1, B1), (B1, A2), (A2, B2) ...

    The BabyLM file does not mark where one conversation ends: one pair in some hundred joins two of them.

    Args:
        lines: Lines ``A:<tab>text``.
        clean: Which lines are kept; see `switchboard_turns`.

    Yields:
        A row for each pair, in order, and a reason for each line that was left out. A group is `BLOCK_TURNS` turns.
    """
    before: Turn | None = None
    place = 0
    for turn in switchboard_turns(lines, clean):
        if isinstance(turn, str):
            yield Candidate((), reason=turn)
            continue
        if before is not None and before.conversation == turn.conversation:
            groups = dict.fromkeys(f"{SOURCE} {turn.conversation} {number // BLOCK_TURNS}" for number in (place, place + 1))
            yield Candidate(tuple(groups), Row(before.text, turn.text, SOURCE, "en"))
            place += 1
        elif before is not None:
            place = 0
        before = turn
