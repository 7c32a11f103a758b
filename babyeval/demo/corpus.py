"""The demo's corpus: four domains in the forms of the challenge's files, written anew from a seed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from random import Random

from babyeval.data.jsonl import read_jsonl
from babyeval.data.lookup import find_data
from babyeval.families import SpanTask
from babyeval.registry import list_tasks
from babyeval.store import atomic_path

from .dialogue import Dialogue
from .texts import Texts

SEED = 2026
WORDS = 100_000  # of all domains together, give or take an entry
Entry = list[str]  # lines that belong together
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")


def switchboard(random: Random) -> Entry:
    """A conversation."""
    talk = Dialogue(random)
    said = [line for _ in range(talk.random.randrange(4, 9)) for line in talk.exchange()]
    return [f"{'AB'[number % 2]}:\t{line}" for number, line in enumerate(said)] + [""]


def childes(random: Random) -> Entry:
    """A mother and a child with a thing."""
    talk = Dialogue(random)
    said = talk.plays() if talk.random.random() < 0.25 else talk.to_a_child()
    said.append(("MOT", talk.pick((talk.tag, talk.inversion, talk.grammar, talk.grammar))()))
    return [f"*{who}:\t{line}" for who, line in said]


def simple_wiki(random: Random) -> Entry:
    """An article."""
    title, text = Texts(random).article()
    return [f"= = = {title} = = =", "", text, ""]


def stories(random: Random) -> Entry:
    """A page of stories."""
    texts = Texts(random)
    told = [*texts.story(), *(texts.grammar() for _ in range(4))]
    texts.random.shuffle(told)
    return [*told, ""]


DOMAINS: dict[str, tuple[Callable[[Random], Entry], float]] = {
    "childes": (childes, 0.2), "simple_wiki": (simple_wiki, 0.2), "stories": (stories, 0.4), "switchboard": (switchboard, 0.2),
}  # fmt: skip


def plain(text: str) -> str:
    """A text as it is compared: small letters and digits, with one space between words.

    Example:
        >>> plain("Ben: Yes,  he is!")
        'ben yes he is'
    """
    return " ".join(re.findall(r"[^\W_]+", text.casefold().replace("'", "")))


def sentences(text: str) -> list[str]:
    """The sentences of a text, as they are compared; one of fewer than four words says nothing of where it is from."""
    said = (line.rpartition("\t")[2] for line in text.splitlines())  # without the speaker
    found = (plain(part) for line in said for part in _SENTENCE_END.split(line))
    return [sentence for sentence in found if sentence.count(" ") >= 3]


def file_name(domain: str) -> str:
    """The file of a domain, named as those of the challenge."""
    return f"{domain}.train.txt"


def held_out_texts() -> Iterator[str]:
    """All texts of the bundled mini splits that a model is asked about or fine-tuned on."""
    for listing in list_tasks():
        task = listing.task
        if task is None or listing.origin != "babyeval" or "mini" not in task.card.data:
            continue
        source = find_data(task.card, task.home, "mini", None)
        if isinstance(task, SpanTask):
            yield from (span.text for item in task.items(source) for span in item.spans)
        else:
            records = (record for file in source.files for record in read_jsonl(file))
            yield from (value for record in records for value in record.values() if isinstance(value, str))


def write_corpus(folder: Path, held_out: Iterable[str], words: int, seed: int = SEED) -> dict[str, int]:
    """Writes one file for each domain.

    Args:
        folder: Where to.
        held_out: Texts of tests: an entry with one of their sentences is left out.
        words: About how many words in all.
        seed: Decides every word.

    Returns:
        The number of words of each domain.
    """
    tested = {sentence for text in held_out for sentence in sentences(text)}
    counts = {}
    folder.mkdir(parents=True, exist_ok=True)
    for name, (write, share) in DOMAINS.items():
        entries = _until(_entries(write, Random(f"{seed} {name}"), tested), int(words * share))  # noqa: S311
        counts[name] = sum(_words(entry) for entry in entries)
        with atomic_path(folder / file_name(name)) as draft:
            draft.write_text("".join(f"{line}\n" for entry in entries for line in entry), encoding="utf-8")
    return counts


def _entries(write: Callable[[Random], Entry], random: Random, tested: set[str]) -> Iterator[Entry]:
    seen: set[str] = set()
    while True:
        entry = write(random)
        text = "\n".join(entry)
        if text not in seen and tested.isdisjoint(sentences(text)):
            seen.add(text)
            yield entry


def _until(entries: Iterator[Entry], words: int) -> list[Entry]:
    """As many entries as make so many words."""
    taken: list[Entry] = []
    count = 0
    while count < words:
        taken.append(next(entries))
        count += _words(taken[-1])
    return taken


def _words(entry: Entry) -> int:
    return sum(len(line.split()) for line in entry)
