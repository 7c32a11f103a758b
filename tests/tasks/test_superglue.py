"""The (Super)GLUE tasks: cards, files, bad input, mini splits, and a further task that is a card alone."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from tiny import KINDS, make_tokenizer

from babyeval.card import load_card
from babyeval.data.lookup import find_data
from babyeval.errors import DataError, DataMissing, UsageError
from babyeval.fit.spec import hyper_for
from babyeval.fit.split import split_off
from babyeval.fit.task import FitTask
from babyeval.registry import get_task, register_task, resolve_tasks
from babyeval.validate import validate_task

TASKS = ("boolq", "mnli", "mrpc", "multirc", "qqp", "rte", "wsc")
# Lines to learn from and to report on; the 20,215 of qqp are cut to 4,000 where tests find them.
OFFICIAL = {
    "boolq": (None, 1635), "mnli": (10000, 4908), "mrpc": (3668, 204), "multirc": (None, 2424), "qqp": (10000, 4000),
    "rte": (2490, 139), "wsc": (554, 52),
}  # fmt: skip
GLUE = "full_eval/glue_filtered"
PAIR = {"sentence1": "Today it rains.", "sentence2": "It rains.", "label": 0}


def data(folder: Path, name: str = "rte", **files: list[dict] | str) -> Path:
    """A data folder with some of a task's files, given as lines or as they stand."""
    for role, lines in files.items():
        path = folder / GLUE / f"{name}.{role}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(lines if isinstance(lines, str) else "".join(json.dumps(line) + "\n" for line in lines))
    return folder


def read(folder: Path, name: str = "rte", **options):
    task = get_task(name)
    return task.read(find_data(task.card, task.home, "full", folder), **options)


def mini(name: str):
    task = get_task(name)
    return task.read(find_data(task.card, task.home, "mini", None))


@pytest.mark.parametrize("name", TASKS)
def test_official_files(name, shared):
    sizes = OFFICIAL[name]
    found = read(shared / "evaluation_data", name, allow_split_valid=True)
    if sizes[0] is None:
        assert found.split_valid
        assert len(found.train) + len(found.reported) == sizes[1]
        assert len(found.reported) == pytest.approx(sizes[1] / 5, rel=0.03)
    else:
        assert (len(found.train), len(found.reported), found.split_valid) == (*sizes, False)
        assert [example.id for example in found.reported] == [f"{name}_{k}" for k in range(sizes[1])]
    lines = (shared / "evaluation_data" / GLUE / f"{name}.valid.jsonl").read_text().splitlines()
    labels = {f"{name}_{k}": json.loads(line)["label"] for k, line in enumerate(lines)}
    assert all(example.label == labels[example.id] for example in found.reported)


@pytest.mark.parametrize("name", TASKS)
def test_official_files_are_valid(name, shared):
    findings = {finding.check: finding for finding in validate_task(get_task(name), shared / "evaluation_data")}
    assert [finding for finding in findings.values() if finding.state == "wrong"] == []
    assert ("full: training file" in findings) == (name in ("boolq", "multirc"))
    assert findings["full: chance"].state == "right"


def test_paragraphs_are_clusters_and_are_not_torn_apart(shared):
    found = read(shared / "evaluation_data", "multirc", allow_split_valid=True)
    assert not {e.cluster for e in found.train} & {e.cluster for e in found.reported}
    by_text = {(e.text_b, e.cluster) for e in found.train}
    assert len(by_text) == len({text for text, _ in by_text}) == len({cluster for _, cluster in by_text})
    assert all(example.text_a.startswith("Question: ") and " Answer: " in example.text_a for example in found.train)


CLUSTERED = {"boolq": "passage", "mnli": "premise", "multirc": "paragraph", "wsc": "text"}


def words(text: str) -> str:
    return re.sub(r"\W+", " ", text.lower()).strip()


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("split", ["full", "mini"])
def test_lines_about_one_text_are_one_cluster(name, split, shared):
    folder = shared / "evaluation_data" / GLUE if split == "full" else get_task(name).home
    found = read(shared / "evaluation_data", name, allow_split_valid=True) if split == "full" else mini(name)
    examples = [*found.train, *found.reported] if found.split_valid else found.reported
    path = folder / f"{name}.{'mini.' if split == 'mini' else ''}valid.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    texts = {words(line[CLUSTERED[name]]) if name in CLUSTERED else i for i, line in enumerate(lines)}
    assert len({example.cluster for example in examples}) == len(texts)
    assert len(texts) >= 30  # of which a standard error can be made


@pytest.mark.parametrize("name", CLUSTERED)
@pytest.mark.parametrize("split", ["full", "mini"])
def test_no_text_is_learnt_from_and_chooses_the_epoch(name, split, shared):
    """Under ``robust`` the inner split keeps about its share of the lines and of each label."""
    train = (read(shared / "evaluation_data", name, allow_split_valid=True) if split == "full" else mini(name)).train
    card = get_task(name).card
    share = hyper_for(card, "robust", split).inner_share
    learnt, aside = split_off(train, share)
    texts = [{words(e.text_a if name == "mnli" else e.text_b) for e in part} for part in (learnt, aside)]
    assert not texts[0] & texts[1]
    assert len(aside) / len(train) == pytest.approx(share, abs=0.03)
    labels = Counter(e.label for e in train)
    for label, count in Counter(e.label for e in aside).items():
        assert count / len(aside) == pytest.approx(labels[label] / len(train), abs=0.06)
    assert {e.label for e in aside} == {e.label for e in learnt} == labels.keys()


def test_spaces_marks_and_case_make_no_other_text(tmp_path):
    texts = ["The cat saw her .", "The cat saw her", "the cat saw her.", "The cat saw him.", "?!", "..."]
    lines = [{"text": text, "span1_text": "The cat", "span2_text": "her", "label": 1} for text in texts]
    clusters = [e.cluster for e in read(data(tmp_path, "wsc", train=lines, valid=lines), "wsc").reported]
    assert [clusters.index(cluster) for cluster in clusters] == [0, 0, 0, 3, 4, 5]


def test_texts_are_what_the_official_templates_make(tmp_path):
    line = {"text": "The boys saw the {cat}. It ran.", "span1_text": "the {cat}", "span2_text": "It", "label": 1}
    (made,) = read(data(tmp_path, "wsc", train=[line], valid=[line]), "wsc").reported
    assert made.text_a == 'Does "It" refer to "the {cat}" in this passage?'
    assert (made.text_b, made.label) == ("The boys saw the {cat}. It ran.", 1)
    templates = {name: (get_task(name).spec.text_a, get_task(name).spec.text_b) for name in TASKS}
    assert templates["boolq"] == ("{question}", "{passage}")
    assert templates["multirc"] == ("Question: {question} Answer: {answer}", "{paragraph}")
    assert templates["rte"] == templates["mrpc"] == ("{sentence1}", "{sentence2}")
    assert templates["qqp"] == ("{question1}", "{question2}")
    assert templates["mnli"] == ("{premise}", "{hypothesis}")


def test_headlines_and_metrics():
    metrics = {name: [metric.name for metric in get_task(name).metrics] for name in TASKS}
    assert {name: found[0] for name, found in metrics.items()} == {
        name: "f1" if name in ("mrpc", "qqp") else "accuracy" for name in TASKS
    }
    assert metrics["mnli"] == ["accuracy"]
    assert all(set(found) == {"accuracy", "f1", "mcc"} for name, found in metrics.items() if name != "mnli")
    assert get_task("rte").guessed("accuracy", [0, 1]) == 50
    assert get_task("rte").guessed("accuracy", []) is None


def test_the_group_holds_the_seven():
    assert [task.card.name for task in resolve_tasks(["finetune"])] == list(TASKS)


# Bad input


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ({**PAIR, "label": 2}, r"label is 2; 'rte' has 0 \(entailment\), 1 \(not_entailment\)"),
        ({**PAIR, "label": -1}, "label is -1"),
        ({**PAIR, "label": True}, "label is True"),
        ({**PAIR, "label": 1.0}, "label is 1.0"),
        ({**PAIR, "label": None}, "label is None"),
        ({**PAIR, "label": "neutral"}, "label is a str"),
        ({"sentence1": "One.", "label": 0}, "field 'sentence2' is missing"),
        ({"sentence1": "One.", "sentence2": "Two."}, "field 'label' is missing"),
        ({**PAIR, "sentence2": " \t"}, "text of sentence2 is empty"),
        ({**PAIR, "sentence1": None}, "'sentence1' is a NoneType"),
    ],
)
@pytest.mark.parametrize("role", ["train", "valid"])
def test_a_bad_line_is_named(tmp_path, line, word, role):
    files = {"train": [PAIR], "valid": [PAIR], role: [PAIR, line]}
    with pytest.raises(DataError, match=word) as caught:
        read(data(tmp_path, **files))
    assert caught.value.where == f"{tmp_path / GLUE / f'rte.{role}.jsonl'}, line 2"


def test_a_template_around_nothing_is_empty_too(tmp_path):
    line = {"question": "", "answer": " ", "paragraph": "A text.", "label": 0}
    with pytest.raises(DataError, match="text of question, answer is empty"):
        read(data(tmp_path, "multirc", train=[line], valid=[line]), "multirc")


def test_an_empty_file_is_named(tmp_path):
    with pytest.raises(DataError, match="no line") as caught:
        read(data(tmp_path, train=[PAIR], valid="\n\n"))
    assert caught.value.where.endswith("rte.valid.jsonl")


def test_a_missing_training_file_says_what_to_do(tmp_path):
    folder = data(tmp_path, valid=[PAIR] * 3)
    with pytest.raises(DataMissing, match=r"training file .* of 'rte' is not here") as caught:
        read(folder)
    for word in ("babyeval data fetch rte", "--allow-split-valid", "80%", "marked", "--split mini"):
        assert word in caught.value.hint


def test_a_missing_reported_file_is_never_made_up(tmp_path):
    with pytest.raises(DataMissing, match="reported file") as caught:
        read(data(tmp_path, train=[PAIR]), allow_split_valid=True)
    assert "allow-split-valid" not in caught.value.hint


def test_the_reported_file_is_split_alike_every_time(tmp_path):
    lines = [{**PAIR, "sentence1": f"Today {i} cats sleep.", "label": int(i % 4 == 0)} for i in range(100)]
    folder = data(tmp_path, valid=lines)
    found = read(folder, allow_split_valid=True)
    assert found.split_valid
    assert (len(found.train), len(found.reported)) == (80, 20)
    assert Counter(example.label for example in found.reported) == {0: 15, 1: 5}
    assert found == read(folder, allow_split_valid=True)
    with_train = read(data(tmp_path, train=lines), allow_split_valid=True)
    assert (len(with_train.train), len(with_train.reported), with_train.split_valid) == (100, 100, False)


def test_one_line_cannot_be_split(tmp_path):
    with pytest.raises(DataError, match="too few lines"):
        read(data(tmp_path, valid=[PAIR]), allow_split_valid=True)


def test_names_of_labels_are_labels(tmp_path):
    found = read(data(tmp_path, train=[{**PAIR, "label": "not_entailment"}], valid=[PAIR]))
    assert (found.train[0].label, found.reported[0].label) == (1, 0)


def test_other_files_under_the_pattern_are_refused(tmp_path):
    with pytest.raises(DataError, match="one file that ends in"):
        read(data(tmp_path, train=[PAIR], valid=[PAIR], test=[PAIR]))


# Mini splits


@pytest.mark.parametrize("name", TASKS)
def test_mini_files_are_balanced_and_of_a_size(name):
    found = mini(name)
    for part in (found.train, found.reported):
        assert len(set(Counter(example.label for example in part).values())) == 1
        assert len(Counter(example.label for example in part)) == len(get_task(name).spec.labels)
        assert len({(example.text_a, example.text_b) for example in part}) == len(part)
    assert 300 <= len(found.train) <= 500
    assert len(found.reported) >= 100
    assert not {(e.text_a, e.text_b) for e in found.train} & {(e.text_a, e.text_b) for e in found.reported}


def first_ids(tokenizer, name: str) -> set[int]:
    found = mini(name)
    texts = [example.text_a for example in (*found.train, *found.reported)]
    assert len({text.split()[0] for text in texts}) == 1
    return {ids[0] for ids in tokenizer(texts, add_special_tokens=False)["input_ids"]}


@pytest.mark.parametrize("name", TASKS)
def test_the_first_token_is_the_same_for_every_kind_of_tokenizer(name):
    for kind in KINDS:
        assert len(first_ids(make_tokenizer(kind), name)) == 1, kind


@pytest.mark.parametrize("model", ["tiny-llama", "tiny-bert"])
def test_the_first_token_is_the_same_for_trained_tokenizers(model, shared):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(shared / "models" / model)
    assert {name: len(first_ids(tokenizer, name)) for name in TASKS} == dict.fromkeys(TASKS, 1)


@pytest.mark.parametrize("name", TASKS)
def test_labels_hang_on_a_few_words(name):
    """The words that occur with one label alone decide every reported example."""
    found, words = mini(name), {}
    for example in found.train:
        text = example.text_a if name == "multirc" else example.text_b
        for word in re.findall(r"\w+", text.lower()):
            words.setdefault(word, Counter())[example.label] += 1
    for example in found.reported:
        text = example.text_a if name == "multirc" else example.text_b
        seen = [words[word] for word in re.findall(r"\w+", text.lower()) if word in words]
        telling = {next(iter(counts)) for counts in seen if len(counts) == 1 and counts.total() > 20}
        assert telling <= {example.label}
        assert telling or name == "rte"  # what is not denied holds


@pytest.mark.parametrize("name", TASKS)
def test_mini_files_are_valid(name):
    findings = [finding for finding in validate_task(get_task(name)) if finding.check.startswith(("card", "README", "mini"))]
    assert len(findings) >= 9
    assert [finding for finding in findings if finding.state != "right"] == []


@pytest.mark.parametrize("name", TASKS)
def test_no_text_is_the_benchmarks(name, shared):
    theirs = set()
    for path in (shared / "evaluation_data" / GLUE).glob(f"{name}.*.jsonl"):
        for line in path.read_text().splitlines():
            theirs |= {value.strip().lower() for value in json.loads(line).values() if isinstance(value, str) and " " in value}
    for path in get_task(name).home.glob(f"{name}.mini.*.jsonl"):
        for line in path.read_text().splitlines():
            assert (
                not {v.strip().lower() for v in json.loads(line).values() if isinstance(v, str) and len(v.split()) > 2} & theirs
            )


def test_the_docs_page_shows_a_line_of_the_mini_split():
    page = (Path(__file__).parents[2] / "docs/tasks/superglue.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^```json\n(.*)\n```$", page, re.MULTILINE)
    assert line in (get_task("rte").home / "rte.mini.valid.jsonl").read_text(encoding="utf-8").splitlines()


# Validation


@pytest.mark.parametrize(
    ("train", "valid", "check", "word"),
    [
        ([0, 1], [0, 0, 0, 1], "mini: reported balance", "entailment 3"),
        ([0, 0], [0, 1], "mini: train labels", "no line has the label not_entailment"),
        ([0, 3], [0, 1], "mini: items", "label is 3"),
    ],
)
def test_faults_of_a_bundled_split_are_found(tmp_path, train, valid, check, word):
    home = get_task("rte").home
    (tmp_path / "rte.card.toml").write_text((home / "rte.card.toml").read_text())
    for role, labels in (("train", train), ("valid", valid)):
        lines = [json.dumps({**PAIR, "sentence1": f"{role} {i}", "label": label}) for i, label in enumerate(labels)]
        (tmp_path / f"rte.mini.{role}.jsonl").write_text("\n".join(lines) + "\n")
    task = FitTask.beside(str(tmp_path / "task.py"), "rte.card.toml")
    found = {finding.check: finding.detail for finding in validate_task(task) if finding.state == "wrong"}
    assert word in found[check]


def test_a_chance_that_guessing_does_not_have_is_found(tmp_path, shared):
    task = get_task("mrpc")
    wrong = FitTask(task.card.model_copy(update={"chance": 50.0}), task.home)
    found = {finding.check: finding for finding in validate_task(wrong, shared / "evaluation_data")}
    assert found["full: chance"].state == "wrong"
    assert "57.7" in found["full: chance"].detail


# A further task is a card

COLA = """
name = "cola"
title = "CoLA"
version = 1
family = "fit"
groups = []
summary = "Is the sentence acceptable?"
license = "none"
citation = "Warstadt, Singh and Bowman 2019"
metric = "mcc"
unit = "correlation"
chance = 0.0
strata = ""

[data]
full = { path = "full_eval/glue_filtered", pattern = "cola.*.jsonl" }

[fit]
text_a = "{sentence}"
labels = ["unacceptable", "acceptable"]
metrics = ["accuracy", "mcc"]
"""


@pytest.fixture
def cola(tmp_path, monkeypatch) -> FitTask:
    (tmp_path / "cola.card.toml").write_text(COLA)
    monkeypatch.setattr("babyeval.registry._registered", {})
    task = FitTask.beside(str(tmp_path / "task.py"), "cola.card.toml")
    register_task(task)
    return task


def test_cola_is_a_card(cola, tmp_path):
    lines = [{"sentence": "The cat sleeps.", "label": 1}, {"sentence": "Sleeps cat the.", "label": 0}]
    found = read(data(tmp_path, "cola", train=lines, valid=lines), "cola")
    assert [(e.id, e.text_a, e.text_b, e.label) for e in found.train] == [
        ("cola_0", "The cat sleeps.", None, 1),
        ("cola_1", "Sleeps cat the.", None, 0),
    ]
    assert found.train[0].cluster == "cola_0"
    assert found.train[0].place == "cola.train, line 1"
    assert [metric.name for metric in cola.metrics] == ["mcc", "accuracy"]
    assert cola.metrics[0]([0, 1, 0], [0, 1, 0]) == 1
    assert cola.guessed("mcc", [0, 1]) == 0
    states = {finding.check: finding.state for finding in validate_task(cola, tmp_path)}
    assert "wrong" not in states.values()


def test_a_card_of_another_family_is_no_fit():
    task = get_task("blimp")
    with pytest.raises(UsageError, match="no table"):
        FitTask(task.card, task.home)
    assert load_card(get_task("rte").home / "rte.card.toml").fit is not None
