"""The bundled mini splits: whole, right in themselves, and no sentence of anybody else's."""

from __future__ import annotations

import json
import re
import zipfile
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from babyeval.data.jsonl import Record
from babyeval.data.lookup import find_data
from babyeval.protocols import PROTOCOLS
from babyeval.registry import get_task
from babyeval.types import Item
from babyeval.validate import validate_task

DOCS = Path(__file__).parents[2] / "docs/tasks"
# Items, subsets and candidates of each, as the READMEs say.
SIZES = {
    "blimp": (88, 11, 2),
    "blimp_supplement": (80, 8, 2),
    "comps": (40, 4, 2),
    "entity_tracking": (108, 9, 5),
    "ewok": (64, 4, 4),
    "global_piqa_nonparallel": (24, 1, 2),
    "global_piqa_parallel": (24, 1, 4),
    "wug_adj": (24, 1, 2),
    "wug_past": (20, 1, 2),
}
# Where official texts lie, and the fields that hold them.
OFFICIAL = {
    "blimp": ("full_eval/blimp_filtered", ("sentence_good", "sentence_bad")),
    "blimp_supplement": ("full_eval/supplement_filtered", ("sentence_good", "sentence_bad")),
    "wug_adj": ("full_eval/wug_adj_nominalization", ("sentences",)),
}


def lines(name: str) -> list[dict]:
    text = (get_task(name).home / "mini.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def mini(name: str) -> list[Item]:
    task = get_task(name)
    return task.items(find_data(task.card, task.home, "mini", None))


@pytest.mark.parametrize("name", SIZES)
def test_each_is_valid(name):
    findings = [finding for finding in validate_task(get_task(name)) if finding.check.startswith(("card", "README", "mini"))]
    assert len(findings) >= 7
    assert [finding for finding in findings if finding.state != "right"] == []


@pytest.mark.parametrize("name", SIZES)
def test_each_holds_what_its_readme_says(name):
    items, (count, subsets, candidates) = mini(name), SIZES[name]
    assert (len(items), len({item.subset for item in items})) == (count, subsets)
    assert len({item.id for item in items}) == count
    assert {len(item.spans) for item in items} == {candidates}
    if get_task(name).card.family == "ranking":
        assert all(0 <= item.gold < candidates for item in items)


@pytest.mark.parametrize("name", SIZES)
def test_texts_are_clean_and_no_line_occurs_twice(name):
    content = lines(name)
    assert len({json.dumps(line, sort_keys=True) for line in content}) == len(content)
    for item in mini(name):
        for span in item.spans:
            assert span.text == span.text.strip()
            assert "  " not in span.text
            assert span.text.endswith((".", "?", "!", '"'))


@pytest.mark.parametrize("name", ["blimp", "blimp_supplement", "comps", "entity_tracking", "ewok"])
def test_subsets_are_named_unlike_official_ones(name):
    """So that nobody takes a number of the mini split for one of the benchmark's."""
    assert all(item.subset.startswith("mini_") for item in mini(name))


def test_twins_exchange_contexts_and_targets_and_are_one_cluster():
    content, items = lines("ewok"), mini("ewok")
    for i in range(0, len(content), 2):
        one, twin = content[i], content[i + 1]
        exchanged = {**one, "Context1": one["Context2"], "Context2": one["Context1"]}
        assert twin == {**exchanged, "Target1": one["Target2"], "Target2": one["Target1"]}
        assert items[i].cluster == items[i + 1].cluster
    assert set(Counter(item.cluster for item in items).values()) == {2}


def test_ewok_pairs_have_targets_of_similar_length():
    for line in lines("ewok"):
        assert abs(len(line["Target1"].split()) - len(line["Target2"].split())) <= 2
        assert len({line["Context1"], line["Context2"]}) == len({line["Target1"], line["Target2"]}) == 2


MOVE = r"(?:carries (?P<thing>.+) from|tips (?P<all>everything) from) the (?P<source>\w+) (?:over to|into) the (?P<goal>\w+)"
TAKE = r"takes (?P<things>.+) out of the (?P<place>\w+) and gives (?:it|them) away"
LAY = r"lays (?P<new>.+) in the (?P<into>\w+)"


def told(prefix: str) -> tuple[list[str], int]:
    """What lies in the place that a story asks about, and how many of its sentences touched this place."""
    *sentences, question = re.split(r"(?<=\.) ", prefix)
    place = re.search(r"the (\w+) holds $", question)[1]
    inside: dict[str, list[str]] = {}
    for things, where in re.findall(r"(.+?) in the (\w+)(?:, and |, |\.)", re.sub(r"^.*?(finds|has|with) ", "", sentences[0])):
        inside[where] = [] if things == "nothing" else listed(things)
    touched = 0
    for sentence in sentences[1:]:
        found = {key: value for key, value in re.search(f"{MOVE}|{TAKE}|{LAY}", sentence).groupdict().items() if value}
        if "into" in found:
            inside[found["into"]].append(found["new"])
        else:
            source = inside[found.get("source") or found["place"]]
            meant = [of_name(source, thing) for thing in listed(found.get("thing") or found.get("things") or "")]
            meant = list(source) if "all" in found else meant
            for thing in meant:
                source.remove(thing)
            inside.get(found.get("goal", ""), []).extend(meant)
        touched += place in {found.get(key) for key in ("source", "goal", "place", "into")}
    return inside[place], touched


def listed(things: str) -> list[str]:
    return [thing for thing in re.split(r", | and ", things) if thing]


def of_name(things: list[str], name: str) -> str:
    """The one thing that is meant, be it by its noun alone."""
    (thing,) = (thing for thing in things if thing.split(" ", 1)[1].endswith(name.removeprefix("the ")))
    return thing


def test_the_right_option_is_what_the_story_leads_to_and_no_other_is():
    for line in lines("entity_tracking"):
        inside, touched = told(line["input_prefix"])
        right, *wrong = (sorted(listed(option.removesuffix("."))) for option in line["options"])
        assert right == (sorted(inside) or ["nothing"]), line
        assert right not in wrong
        assert len({tuple(option) for option in wrong}) == 4
        assert touched == line["numops"]


def test_stories_are_asked_about_several_times():
    content = lines("entity_tracking")
    assert Counter((line["split"], line["numops"]) for line in content).keys() == {
        (f"mini_{split}", count) for split in ("regular", "ambiref", "move_contents") for count in range(3)
    }
    assert set(Counter((line["split"], line["numops"]) for line in content).values()) == {12}
    assert set(Counter((line["split"], line["sample_id"]) for line in content).values()) == {3}
    assert set(Counter(item.cluster for item in mini("entity_tracking")).values()) == {3}
    nothing = sum(any("nothing" in option for option in line["options"]) for line in content)
    assert 0.08 <= nothing / len(content) <= 0.12


def test_properties_are_shared_and_the_concepts_differ():
    properties = defaultdict(set)
    for line in lines("comps"):
        assert line["prefix_acceptable"] != line["prefix_unacceptable"]
        assert len(line["prefix_acceptable"].split()) == len(line["prefix_unacceptable"].split())
        properties[line["UID"], line["property_phrase"]].add(line["prefix_acceptable"])
    assert sum(len(prefixes) > 1 for prefixes in properties.values()) >= 4


@pytest.mark.parametrize("name", ["wug_adj", "wug_past"])
def test_ratings_are_shares_and_vary(name):
    ratios = [line["ratio"] for line in lines(name)]
    assert all(0 <= ratio <= 1 for ratio in ratios)
    assert len(set(ratios)) >= 10


@pytest.mark.parametrize("name", ["wug_adj", "wug_past"])
def test_two_forms_differ_in_one_word(name):
    for line in lines(name):
        one, other = (form.split() for form in line["sentences"].split("\t"))
        assert sum(a != b for a, b in zip(one, other, strict=True)) == 1


@pytest.mark.parametrize("name", ["global_piqa_parallel", "global_piqa_nonparallel"])
def test_every_place_holds_the_right_solution_equally_often(name):
    content = lines(name)
    labels = Counter(line["label"] for line in content)
    assert len(labels) == SIZES[name][2]
    assert len(set(labels.values())) == 1
    assert len({line["example_id"] for line in content}) == len(content)
    assert {line["language"] for line in content} == {"eng_latn"}


def sentences(text: str) -> set[str]:
    """Sentences of three words or more, without capitals and marks: shorter ones are nobody's."""
    parts = re.split(r"[.?!\t]+", text.lower())
    plain = (re.sub(r"[^\w' ]+", " ", part).split() for part in parts)
    return {" ".join(words) for words in plain if len(words) > 2}


def official_texts(name: str, data: Path) -> list[str]:
    if name == "entity_tracking":
        with zipfile.ZipFile(data / "full_eval/entity_tracking/entity_tracking.zip") as archive:
            members = [member for member in archive.namelist() if member.endswith(".jsonl")]
            rows = [archive.read(member, pwd=b"iamnotaLM").decode().splitlines() for member in members]
        found = [json.loads(row) for member in rows for row in member]
        return [text for row in found for text in (row["input_prefix"], *row["options"])]
    folder, fields = OFFICIAL[name]
    found = [json.loads(row) for file in sorted((data / folder).glob("*.jsonl")) for row in file.read_text().splitlines()]
    return [row[field] for row in found for field in fields]


@pytest.mark.parametrize("name", [*OFFICIAL, "entity_tracking"])
def test_no_sentence_is_the_benchmarks(name, shared):
    theirs = {sentence for text in official_texts(name, shared / "evaluation_data") for sentence in sentences(text)}
    assert len(theirs) > 100
    ours = {sentence for item in mini(name) for span in item.spans for sentence in sentences(span.text)}
    assert len(ours) >= len(mini(name))
    assert ours & theirs == set()


def blocks(name: str, language: str) -> list[str]:
    page = (DOCS / f"{name}.md").read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("name", SIZES)
def test_the_docs_page_shows_a_line_and_what_is_scored_of_it(name):
    (line,), (shown,) = blocks(name, "json"), blocks(name, "text")
    item = get_task(name).decode(Record(json.loads(line), f"docs/tasks/{name}.md", "some_file"))
    marked = [f"{span.text[: span.start]}[{span.text[span.start :]}]" for span in item.spans]
    for text, expected in zip(shown.splitlines(), marked, strict=True):
        assert text == expected or (text.startswith("... ") and expected.endswith(text.removeprefix("... ")))
    assert line.strip() in (get_task(name).home / "mini.jsonl").read_text(encoding="utf-8").splitlines()


def test_the_index_of_the_docs_names_every_task_with_its_chance():
    index = (DOCS / "README.md").read_text(encoding="utf-8")
    table = [row.strip("| ").split(" | ") for row in index.splitlines() if row.startswith("| [")]
    rows = {re.match(r"\[(\w+)\]\((\1|superglue)\.md\)$", cells[0])[1]: float(cells[3]) for cells in table}
    assert rows == {
        name: get_task(name).card.chance for name in (*SIZES, "reading", "aoa", *PROTOCOLS["robust"].macro["finetune"])
    }


def test_no_bundled_split_is_left_out_here():
    assert {file.parent.name for file in (DOCS.parents[1] / "tasks").glob("*/mini.jsonl")} == set(SIZES)
