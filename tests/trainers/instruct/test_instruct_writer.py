"""The model that writes questions and answers: a tiny random one, whose texts only the grammar makes valid."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from babyeval.trainers.instruct import wiki_model
from babyeval.trainers.instruct.articles import Article
from babyeval.trainers.instruct.sets import build_set
from babyeval.trainers.instruct.spec import SetSpec
from babyeval.trainers.instruct.wiki_model import WRITTEN_FILE, check_written, pair_schema, write_pairs

from babyeval.errors import MissingError, ModelError, UsageError
from babyeval.progress import Quiet

ARTICLES = [Article(f"Pond {n}", f"Pond {n} is a pond in Oregon. " + "Ducks swim there. " * (1 + n % 3)) for n in range(7)]


def spec_of(model: object, **settings: Any) -> SetSpec:
    small = {"questions": 2, "answer_sentences": 1, "question_characters": 16, "answer_characters": 24, "batch_size": 3}
    small |= {"max_new_tokens": 250, "article_words": 20}
    return SetSpec(**({"kind": "wiki_qa", "writer": "model", "model": str(model)} | small | settings))


class Typist:
    """Takes the place of a model: writes what it is told, and remembers what about."""

    seen: list[str]
    text: Callable[[Article], str]

    def __init__(self, spec: SetSpec) -> None:
        pass

    def write(self, batch: Sequence[Article]) -> list[str]:
        self.seen.extend(article.title for article in batch)
        return [type(self).text(article) for article in batch]


def two_pairs(article: Article) -> str:
    pairs = [{"question": f"{word} {article.title}?", "answer": f"A pond. Ask {word}."} for word in ("What", "Where")]
    return json.dumps({"pairs": pairs})


@pytest.fixture
def typist(monkeypatch: pytest.MonkeyPatch) -> type[Typist]:
    Typist.seen, Typist.text = [], staticmethod(two_pairs)
    monkeypatch.setattr(wiki_model, "_Writer", Typist)
    return Typist


def test_a_random_model_writes_valid_json(tiny_folder: Callable[..., Path], tmp_path: Path) -> None:
    import jsonschema

    spec = spec_of(tiny_folder("llama", "bos_eos", positions=1024), question_characters=10, answer_characters=10)
    written = list(write_pairs(ARTICLES[:4], spec, tmp_path / "out", Quiet()))
    texts = [json.loads(line)["text"] for line in (tmp_path / "out" / WRITTEN_FILE).read_text().splitlines()]
    assert len(texts) == len(written) == 4
    for text in texts:
        jsonschema.validate(json.loads(text, strict=False), pair_schema(spec))
    assert not {"no JSON (cut by max_new_tokens?)", "JSON of another schema"} & {
        reason for one in written for reason in one.rejects
    }
    assert any(one.pairs for one in written)


def test_a_prompt_that_is_too_long_for_the_writer(tiny_folder: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="The writer takes 64 tokens"):
        list(write_pairs(ARTICLES[:1], spec_of(tiny_folder("llama", "bos_eos")), tmp_path, Quiet()))


def test_a_writer_without_an_end(tiny_folder: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no EOS"):
        list(write_pairs(ARTICLES[:1], spec_of(tiny_folder("llama", "bos")), tmp_path, Quiet()))


def test_what_was_written_is_kept_through_a_kill(tmp_path: Path, typist: type[Typist]) -> None:
    spec = spec_of("typist")
    whole = list(write_pairs(ARTICLES, spec, tmp_path / "whole", Quiet()))
    assert [one.article for one in whole] == list(range(7))
    assert whole[2].pairs[0] == ("What Pond 2?", "A pond. Ask What.")
    begun = write_pairs(ARTICLES, spec, tmp_path / "cut", Quiet())
    for _ in range(4):  # two batches of three were written
        next(begun)
    begun.close()
    path = tmp_path / "cut" / WRITTEN_FILE
    path.write_bytes(path.read_bytes()[:-5])  # killed while the sixth was being written
    typist.seen.clear()
    assert list(write_pairs(ARTICLES, spec, tmp_path / "cut", Quiet())) == whole
    assert typist.seen == ["Pond 5", "Pond 6"]
    typist.seen.clear()
    assert list(write_pairs(ARTICLES, spec, tmp_path / "cut", Quiet())) == whole
    assert typist.seen == []


def test_nothing_is_written_beyond_the_budget(tmp_path: Path, typist: type[Typist]) -> None:
    text = "".join(f" = = = {article.title} = = = {article.text}" for article in (*ARTICLES, Article("Pond 0", "Twice.")))
    (tmp_path / "simple_wiki.train").write_text(text)
    spec = spec_of("typist", words=35, batch_size=1, valid_share=0.3)
    made = build_set("wiki", spec, tmp_path, tmp_path / "runs", Quiet())
    rows = [*made.rows("train"), *made.rows("valid")]
    assert sum(row.words for row in rows) == 35  # five pairs of seven words
    assert len(typist.seen) == 3
    assert {row.writer for row in rows} == {made.manifest.writer} == {"typist"}
    train, valid = ({row.prompt.split(" ", 1)[1] for row in made.rows(part)} for part in ("train", "valid"))
    assert train.isdisjoint(valid), "an article's questions stay together"
    larger = build_set("wiki", spec.model_copy(update={"words": 70}), tmp_path, tmp_path / "runs", Quiet())
    assert set(rows) < {*larger.rows("train"), *larger.rows("valid")}
    assert len(typist.seen) == len(set(typist.seen)) == 6, "what was written before is taken"


def test_a_writer_that_writes_nothing_valid_is_given_up(tmp_path: Path, typist: type[Typist]) -> None:
    typist.text = staticmethod(lambda article: f"Sure! Here is JSON about {article.title}")
    with pytest.raises(ModelError, match="first 5 articles") as caught:
        list(write_pairs(ARTICLES, spec_of("typist", patience=5), tmp_path, Quiet()))
    assert "Here is JSON about Pond 4" in str(caught.value)
    assert len(typist.seen) == 6  # two batches, and no more


def test_a_writer_of_nothing_valid_is_given_up_though_the_articles_are_fewer(tmp_path: Path, typist: type[Typist]) -> None:
    typist.text = staticmethod(lambda article: f"Sure! Here is JSON about {article.title}")
    with pytest.raises(ModelError, match="first 7 articles: no JSON") as caught:
        list(write_pairs(ARTICLES, spec_of("typist", patience=20), tmp_path, Quiet()))
    assert "Here is JSON about Pond 6" in str(caught.value)
    assert len((tmp_path / WRITTEN_FILE).read_text().splitlines()) == 7


@pytest.mark.parametrize("name", ["chat_template.jinja", "additional_chat_templates/other.jinja", "generation_config.json"])
def test_a_local_writer_that_is_asked_in_another_way_writes_anew(name: str, tmp_path: Path, typist: type[Typist]) -> None:
    text = "".join(f" = = = {article.title} = = = {article.text}" for article in ARTICLES)
    (tmp_path / "simple_wiki.train").write_text(text)
    path = tmp_path / "writer" / name
    path.parent.mkdir(parents=True)
    spec = spec_of(tmp_path / "writer", valid_share=0.3)
    for number, content in enumerate(("{}", "{}", '{"a": 1}'), start=1):
        path.write_text(content)
        build_set("wiki", spec, tmp_path, tmp_path / "runs", Quiet())
        assert len(typist.seen) == 7 * (2 if number == 3 else 1)


def _pairs(*pairs: tuple[str, str]) -> str:
    return json.dumps({"pairs": [{"question": question, "answer": answer} for question, answer in pairs]})


@pytest.mark.parametrize(
    ("raw", "kept", "rejects"),
    [
        (_pairs(("What?", "One. Two."), ("Who?", "One. Two. Three.")), 2, ()),
        (_pairs(("What?", "One. Two."), ("Who?", "One.")), 1, ("an answer of fewer than 2 sentences",)),
        (_pairs(("What?", "One. Two."), ("what?", "One. Two.")), 1, ("a question asked before",)),
        (_pairs((" ", "One. Two."), ("Who?", "One. Two.")), 1, ("an empty question or answer",)),
        (_pairs(("What?", "One. Two.")), 0, ("JSON of another schema",)),
        ('{"pairs": []}', 0, ("JSON of another schema",)),
        ('{"pairs": [{"question": "Wha', 0, ("no JSON (cut by max_new_tokens?)",)),
        ("[" * 100_000, 0, ("no JSON (cut by max_new_tokens?)",)),
    ],
)
def test_what_is_written_is_checked(raw: str, kept: int, rejects: tuple[str, ...]) -> None:
    written = check_written(raw, spec_of("typist", answer_sentences=2), 3)
    assert (len(written.pairs), written.rejects, written.article) == (kept, rejects, 3)


@pytest.mark.parametrize("library", ["xgrammar", "jsonschema"])
def test_missing_libraries_are_named(
    library: str, tiny_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_of(tiny_folder("llama", "bos_eos", positions=1024))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingError, match=library) as caught:
        check_written("{}", spec, 0) if library == "jsonschema" else list(write_pairs(ARTICLES[:1], spec, tmp_path, Quiet()))
    assert 'pip install "babyeval[write]"' in str(caught.value)


def test_a_writer_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match="cannot be loaded"):
        list(write_pairs(ARTICLES[:1], spec_of(tmp_path), tmp_path / "out", Quiet()))
