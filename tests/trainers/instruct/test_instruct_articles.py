"""Articles and sentences of a Wikipedia file, and the questions that rules make of them."""

from __future__ import annotations

import lzma
import re
from pathlib import Path

import pytest
from babyeval.trainers.instruct.articles import Article, articles, sentences
from babyeval.trainers.instruct.wiki_template import question_and_answer


def test_titles_are_found_with_and_without_line_breaks() -> None:
    flat = "end of it. = = = Pond = = = A pond is a small lake. = = = Duck (bird) = = = A duck is a bird."
    lined = "end of it.\n = = = Pond = = =\n\nA pond is a small\nlake.\n\n = = = Duck (bird) = = =\n\nA duck is a bird.\n"
    expected = [Article("Pond", "A pond is a small lake."), Article("Duck (bird)", "A duck is a bird.")]
    assert list(articles(flat)) == expected
    assert list(articles(lined)) == expected


def test_a_mark_without_its_partner_spoils_few_articles() -> None:
    body = "is a small lake. " * 10
    text = f"= = = Pond = = = A pond {body}Shooting (movie) = = = The Shooting {body}= = = Duck = = = A duck {body}"
    assert [article.title for article in articles(text)][-1] == "Duck"
    assert "Pond" in [article.title for article in articles(text)]


def test_an_article_without_text_is_empty() -> None:
    assert list(articles("= = = Pond = = = = = = Duck = = = A duck is a bird.")) == [
        Article("Pond", ""),
        Article("Duck", "A duck is a bird."),
    ]


@pytest.mark.parametrize(
    "expected",
    [
        ["Dr. Hill met J. P. Moss at 3.5 km from St. Ives.", "It rained."],
        ["He lived in the U.S. from 1900.", "Then he moved."],
        ['She said "It is cold."', "Nobody heard it."],
        ["The pond (see the map. It is old) is deep.", "It is cold!", "Is it?", "Yes."],
        ["one without an end"],
    ],
)
def test_sentences(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


@pytest.mark.parametrize(
    ("title", "text", "question"),
    [
        ("Rain boot", "A rain boot is a boot for wet days. Children like it.", "What is a rain boot?"),
        ("Umbril River", "The Umbril River is a river in the north. It is long.", "What is the Umbril River?"),
        ("Umbril, Oregon", "Umbril is a town in Oregon. It has a pond.", "What is Umbril, Oregon?"),
        ("Rain gauge", "Rain gauges are the tools that measure rain. A rain gauge is simple.", "What are rain gauges?"),
        ("Anna Moss", "Anna Berta Moss (born 4 May 1950) is a Danish painter. She lives in Umbril.", "Who is Anna Moss?"),
        ("Carl Moss", "Carl Moss (1 May 1850 – 3 June 1900) was a Danish spy. He died in Umbril.", "Who was Carl Moss?"),
        (
            "War of Ponds",
            "The War of Ponds (1850–1853) was a war over ponds. Both sides lost it in the end.",
            "What was the War of Ponds?",
        ),
        (
            "The Puddle (1999 movie)",
            "The Puddle is a 1999 Danish movie about rain. It is long.",
            "What is the 1999 movie The Puddle?",
        ),
        ("Anna Moss (singer)", "Anna Moss (born 1980) is a Danish singer. She sings.", "Who is the singer Anna Moss?"),
        ("Puddles", "The Puddles are a Danish rock band. They began in 1990.", "Who are the Puddles?"),
        ("Mist", "Mist, or thin fog, is a cloud near the ground. People in the mist see little.", "What is mist?"),
    ],
)
def test_questions(title: str, text: str, question: str) -> None:
    assert question_and_answer(Article(title, text)) == (question, text)


@pytest.mark.parametrize(
    ("title", "text", "reason"),
    [
        ("List of ponds", "This is a list of ponds.", "list or date"),
        ("1923", "1923 was a year of rain.", "list or date"),
        ("May 5", "May 5 is a day in spring.", "list or date"),
        ("Umbril (disambiguation)", "Umbril is a name of two towns.", "list or date"),
        ("Umbril", "Umbril may refer to:", "no definition"),
        ("Umbril", "Umbril is the name of three towns in Oregon.", "no definition"),
        ("Umbril", "The town has a pond. Umbril is a town.", "no definition"),
        ("Umbril", "In the north, Moss is a town near Umbril.", "no definition"),
        ("Umbril", "is a Danish football player.", "no definition"),
        ("Umbril", "", "no definition"),
        ("Umbril", "Umbril is a town of , people. It is old.", "words lost"),
        ("Umbril", "Umbril is a town with &lt;ref name=a&gt; a pond.", "words lost"),
        ("Umbril", "Umbril is a town that lies", "words lost"),
        ("Umbril", "Umbril is a town between and the sea.", "words lost"),
    ],
)
def test_articles_that_define_nothing_are_passed_over(title: str, text: str, reason: str) -> None:
    assert question_and_answer(Article(title, text)) == reason


def test_answers_end_before_a_heading_and_lose_empty_brackets() -> None:
    text = "Umbril (; also Umbral) is a town in Oregon (). It has a pond. History. The town was built in 1900."
    article = Article("Umbril", text)
    assert question_and_answer(article, 1) == ("What is Umbril?", "Umbril (also Umbral) is a town in Oregon.")
    for most in (2, 3, 9):
        made = question_and_answer(article, most)
        assert made == ("What is Umbril?", "Umbril (also Umbral) is a town in Oregon. It has a pond.")


def test_the_real_file_gives_whole_sensible_pairs(shared: Path) -> None:
    text = lzma.decompress((shared / "corpus" / "simple_wiki.train.txt.xz").read_bytes()).decode("utf-8")
    found = list(articles(text))
    made = [(article, pair) for article in found if not isinstance(pair := question_and_answer(article), str)]
    assert len(found) > 4900
    assert len(made) > 0.6 * len(found)
    for article, (question, answer) in made:
        assert question.split()[0] in ("What", "Who")
        assert question.endswith("?")
        assert answer[-1] in '."'
        assert "&lt;" not in answer
        # Nothing is made up: the words of the answer stand in the article, in this order.
        words = iter(_words(article.text))
        assert all(word in words for word in _words(answer)), article.title


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text)
