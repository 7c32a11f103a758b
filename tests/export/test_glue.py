"""The fine-tuning part of a submission, out of records of the official protocols' one seed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli.support import inside, write_lines
from fake_fit import FakeFit, predicted

from babyeval.official.carried import Carried, update_carried
from babyeval.official.parts import GLUE_TASKS
from export.official_data import OFFICIAL, small
from export.official_files import YEARS
from export.validator import validate_glue

FIELDS = {
    "boolq": ("question", "passage"), "mnli": ("premise", "hypothesis"), "mrpc": ("sentence1", "sentence2"),
    "multirc": ("question", "answer", "paragraph"), "qqp": ("question1", "question2"), "rte": ("sentence1", "sentence2"),
    "wsc": ("span1_text", "span2_text", "text"),
}  # fmt: skip


@pytest.fixture
def glue_data(tmp_path) -> Path:
    """Files of all seven tasks in the official layout, of small sizes."""
    root = tmp_path / "evaluation_data"
    for task, fields in FIELDS.items():
        for part, count in (("train", 40), ("valid", small(OFFICIAL["glue"][task]))):
            lines = [
                {**{name: f"The {name} {i} of {part} is here." for name in fields}, "label": i % (3 if task == "mnli" else 2)}
                for i in range(count)
            ]
            write_lines(root / "full_eval/glue_filtered" / f"{task}.{part}.jsonl", lines)
    return root


@pytest.fixture
def fitted(tmp_path, tiny_folder, glue_data, monkeypatch):
    """Runs fits under a year's protocol with a stand-in for the engine."""
    fake = FakeFit().install(monkeypatch)

    def fitted(year, tasks="finetune", *more):
        given = ("--protocol", year, "--data-dir", glue_data, "--out", "out", *more)
        done = inside("run", "--model", f"tuned={tiny_folder('llama', 'bos')}", "--tasks", tasks, *given, cwd=tmp_path)
        assert done.code == 0, done.err
        return fake

    return fitted


def exported(year, glue_data, cwd, code=0):
    done = inside("export", "out", "--format", year, "--data-dir", glue_data, cwd=cwd)
    assert done.code == code, done.err
    return done


def test_labels_of_seed_42_have_the_official_form(fitted, glue_data, tmp_path):
    fake = fitted("babylm-2026")
    part = json.loads(exported("babylm-2026", glue_data, tmp_path).out)["glue"]
    validate_glue(part, glue_data)
    for task in GLUE_TASKS:
        file = glue_data / "full_eval/glue_filtered" / f"{task}.valid.jsonl"
        gold = [json.loads(line)["label"] for line in file.read_text().splitlines()]
        expected = predicted(fake, (task, 42), gold, 3 if task == "mnli" else 2)
        assert [entry["pred"] for entry in part[task]["predictions"]] == expected


def test_2025_lacks_nothing_of_glue(fitted, glue_data, tmp_path):
    fitted("babylm-2025")
    assert "glue" not in exported("babylm-2025", glue_data, tmp_path, code=3).err.split("Where:")[1].split("What next:")[0]


@pytest.mark.parametrize("year", YEARS)
def test_tasks_that_lack_are_named_with_the_command(year, fitted, glue_data, tmp_path):
    fitted(year, "rte,wsc")
    done = exported(year, glue_data, tmp_path, code=3 if year == "babylm-2025" else 0)
    assert "mnli: not evaluated; mrpc: not evaluated" in done.err
    assert "rte:" not in done.err
    assert "boolq,mnli,mrpc,multirc,qqp --protocol" in done.err
    if year == "babylm-2026":
        assert set(json.loads(done.out)["glue"]) == {"rte", "wsc"}


def test_imported_predictions_fill_what_was_not_fitted(fitted, glue_data, tmp_path):
    fitted("babylm-2026", "rte")
    blocks = {
        task: {"predictions": [{"id": f"{task}_{k}", "pred": 1} for k in range(small(OFFICIAL["glue"][task]))]}
        for task in GLUE_TASKS
    }
    update_carried(tmp_path / "out", Carried("tuned", "main", "babylm-2026", ""), {"glue": blocks}, {}, frozenset())
    part = json.loads(exported("babylm-2026", glue_data, tmp_path).out)["glue"]
    validate_glue(part, glue_data)
    assert part["wsc"] == blocks["wsc"]
    assert part["rte"] != blocks["rte"]


def test_limited_mini_and_robust_fits_are_never_exported(fitted, glue_data, tmp_path):
    fitted("babylm-2026", "rte")
    fitted("babylm-2026", "wsc", "--limit", 5)
    fitted("robust", "mrpc", "--seeds", 1)
    fitted("babylm-2026", "qqp", "--split", "mini")
    done = exported("babylm-2026", glue_data, tmp_path)
    assert set(json.loads(done.out)["glue"]) == {"rte"}
    for reason in ("wsc: only on full@5", "mrpc: only under robust", "qqp: only on mini"):
        assert reason in done.err


def test_wrong_size_is_named_and_left_out(fitted, glue_data, tmp_path):
    file = glue_data / "full_eval/glue_filtered/rte.valid.jsonl"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    fitted("babylm-2026", "rte,wsc")
    done = exported("babylm-2026", glue_data, tmp_path)
    assert set(json.loads(done.out)["glue"]) == {"wsc"}
    assert f"'rte' holds {small(OFFICIAL['glue']['rte']) - 1} predictions" in done.err
