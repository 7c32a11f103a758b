"""Readers of instruction and preference files: every form with rows of our own, and the shared files."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from babyeval.trainers.instruct.readers import read_set
from babyeval.trainers.instruct.rows import Candidate, Message

from babyeval.errors import DataError, UsageError

ASKED, SAID = "Why is the pond cold?", "Because it is winter."


def read(folder: Path, entries: Any, name: str = "mine.jsonl", form: Any = "auto") -> list[Candidate]:
    path = folder / name
    text = entries if isinstance(entries, str) else "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
    path.write_text(text, encoding="utf-8")
    return list(read_set(path, form, "en"))


def texts(candidates: list[Candidate]) -> list[tuple[Any, ...]]:
    return [(one.row.prompt, one.row.reply, one.row.rejected) if one.row else (one.reason,) for one in candidates]


@pytest.mark.parametrize(
    "entry",
    [
        {"prompt": ASKED, "reply": SAID, "source": "mine", "text": f"{ASKED} {SAID}"},
        {"prompt": f" {ASKED}\n", "completion": f"\ufeff {SAID} "},
        {"prompt": [{"role": "user", "content": ASKED}], "completion": [{"role": "assistant", "content": SAID}]},
        {"prompt": ASKED, "completion": {"role": "assistant", "content": SAID}},
        {"prompt": [{"role": "user", "content": ASKED}], "reply": SAID},
        {"instruction": ASKED, "input": "", "output": SAID},
        {"instruction": ASKED, "input": "<noinput>", "output": SAID},
        {"instruction": ASKED, "instances": [{"input": "", "output": SAID}]},
        {"messages": [{"role": "user", "content": ASKED}, {"role": "assistant", "content": SAID}]},
        {"conversations": [{"from": "human", "value": ASKED}, {"from": "gpt", "value": SAID}]},
    ],
)
def test_forms_of_one_prompt_and_reply(tmp_path: Path, entry: dict[str, Any]) -> None:
    (candidate,) = read(tmp_path, [entry])
    assert candidate.row is not None
    assert (candidate.row.prompt, candidate.row.reply, candidate.row.history) == (ASKED, SAID, ())
    assert (candidate.row.source, candidate.row.language) == ("mine", "en")
    assert candidate.row.words == 9


@pytest.mark.parametrize(("name", "text"), [
    ("mine.tsv", f"{ASKED}\t{SAID}\nIs it deep?\t18\n"),
    ("mine.tsv", f"prompt\treply\n{ASKED}\t{SAID}\nIs it deep?\t18\n"),
    ("mine.csv", f'reply,prompt\n"{SAID}","{ASKED}"\n18,Is it deep?\n'),
    ("mine.csv", f'\nreply,prompt\n\n"{SAID}","{ASKED}"\n18,Is it deep?\n  \n\n'),
    ("mine.json", json.dumps([{"prompt": ASKED, "reply": SAID}, {"prompt": "Is it deep?", "reply": 18}])),
])  # fmt: skip
def test_tables_and_lists(tmp_path: Path, name: str, text: str) -> None:
    assert texts(read(tmp_path, text, name)) == [(ASKED, SAID, None), ("Is it deep?", "18", None)]


def test_prompts_and_completions_of_several_messages(tmp_path: Path) -> None:
    """Only what is in the completion is learnt."""
    prompt = [{"role": "system", "content": "Be kind."}, *_chat("one", "two", "three")]
    completion = _chat("", "four", "five", "six")[1:]
    found = read(tmp_path, [{"prompt": prompt, "completion": completion}])
    assert texts(found) == [("three", "four", None), ("five", "six", None)]
    assert found[1].row is not None
    assert [message.content for message in found[1].row.history] == ["Be kind.", "one", "two", "three", "four"]
    assert texts(read(tmp_path, [{"prompt": prompt, "completion": []}])) == [("no reply",)]
    assert texts(read(tmp_path, [{"prompt": prompt, "completion": ["four"]}])) == [("unknown roles",)]
    assert texts(read(tmp_path, [{"prompt": [], "completion": completion}])) == [("no prompt",), ("roles out of order",)]


def test_parquet_and_compressed_files(tmp_path: Path) -> None:
    import pandas as pd

    pd.DataFrame({"prompt": [ASKED], "reply": [SAID], "source": ["s"], "text": [""]}).to_parquet(tmp_path / "a.parquet")
    assert texts(list(read_set(tmp_path / "a.parquet", "auto", "en"))) == [(ASKED, SAID, None)]
    with gzip.open(tmp_path / "a.jsonl.gz", "wt") as file:
        file.write(json.dumps({"prompt": ASKED, "completion": SAID}))
    assert texts(list(read_set(tmp_path / "a.jsonl.gz", "auto", "en"))) == [(ASKED, SAID, None)]


def test_alpaca_puts_the_input_below_the_instruction(tmp_path: Path) -> None:
    entries = [{"instruction": "Name it.", "instances": [{"input": "a duck", "output": "Bird."}, {"input": "", "output": "It."}]}]
    assert texts(read(tmp_path, entries)) == [("Name it.\n\na duck", "Bird.", None), ("Name it.", "It.", None)]


def test_each_reply_of_a_conversation_is_a_row_in_one_group(tmp_path: Path) -> None:
    said = [("system", "Be kind."), ("user", "one"), ("assistant", "two"), ("user", "three"), ("assistant", "four")]
    first, second = read(tmp_path, [{"messages": [{"role": role, "content": text} for role, text in said]}])
    assert texts([first, second]) == [("one", "two", None), ("three", "four", None)]
    assert first.row is not None
    assert second.row is not None
    assert second.row.history == (Message("system", "Be kind."), Message("user", "one"), Message("assistant", "two"))
    assert second.row.messages[-1] == {"role": "user", "content": "three"}
    assert (first.row.words, second.row.words) == (4, 6)
    assert first.groups == second.groups


@pytest.mark.parametrize(
    ("roles", "reason"),
    [
        (["assistant"], "no prompt"),
        (["user"], "no reply"),
        (["user", "user", "assistant"], "roles out of order"),
        (["user", "system", "assistant"], "roles out of order"),
        (["user", "tool", "assistant"], "unknown roles"),
    ],
)
def test_conversations_that_cannot_be_used(tmp_path: Path, roles: list[str], reason: str) -> None:
    entry = {"messages": [{"role": role, "content": f"text {number}"} for number, role in enumerate(roles)]}
    assert texts(read(tmp_path, [entry])) == [(reason,)]


TREE = [  # id, parent, role, rank, text
    ("1", None, "prompter", None, "Bonjour ?"),
    ("2", "1", "assistant", 1, "Non."),
    ("3", "1", "assistant", 0, "Bonjour !"),
    ("4", "3", "prompter", None, "Il pleut ?"),
    ("5", "4", "assistant", None, "Oui."),
    ("6", None, "prompter", None, "Personne ?"),
]


def test_oasst_takes_the_best_ranked_reply_flat_and_as_tree(tmp_path: Path) -> None:
    flat = [
        {"message_id": i, "parent_id": above, "role": role, "rank": rank, "text": text, "lang": "fr"}
        for i, above, role, rank, text in TREE
    ]

    def nested(entry: dict[str, Any]) -> dict[str, Any]:
        below = [nested(other) for other in flat if other["parent_id"] == entry["message_id"]]
        return {key: value for key, value in entry.items() if key != "parent_id"} | {"replies": below}

    trees = [{"message_tree_id": e["message_id"], "prompt": nested(e)} for e in flat if e["parent_id"] is None]
    expected = [("Bonjour ?", "Bonjour !", None), ("Il pleut ?", "Oui.", None), ("no reply",)]
    for name, entries in (("flat.jsonl", flat), ("trees.jsonl", trees)):
        found = read(tmp_path, entries, name)
        assert texts(found) == expected
        assert found[1].row is not None
        assert found[1].row.language == "fr"
        assert [message.content for message in found[1].row.history] == ["Bonjour ?", "Bonjour !"]


def test_oasst_messages_without_a_beginning_are_counted(tmp_path: Path) -> None:
    lost = [("7", "0", "assistant", 0, "To whom?"), ("8", "7", "prompter", None, "To me?"), ("9", "8", "assistant", 0, "Yes.")]
    flat = [
        {"message_id": i, "parent_id": above, "role": role, "rank": rank, "text": text} for i, above, role, rank, text in lost
    ]
    root = [{"message_id": i, "parent_id": above, "rank": rank, "text": text} for i, above, _, rank, text in TREE]
    no_beginning = ("a message whose thread has no beginning",)
    rows = [("Bonjour ?", "Bonjour !", None), ("Il pleut ?", "Oui.", None), ("no reply",)]
    assert texts(read(tmp_path, [*root, *flat])) == [no_beginning] * 3 + rows
    root[2]["deleted"] = True  # what hangs on it goes too
    assert texts(read(tmp_path, root)) == [
        ("a deleted message",),
        *[no_beginning] * 2,
        ("Bonjour ?", "Non.", None),
        ("no reply",),
    ]
    circle = [{"message_id": "1", "parent_id": None, "text": "Who?"}, {"message_id": "1", "parent_id": "1", "text": "I."}]
    assert texts(read(tmp_path, circle)) == [("a message with the id of another",), ("no reply",)]


def _chat(*said: str) -> list[dict[str, str]]:
    return [{"role": ("user", "assistant")[number % 2], "content": text} for number, text in enumerate(said)]


@pytest.mark.parametrize(
    "entry",
    [
        {"prompt": ASKED, "chosen": SAID, "rejected": "No."},
        {"prompt": ASKED, "chosen": _chat(ASKED, SAID), "rejected": _chat(ASKED, "No.")},
        {"chosen": _chat(ASKED, SAID), "rejected": _chat(ASKED, "No.")},
        {"prompt": _chat(ASKED), "chosen": [_chat("", SAID)[1]], "rejected": [_chat("", "No.")[1]]},
        {
            "conversations": [{"from": "human", "value": ASKED}],
            "chosen": {"from": "gpt", "value": SAID},
            "rejected": {"from": "gpt", "value": "No."},
        },
    ],
)
def test_forms_of_preferences(tmp_path: Path, entry: dict[str, Any]) -> None:
    assert texts(read(tmp_path, [entry])) == [(ASKED, SAID, "No.")]


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"prompt": ASKED, "chosen": SAID, "rejected": f" {SAID} "}, "equal sides"),
        ({"prompt": ASKED, "chosen": SAID, "rejected": ""}, "one side missing"),
        ({"prompt": ASKED, "chosen": SAID, "rejected": None}, "one side missing"),
        ({"prompt": ASKED, "chosen": [], "rejected": SAID}, "one side missing"),
        ({"chosen": SAID, "rejected": "No."}, "no prompt"),
        ({"chosen": _chat("one", "two"), "rejected": _chat("three", "four")}, "two different prompts"),
    ],
)
def test_preferences_that_cannot_be_used(tmp_path: Path, entry: dict[str, Any], reason: str) -> None:
    assert texts(read(tmp_path, [entry])) == [(reason,)]


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("a.jsonl", '{"prompt": "one", "reply": "two"}\n{"prompt": "thr', "line 2"),
        ("a.jsonl", '["one", "two"]\nx', "not valid JSON"),
        ("a.json", "[1]", "no JSON object"),
        ("a.jsonl", '{"question": "one"}', "'question'"),
        ("a.json", "[]", "no rows"),
        ("a.csv", "prompt,reply\none\n", "1 cells"),
        ("a.tsv", "one\ttwo\tthree\n", "no header"),
        ("a.csv", 'prompt,reply\n"one,two\n', "CSV"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, name: str, text: str, says: str) -> None:
    with pytest.raises(DataError, match=says) as caught:
        read(tmp_path, text, name)
    assert name in str(caught.value)


def test_a_damaged_parquet_file_and_an_unknown_ending(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(DataError, match="damaged"):
        list(read_set(tmp_path / "a.parquet", "auto", "en"))
    with pytest.raises(UsageError, match="does not say"):
        read(tmp_path, "text", "a.txt")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("instruct/alpaca_en_demo.json.xz", 999),
        ("instruct/mgsm_es.tsv.xz", 250),
        ("instruct/mgsm_fr.tsv.xz", 250),
        ("instruct/oasst1_fr_top1.jsonl.xz", 378),
        ("instruct/self_instruct_seed_tasks.jsonl.xz", 175),
        ("instruct/vigogne_seed_tasks_fr.jsonl.xz", 175),
        ("instruct/xquad_es_instruct.jsonl.xz", 1190),
        ("preference/dpo_en_demo.json.xz", 300),
        ("preference/mifeval_pairs_es.jsonl.xz", 115),
        ("preference/mifeval_pairs_fr.jsonl.xz", 234),
    ],
)
def test_the_shared_files_are_read_whole(shared: Path, name: str, rows: int) -> None:
    found = list(read_set(shared / name, "auto", "en"))
    assert [one.reason for one in found if one.row is None] == []
    assert len(found) == rows
    assert {one.row.rejected is not None for one in found if one.row} == {name.startswith("preference")}
