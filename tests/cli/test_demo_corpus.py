"""The demo's corpus: the same from every machine, in forms that the trainers read, in English, and without the tests."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
from babyeval.trainers.corpus.forms import looks_like
from babyeval.trainers.instruct.articles import articles
from babyeval.trainers.instruct.switchboard import switchboard_pairs
from babyeval.trainers.instruct.wiki_template import question_and_answer
from babyeval.trainers.recipe import Clean

from babyeval.demo.corpus import DOMAINS, WORDS, file_name, held_out_texts, write_corpus
from babyeval.demo.dialogue import Dialogue
from babyeval.demo.lexicon import FEMALE_KIN, MALE_KIN
from babyeval.demo.sentences import Sentences
from cli.support import ROOT


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("demo") / "corpus"
    write_corpus(folder, held_out_texts(), WORDS)
    return {path.name.removesuffix(".train.txt"): path.read_text(encoding="utf-8") for path in sorted(folder.iterdir())}


def bare(text: str) -> str:
    return " ".join(re.sub(r"[^a-z0-9 ]", "", re.sub(r"\s", " ", text.lower())).split())


def strings(content: Any) -> Iterator[str]:
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for part in content.values() if isinstance(content, dict) else content:
            yield from strings(part)


def mini_sentences() -> set[str]:
    """What stands in the bundled files, read without babyeval: fields, lines and sentences of them, and what is put together of fields."""
    found: set[str] = set()
    for path in (ROOT / "tasks").rglob("*mini*"):
        for file in path.iterdir() if path.is_dir() else [path]:
            text = file.read_text(encoding="utf-8")
            if file.suffix == ".csv":
                fields = {cell for row in csv.reader(io.StringIO(text)) for cell in row}
            elif file.suffix == ".jsonl":
                records = [json.loads(line) for line in text.splitlines()]
                fields = set(strings(records))
                fields |= {f"{r[p]} {r['property_phrase']}" for r in records for p in r if p.startswith("prefix_")}
            else:
                fields = {f"{one['context']} {word}" for word, several in json.loads(text).items() for one in several}
            found |= {bare(part) for field in fields for part in re.split(r"[\n\t]|(?<=[.!?]) ", field)}
    return {sentence for sentence in found if len(sentence.split()) >= 4}


def test_no_sentence_of_a_bundled_test_is_in_it(corpus):
    tested = mini_sentences()
    assert len(tested) > 3000
    for name, text in corpus.items():
        spoken = re.sub(r"(?m)^(\*[A-Z]{3}|[AB]):\t", "", text)
        said = {bare(part) for part in re.split(r"[\n\t]|(?<=[.!?]) ", spoken)}
        assert not said & tested, name


def test_a_text_that_is_held_out_is_left_out(corpus, tmp_path):
    held_out = corpus["stories"].splitlines()[1]
    assert len(held_out.split()) >= 4
    write_corpus(tmp_path, [held_out], words=10_000)
    assert held_out not in (tmp_path / file_name("stories")).read_text(encoding="utf-8").splitlines()
    write_corpus(tmp_path, [], words=10_000)
    assert held_out in (tmp_path / file_name("stories")).read_text(encoding="utf-8").splitlines()


def test_a_seed_decides_every_word(tmp_path):
    texts = []
    for number, seed in enumerate((1, 1, 2)):
        folder = tmp_path / str(number)
        counts = write_corpus(folder, [], words=5_000, seed=seed)
        read = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
        assert {file_name(name): count for name, count in counts.items()} == {name: len(read[name].split()) for name in read}
        texts.append(read)
    assert texts[0] == texts[1]
    assert all(texts[0][name] != texts[2][name] for name in texts[0])


def test_domains_have_their_shares_and_an_entry_stands_once(corpus):
    assert set(corpus) == set(DOMAINS)
    for name, text in corpus.items():
        share = DOMAINS[name][1]
        assert WORDS * share <= len(text.split()) <= WORDS * share + 200
    assert sum(share for _, share in DOMAINS.values()) == pytest.approx(1)
    for name in ("simple_wiki", "stories", "switchboard"):
        entries = re.split(r"\n\n(?==)|(?<!=)\n\n", corpus[name].strip())
        assert len(set(entries)) == len(entries) > 100, name


def test_trainers_find_turns_pairs_articles_and_questions(corpus):
    forms = {name: looks_like(text) for name, text in corpus.items()}
    assert forms == {"childes": "turns", "simple_wiki": "titled", "stories": "titled", "switchboard": "turns"}
    pairs = [one.row for one in switchboard_pairs(corpus["switchboard"].splitlines(), Clean()) if one.row is not None]
    assert len(pairs) > 1500
    asked = [question_and_answer(article) for article in articles(corpus["simple_wiki"])]
    questions = {made[0] for made in asked if isinstance(made, tuple)}
    assert len(questions) > 100
    assert {question.split()[0] for question in questions} == {"What", "Who"}


def test_articles_agree_with_the_sound_behind_them(corpus):
    for name, text in corpus.items():
        assert not re.findall(r"\b[Aa] (?!use)[aeiou]\w*", text), name
        assert not re.findall(r"\b[Aa]n (?![aeiou])\w+", text), name


def test_determiners_verbs_and_reflexives_agree():
    """A sentence is made of other parts each time, so that a wrong form of any of them comes up among thousands."""
    sentences = Sentences(Random(3))  # noqa: S311
    themselves = {"I": "myself", "We": "ourselves", "They": "themselves", "He": "himself", "She": "herself"}
    for _ in range(3000):
        said = sentences.determiner()
        assert not re.search(r"^(This|That) .* are |^(These|Those) .* is ", said), said
        said = sentences.reflexive()
        if (pronoun := said.split()[0]) in themselves and said.split()[-1] != "ill.":
            assert themselves[pronoun] in said or " that " in said, said
        for kin, own in ((MALE_KIN, "herself"), (FEMALE_KIN, "himself")):
            assert not re.search(rf"'s (?:{'|'.join(kin)}) \w+ {own}", said), said
        said = sentences.agreement()
        assert not re.search(r"^(He|She|It) have |^(They|We|I|You) has ", said), said


def test_answers_fit_their_questions():
    talk = Dialogue(Random(5))  # noqa: S311
    for _ in range(3000):
        asked, answered = talk.yes_no()
        auxiliary = asked.split()[0].lower()
        said = answered.rstrip(".").split()[-1]
        assert said in (auxiliary, "won't" if auxiliary == "will" else "can't" if auxiliary == "can" else f"{auxiliary}n't")
        asked, answered = talk.when_where()
        assert asked.startswith(("When ", "Where "))
        tag = talk.tag()
        assert len(re.findall(r"n't\b", tag)) == 1, tag


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "corpus").write_text("a file")
    with pytest.raises(OSError, match="corpus"):
        write_corpus(Path(tmp_path / "corpus"), [], words=100)
