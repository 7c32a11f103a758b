"""Sets: budgets, the division into two parts, the account, reuse, and bad input."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from babyeval.trainers.instruct.rows import Message, Row, read_rows, rows_digest, write_rows
from babyeval.trainers.instruct.sets import InstructionSet, build_set
from babyeval.trainers.instruct.spec import SetSpec
from babyeval.trainers.recipe import Clean

from babyeval.errors import DataError, MissingError, UsageError
from babyeval.progress import Quiet


class Notes(Quiet):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def note(self, text: str) -> None:
        self.said.append(text)


def rows_file(folder: Path, count: int = 60) -> Path:
    """Rows of different lengths; a question with two answers now and then."""
    lines = [
        {"prompt": f"What is puddle {n // 2 if n % 5 == 0 else n}?", "reply": f"It is puddle {n}" + " indeed" * (n % 7) + "."}
        for n in range(count)
    ]
    path = folder / "puddles.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def build(folder: Path, name: str = "mine", corpus: Path | None = None, **settings: Any) -> InstructionSet:
    spec = SetSpec(**({"kind": "file", "file": "puddles.jsonl"} | settings))
    return build_set(name, spec, corpus or folder, folder / "runs", Quiet())


def all_rows(made: InstructionSet) -> list[Row]:
    return [*made.rows("train"), *made.rows("valid")]


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    history = (Message("system", "Sé amable."), Message("user", "uno"), Message("assistant", "dos"))
    rows = [Row("¿Qué?", "Nada.\n", "s", "es", "w", history, "Algo."), Row("a", "b", "c", "en")]
    write_rows(tmp_path / "rows.parquet", rows)
    assert list(read_rows(tmp_path / "rows.parquet")) == rows
    assert rows_digest(rows) != rows_digest(rows[::-1])


def test_every_row_is_accounted_for_and_in_one_part(tmp_path: Path) -> None:
    rows_file(tmp_path)
    made = build(tmp_path)
    train, valid = list(made.rows("train")), list(made.rows("valid"))
    counts = made.manifest.parts
    assert len(train) + len(valid) + sum(made.manifest.rejects.values()) == 60
    assert {row.prompt for row in train}.isdisjoint(row.prompt for row in valid)
    for part, rows in (("train", train), ("valid", valid)):
        assert counts[part].rows == len(rows)
        assert counts[part].words == sum(len(f"{row.prompt} {row.reply}".split()) for row in rows)
        assert counts[part].words == counts[part].prompt_words + counts[part].reply_words
        numbers = [int(row.reply.split()[3].strip(".")) for row in rows]
        assert numbers == sorted(numbers), "rows keep the order of the file"
    share = counts["valid"].words / (counts["train"].words + counts["valid"].words)
    assert 0.1 <= share < 0.2


@pytest.mark.parametrize("words", [50, 100, 200])
def test_a_budget_of_words_is_kept_and_nearly_spent(tmp_path: Path, words: int) -> None:
    rows_file(tmp_path)
    rows = all_rows(build(tmp_path, words=words))
    assert words - 14 < sum(row.words for row in rows) <= words  # the longest row has 14 words
    larger = all_rows(build(tmp_path, words=words + 50))
    assert set(rows) < set(larger)


def test_a_budget_of_rows_and_the_seed_that_draws_them(tmp_path: Path) -> None:
    rows_file(tmp_path)
    first, again, other = (
        all_rows(build(tmp_path, name, rows=20, split_seed=seed)) for name, seed in (("a", 0), ("b", 0), ("c", 1))
    )
    assert len(first) == 20
    assert first == again
    assert set(first) != set(other)


def test_lengths_duplicates_and_budgets_are_counted(tmp_path: Path) -> None:
    path = rows_file(tmp_path)
    path.write_text(path.read_text() + path.read_text().splitlines()[3] + "\n")
    made = build(tmp_path, min_words=5, max_words=8, rows=10)
    lengths = Counter(3 + 1 + n % 7 for n in range(60))  # It is puddle n, and so many times "indeed"
    assert all(5 <= len(row.reply.split()) <= 8 for row in all_rows(made))
    assert made.manifest.rejects["reply too short"] == lengths[4]
    assert made.manifest.rejects["reply too long"] == lengths[9] + lengths[10]
    kept = sum(lengths[length] for length in range(5, 9))
    assert made.manifest.rejects["beyond the budget"] + made.manifest.rejects.get("duplicate", 0) == kept - 10 + 1


def test_a_row_that_is_no_text_is_left_out_and_counted(tmp_path: Path) -> None:
    path = rows_file(tmp_path)
    broken = ['{"prompt": "What is \\ud83d?", "reply": "Half."}', '{"prompt": "Who?", "reply": "He.", "source": "\\udc00"}']
    path.write_text(path.read_text() + "\n".join(broken) + "\n")
    made = build(tmp_path)
    assert made.manifest.rejects == {"text that is no Unicode (half of a surrogate pair)": 2}
    assert len(all_rows(made)) == 60


def test_a_set_is_built_once_for_the_same_content(tmp_path: Path) -> None:
    path = rows_file(tmp_path)
    spec = SetSpec(kind="file", file=Path("puddles.jsonl"))
    notes = Notes()
    first = build_set("mine", spec, tmp_path, tmp_path / "runs", notes)
    written = (first.folder / "train.parquet").stat().st_mtime_ns
    assert build_set("mine", spec, tmp_path, tmp_path / "runs", notes) == first
    assert (first.folder / "train.parquet").stat().st_mtime_ns == written
    assert "reused" in notes.said[-1]
    assert "reused" not in notes.said[0]
    path.write_text(path.read_text().replace("indeed", "truly"))
    changed = build_set("mine", spec, tmp_path, tmp_path / "runs", notes)
    assert changed.folder != first.folder
    assert changed.digest != first.digest


def test_an_interrupted_build_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows_file(tmp_path)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("babyeval.trainers.instruct.sets.write_rows", interrupted)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path)
    assert list((tmp_path / "runs").rglob("*.*")) == []
    assert build(tmp_path).manifest.parts["train"].rows > 0


def test_dialogue_keeps_no_turn_in_both_parts(tmp_path: Path) -> None:
    lines = [f"{'AB'[n % 2]}:\tthis is turn {n}" for n in range(400)]
    (tmp_path / "switchboard.train").write_text("\n".join(lines))
    made = build(tmp_path, kind="switchboard_pairs", file=None)
    seen = {part: {text for row in made.rows(part) for text in (row.prompt, row.reply)} for part in ("train", "valid")}
    assert seen["train"].isdisjoint(seen["valid"])
    borders = made.manifest.rejects["at the border of training and validation"]
    assert borders in (1, 2)
    assert len(all_rows(made)) == 399 - borders
    assert not made.manifest.notes


def test_the_template_is_named_as_a_substitute_wherever_it_is_used(tmp_path: Path) -> None:
    text = "".join(f" = = = Pond {n} = = = Pond {n} is a pond in Oregon. It has {n} ducks." for n in range(10, 40))
    (tmp_path / "simple_wiki.train").write_text(text + " = = = Lost = = = may refer to:")
    notes = Notes()
    spec = SetSpec(kind="wiki_qa", writer="template")
    made = build_set("wiki", spec, tmp_path, tmp_path / "runs", notes)
    assert made.manifest.writer == "template"
    assert "substitute" in made.manifest.notes[0]
    assert "substitute" in notes.said[-1]
    assert {row.writer for row in all_rows(made)} == {"template"}
    assert made.manifest.rejects == {"template: no definition": 1}
    assert Row("What is Pond 12?", "Pond 12 is a pond in Oregon. It has 12 ducks.", "simple_wiki", "en", "template") in all_rows(
        made
    )


def test_cleaning_is_part_of_what_is_built(tmp_path: Path) -> None:
    (tmp_path / "switchboard.train").write_text(
        "\n".join(f"{'AB'[n % 2]}:\tturn {n}" + " and more" * (n % 3) for n in range(300))
    )
    spec = SetSpec(kind="switchboard_pairs")
    loose, strict = (build_set("s", spec, tmp_path, tmp_path / "runs", Quiet(), clean=Clean(min_words=least)) for least in (0, 3))
    assert loose.folder != strict.folder
    assert "a line of fewer than 3 words" in strict.manifest.rejects
    assert len(all_rows(loose)) > len(all_rows(strict))


def test_languages_are_told_apart(tmp_path: Path) -> None:
    lines = {
        "en": ("Where does the duck sleep at night?", "It sleeps beside the pond, under the old trees"),
        "fr": ("Où dort le canard pendant la nuit ?", "Il dort à côté de l'étang, sous les vieux arbres"),
        "es": ("¿Dónde duerme el pato por la noche?", "Duerme al lado del estanque, bajo los árboles viejos"),
    }
    rows = [{"prompt": f"{asked} {n}", "completion": f"{said} {n}"} for n in range(4) for asked, said in lines.values()]
    (tmp_path / "puddles.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = build(tmp_path, languages=("fr", "es"))
    assert {row.prompt.rsplit(" ", 1)[0] for row in all_rows(made)} == {lines["fr"][0], lines["es"][0]}
    assert {row.language for row in all_rows(made)} == {"fr", "es"}
    assert made.manifest.rejects == {"other language": 4}


def test_a_missing_language_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows_file(tmp_path)
    monkeypatch.setitem(sys.modules, "py3langid.langid", None)
    with pytest.raises(MissingError, match="py3langid"):
        build(tmp_path, languages=("en",))


def test_preferences_without_two_sides(tmp_path: Path) -> None:
    rows = [{"prompt": f"Why {n}?", "chosen": f"So {n}.", "rejected": f"No {n}."} for n in range(10)]
    bad = [rows[0] | {"rejected": "So 0."}, rows[1] | {"chosen": ""}]
    path = tmp_path / "puddles.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows + bad))
    made = build(tmp_path)
    assert made.manifest.preference
    assert made.manifest.rejects == {"equal sides": 1, "one side missing": 1}
    assert len(all_rows(made)) == 10
    path.write_text("".join(json.dumps(row) + "\n" for row in bad))
    with pytest.raises(DataError, match=r"No row .*equal sides: 1"):
        build(tmp_path)


def test_files_that_cannot_be_found(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"puddles\.jsonl"):
        build(tmp_path)
    with pytest.raises(UsageError, match="no text for training"):
        build(tmp_path, kind="switchboard_pairs", file=None)
    for name in ("switchboard.train", "switchboard_more.train"):
        (tmp_path / name).write_text("A:\tone two three\n")
    with pytest.raises(UsageError, match=r"switchboard\.train, switchboard_more\.train"):
        build(tmp_path, kind="switchboard_pairs", file=None)


def test_too_few_rows_to_divide(tmp_path: Path) -> None:
    rows_file(tmp_path, 1)
    with pytest.raises(UsageError, match="too small"):
        build(tmp_path)
