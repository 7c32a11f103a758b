"""Age of acquisition: the bundled split, its invented children, and what the docs show of it."""

from __future__ import annotations

import csv
import itertools
import json
import math
import re
from collections import Counter
from pathlib import Path

import pytest

from babyeval.data.checksums import read_checksums
from babyeval.data.lookup import find_data
from babyeval.registry import get_task
from babyeval.validate import validate_task

PAGE = Path(__file__).parents[2] / "docs/tasks/aoa.md"
NEVER, ABSENT, GAPS = {"because", "yesterday"}, "puddle", "spoon"  # as the README says


def home() -> Path:
    return get_task("aoa").home


def contexts() -> dict[str, list[str]]:
    content = json.loads((home() / "mini/cdi_childes.json").read_text(encoding="utf-8"))
    return {word: [entry["context"] for entry in entries] for word, entries in content.items()}


def children() -> dict[str, list[float | None]]:
    with (home() / "mini/cdi_human.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["word", *map(str, range(16, 31))], "the official columns"
    return {row.pop("word"): [float(cell) if cell else None for cell in row.values()] for row in rows}


def items():
    task = get_task("aoa")
    return task.items(find_data(task.card, task.home, "mini", None))


def test_the_bundled_split_is_valid():
    findings = [f for f in validate_task(get_task("aoa")) if f.check.startswith(("card", "README", "mini"))]
    assert len(findings) >= 7
    assert [finding for finding in findings if finding.state != "right"] == []


def test_it_holds_what_its_readme_says():
    found = contexts()
    assert (len(found), {len(texts) for texts in found.values()}) == (24, {4})
    assert all(len(word) > 1 for word in found)
    assert set(found) - set(children()) == {ABSENT}
    assert set(children()) - set(found) == set()


def test_contexts_are_clean_own_and_varied():
    texts = [text for texts in contexts().values() for text in texts]
    assert len(set(texts)) == len(texts) == 96
    for text in texts:
        assert text == " ".join(text.split())
        assert 2 <= len(text.split()) <= 12
        assert not text.endswith((".", "?", "!")), "the word goes on in the sentence"
    assert len({text.split()[0] for text in texts}) > len(texts) / 2


def test_no_context_gives_its_word_away():
    """A model that has just read the word would say it again."""
    for word, texts in contexts().items():
        assert not [text for text in texts if re.search(rf"\b{word}\b", text.lower())]


def test_children_learn_as_their_readme_says():
    """Shares rise, but for noise; two words stay below one half, which the others cross between the first and the last month."""
    for word, shares in children().items():
        known = [share for share in shares if share is not None]
        assert (len(known) < 15) == (word == GAPS)
        assert all(0 <= share <= 1 for share in known)
        assert all(later > earlier - 0.06 for earlier, later in itertools.pairwise(known))
        assert (max(known) < 0.5) == (word in NEVER)
        assert min(known) < 0.5
    ages = [next(month for month, share in enumerate(shares, 16) if share and share > 0.5)
            for word, shares in children().items() if word not in NEVER]  # fmt: skip
    assert max(ages) - min(ages) >= 6, "words of different ages, else there is nothing to correlate"


def test_every_item_is_a_word_behind_a_context_with_the_age_of_children():
    found = items()
    assert len(found) == 96
    assert Counter(item.cluster for item in found) == dict.fromkeys(contexts(), 4)
    for item, (word, text) in zip(found, [(word, text) for word, texts in contexts().items() for text in texts], strict=True):
        (span,) = item.spans
        assert (span.text, span.text[span.start :]) == (f"{text} {word}", f" {word}")
    ages = {item.cluster: item.gold for item in found}
    assert {word for word, age in ages.items() if math.isnan(age)} == {*NEVER, ABSENT}
    for word, shares in children().items():  # noise moves a fitted age by less than a month
        crossed = [month for month, share in enumerate(shares, 16) if share and share > 0.5]
        assert word in NEVER or abs(ages[word] - crossed[0]) < 1.5


@pytest.mark.parametrize("page", [PAGE, PAGE.parents[2] / "tasks/aoa/README.md"], ids=["docs", "readme"])
def test_readers_are_told_that_the_children_are_invented(page):
    text = " ".join(page.read_text(encoding="utf-8").split())
    assert "proportions of children are invented" in text


def test_the_docs_page_shows_items_of_the_bundled_split():
    page = PAGE.read_text(encoding="utf-8")
    (line,) = re.findall(r"^```json\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    (shown,) = re.findall(r"^```text\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    for word, entries in json.loads(line).items():
        assert [entry["context"] for entry in entries] == contexts()[word][: len(entries)]
    spans = [item.spans[0] for item in items()[: shown.count("\n")]]
    assert shown.splitlines() == [f"{span.text[: span.start]}[{span.text[span.start :]}]" for span in spans]


def test_the_source_names_both_files_and_their_checksums():
    (source,) = get_task("aoa").card.sources
    names = {"cdi_childes.json", "cdi_human.csv"}
    assert {Path(file).name for file in source.files} == names
    assert set(read_checksums(home())) == {f"{source.to}/{name}" for name in names}
    assert source.to == get_task("aoa").card.data["full"].path
