"""Tunings whose data, or whose parent's, changed at their place or lie elsewhere now."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from babyeval.trainers.instruct.sets import build_set, same_rows
from babyeval.trainers.recipe import Clean, SetSpec
from test_instruct_tuning import prepared, tuned
from training import Listener

from babyeval.errors import UsageError
from babyeval.progress import Quiet

SHORT = ("instruct.max_steps=1", 'instruct.curriculum={single = "wiki"}')


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return prepared(tmp_path_factory.mktemp("data"))


def corpus(folder: Path) -> str:
    return f"data.corpus={json.dumps(str(folder))}"


def test_a_parent_of_another_corpus_is_refused(place: Path, tmp_path: Path) -> None:
    out = Path(shutil.copytree(place / "runs", tmp_path / "runs"))
    moved = Path(shutil.copytree(place / "text", tmp_path / "moved"))
    with pytest.raises(UsageError, match="fill no batch"):  # the same text in another place is not what is refused
        tuned(place, corpus(moved), "instruct.batch_size=1000", out=out)
    with (moved / "talk.txt").open("a", encoding="utf-8") as file:
        file.write("\nA line that was not there before, of a heron that stands in the rain all day long.\n")
    listener = Listener()
    with pytest.raises(
        UsageError, match=r"\('pretrained'\) was trained on other data than are there now: another corpus"
    ) as refused:
        tuned(place, corpus(moved), *SHORT, out=out, reporter=listener)
    assert all(way in str(refused.value) for way in ("--corpus", "--out", f"parent={out / 'pretrained' / 'seed_7' / 'final'}"))
    assert str(out / "pretrained" / "seed_7" / "final") in str(refused.value)
    assert not (out / "it_switch_wiki").exists()
    shutil.rmtree(out / "_data")  # nothing tells what the parent was trained on
    with pytest.raises(UsageError, match="fill no batch"):
        tuned(place, corpus(moved), "instruct.batch_size=1000", out=out)


def test_a_finished_tuning_on_other_rows_is_not_taken_for_one_on_these(place: Path, tmp_path: Path) -> None:
    def again(*settings: str) -> Any:
        return tuned(place, *SHORT, *settings)

    assert not again().finished_before
    assert again().finished_before
    moved = Path(shutil.copytree(place / "text", tmp_path / "moved"))
    assert not again("condition=moved", corpus(moved)).finished_before
    assert again("condition=moved", corpus(place / "text")).finished_before
    rows = (moved / "wiki.jsonl").read_text()
    (moved / "wiki.jsonl").write_text(rows.replace("moon 3", "moon three"))
    with pytest.raises(UsageError, match="is finished, and since then its set 'wiki' changed"):
        again("condition=moved", corpus(moved))
    (moved / "wiki.jsonl").write_text(rows)
    (moved / "switchboard.jsonl").unlink()  # it is not trained on
    assert again("condition=moved", corpus(moved)).finished_before


def test_rows_are_compared_by_content(tmp_path: Path) -> None:
    file, spec = tmp_path / "odd.jsonl", SetSpec(kind="file", file=Path("odd.jsonl"))
    text = "".join(json.dumps({"prompt": f"Is {n} odd?", "reply": "No."}) + "\n" for n in range(0, 20, 2))
    file.write_text(text)
    digest = build_set("odd", spec, tmp_path, tmp_path, Quiet()).digest

    def same(wanted: str) -> bool | None:
        return same_rows("odd", spec, tmp_path, tmp_path, Clean(), wanted)

    assert same(digest) is True
    assert same("of another") is False
    file.write_text(text.replace("No", "Not so"))
    assert same(digest) is False
    assert same("of another") is None
    file.unlink()
    assert same(digest) is None
