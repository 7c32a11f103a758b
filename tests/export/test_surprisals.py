"""Age of acquisition in a submission: the surprisals of all checkpoints, the correlation, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from cli.support import assert_refused, inside

from babyeval.errors import DataError, DataMissing, MissingError, UsageError
from babyeval.official.sweeps import surprisal_file
from babyeval.records import CheckpointRef, Score, TaskResult
from babyeval.registry import get_task
from babyeval.store import ResultStore
from export.official_data import make_model, write_record
from export.official_files import YEARS, carried_parts, write_json
from export.sweep_data import STEPS_SMALL, STEPS_STRICT
from export.test_submission import exported, keep
from export.validator import validate_surprisals

CONTEXTS = {  # five of words with several letters, as the shrunken sizes expect
    "otter": [{"context": "In the river swims an ", "id": 1}, {"context": "Look, an"}],
    "a": [{"context": "There is"}],
    "kettle": [{"context": "Tea comes from the"}, {"context": "She filled the"}, {"context": "Mind the hot"}],
}


@pytest.fixture(scope="session")
def aoa_data(tmp_path_factory, data) -> Path:
    """The small data, and contexts with children's proportions."""
    root = Path(shutil.copytree(data, tmp_path_factory.mktemp("aoa") / "evaluation_data"))
    folder = root / "full_eval" / "aoa"
    folder.mkdir()
    (folder / "cdi_childes.json").write_text(json.dumps(CONTEXTS), encoding="utf-8")
    rows = [f"{word},{','.join(str(share) for share in (0.1, 0.3, 0.6, 0.9))}" for word in CONTEXTS]
    (folder / "cdi_human.csv").write_text("\n".join(["word,16,20,24,28", *rows]) + "\n", encoding="utf-8")
    return root


def write_steps(root: Path, year: str, data: Path, steps, **options) -> None:
    for i, step in enumerate(steps):
        write_record(root, "aoa", year, data, model=make_model(revision=step), seed=i, **options)


def write_over_all(root: Path, year: str, steps, value: float | None = 0.25, glob="chck_*", digest=None, data=None) -> None:
    """A record over the checkpoints whose records lie there, or one that says something else of them."""
    first = ResultStore(root).read(next(root.glob(f"guesser/chck_1M/aoa/*/{year}/result.json")))
    head = Score(
        metric="pearson_r", value=value, unit="correlation", estimator="micro", n=2, n_clusters=2, se=None, se_method="none",
        ci_low=None, ci_high=None, chance=0.0, note=None if value is not None else "one word is too few",
    )  # fmt: skip
    refs = tuple(
        CheckpointRef(revision=step, words_seen=None, digest=digest or first.model.digest, weights=None) for step in steps
    )
    record = TaskResult(
        status="done", task=get_task("aoa").card, model=make_model(revision=glob), checkpoints=refs, protocol=year,
        split="full", backend="causal", headlines=(head,), scores=(head,), data=first.data.model_copy(update={"digest": data or first.data.digest}),
    )  # fmt: skip
    ResultStore(root).write(record, pd.DataFrame({"item_id": ["otter", "kettle"]}))


@pytest.fixture(scope="module")
def swept(tmp_path_factory, aoa_data) -> dict[str, Path]:
    """For each year a folder with the records of 19 checkpoints, and one over all of them."""
    roots = {year: tmp_path_factory.mktemp("swept") for year in YEARS}
    for year, root in roots.items():
        write_steps(root, year, aoa_data, STEPS_SMALL)
        write_over_all(root, year, STEPS_SMALL)
    return roots


def add_sweep(results: Path, swept: Path) -> Path:
    """The checkpoints beside what lies there."""
    shutil.copytree(swept, results, dirs_exist_ok=True)
    return results


@pytest.mark.parametrize("year", YEARS)
def test_submission_holds_every_surprisal_and_the_correlation(year, results, swept, aoa_data, tmp_path):
    root = add_sweep(results[year], swept[year])
    ours = ("aoa", "aoa_surprisals")
    keep(root, year, {key: part for key, part in carried_parts(year).items() if key not in ours})
    done = inside("export", root, "--format", year, "--data-dir", aoa_data, cwd=tmp_path)
    content = exported(done)
    assert done.err == ""
    whole = content["aoa" if year == "babylm-2025" else "aoa_surprisals"]
    validate_surprisals(whole, aoa_data, "strict-small")
    if year == "babylm-2026":
        assert content["aoa"] == {"aoa": 0.25}
    for i, step in enumerate(STEPS_SMALL):
        table = pd.read_parquet(next(root.glob(f"guesser/{step}/aoa/full-causal/{year}/items.parquet")))
        assert [row["surprisal"] for row in whole["results"][5 * i : 5 * i + 5]] == table["value"].tolist()
    assert len({row["surprisal"] for row in whole["results"]}) == 5 * 19


def test_a_surprisal_file_alone_is_one_that_an_import_keeps(swept, aoa_data, tmp_path):
    made = surprisal_file(swept["babylm-2025"], "babylm-2025", data_dir=aoa_data)
    validate_surprisals(made, aoa_data, "strict-small")
    assert made["metadata"] == {"model_name": "guesser", "use_bos_only": False, "total_steps": 19, "completed_steps": 19}
    path = write_json(tmp_path / "guesser/main/zero_shot/causal/AoA_word/surprisal.json", made)
    done = inside("import", path, "--protocol", "babylm-2025", "--out", "out", cwd=tmp_path)
    assert done.code == 0, done.err
    assert "will not take it" not in done.out + done.err
    kept = json.loads((tmp_path / "out/guesser/main/imported/babylm-2025-causal.json").read_text())
    assert kept["parts"]["aoa"] == made


def test_longer_sweeps_are_those_of_the_other_tracks(aoa_data, tmp_path):
    write_steps(tmp_path, "robust", aoa_data, STEPS_STRICT)
    validate_surprisals(surprisal_file(tmp_path, "robust", data_dir=aoa_data), aoa_data, "strict")
    small = surprisal_file(tmp_path, "robust", track="strict-small", data_dir=aoa_data)
    validate_surprisals(small, aoa_data, "strict-small")
    with pytest.raises(UsageError, match="no track"):
        surprisal_file(tmp_path, "robust", track="loose", data_dir=aoa_data)


def test_a_checkpoint_that_lacks_leaves_the_part_out(results, swept, aoa_data, tmp_path):
    said = "1 of the 19 checkpoints of strict-small lack scores: chck_4M"
    for year, key in (("babylm-2025", "aoa"), ("babylm-2026", "aoa_surprisals")):
        root = add_sweep(results[year], swept[year])
        shutil.rmtree(root / "guesser/chck_4M")
        done = inside("export", root, "--format", year, "--data-dir", aoa_data, cwd=tmp_path)
        assert f"{key}: {said}" in done.err
        assert done.code == (3 if year == "babylm-2025" else 0)
        if year == "babylm-2026":
            assert exported(done)[key] is None
            keep(root, year, {"aoa_surprisals": carried_parts(year)["aoa_surprisals"]})
            again = inside("export", root, "--format", year, "--data-dir", aoa_data, cwd=tmp_path)
            assert exported(again)[key] == carried_parts(year)["aoa_surprisals"]


@pytest.mark.parametrize(
    ("steps", "value", "words"),
    [
        (STEPS_SMALL[:-1], 0.25, "formed over 18 checkpoints that are not the 19 of strict-small"),
        ([*STEPS_SMALL[:-1], "chck_95M"], 0.25, "formed over 19 checkpoints that are not the 19 of strict-small"),
        (STEPS_SMALL, None, "undefined: one word is too few"),
        ([], 0.25, "not evaluated over the checkpoints together"),
    ],
)
def test_the_correlation_is_that_of_the_tracks_checkpoints(steps, value, words, results, swept, aoa_data, tmp_path):
    root = add_sweep(results["babylm-2026"], swept["babylm-2026"])
    shutil.rmtree(root / "guesser" / "chck_%2A")
    if steps:
        write_over_all(root, "babylm-2026", steps, value)
    done = inside("export", root, "--format", "babylm-2026", "--data-dir", aoa_data, cwd=tmp_path)
    assert exported(done)["aoa"] is None
    (line,) = (line for line in done.err.splitlines() if line.startswith("Left null: aoa: "))
    assert words in line
    assert "--revisions 'chck_*' --tasks zero-shot --split fast --protocol babylm-2026" in done.err


@pytest.mark.parametrize("change", [{"digest": "of another run"}, {"data": "others"}])
def test_the_correlation_is_of_the_records_beside_it(change, results, swept, aoa_data, tmp_path):
    """A folder may hold a sweep of before: of the same steps, over other checkpoints or from other data."""
    root = add_sweep(results["babylm-2026"], swept["babylm-2026"])
    write_over_all(root, "babylm-2026", STEPS_SMALL, 0.9, glob="*", **change)
    done = inside("export", root, "--format", "babylm-2026", "--data-dir", aoa_data, cwd=tmp_path)
    assert exported(done)["aoa"] == {"aoa": 0.25}
    shutil.rmtree(root / "guesser" / "chck_%2A")
    done = inside("export", root, "--format", "babylm-2026", "--data-dir", aoa_data, cwd=tmp_path)
    assert exported(done)["aoa"] is None
    assert "Left null: aoa: it was formed over other checkpoints, or from other data" in done.err


def test_sizes_data_and_tables_are_checked(swept, aoa_data, data, tmp_path):
    root = Path(shutil.copytree(swept["babylm-2025"], tmp_path / "results"))
    with pytest.raises(DataMissing, match="aoa"):
        surprisal_file(root, "babylm-2025", data_dir=data)
    other = Path(shutil.copytree(aoa_data, tmp_path / "other"))
    path = other / "full_eval/aoa/cdi_childes.json"
    path.write_text(path.read_text().replace("river", "brook"))
    with pytest.raises(DataError, match="not what its record was made from"):
        surprisal_file(root, "babylm-2025", data_dir=other)
    path.write_text(json.dumps({"otter": CONTEXTS["otter"]}))
    write_steps(tmp_path / "fewer", "babylm-2025", other, STEPS_SMALL)
    with pytest.raises(MissingError, match="checkpoint 'chck_1M' holds 2 rows, and 5 are expected"):
        surprisal_file(tmp_path / "fewer", "babylm-2025", data_dir=other)
    next(root.glob("guesser/chck_6M/aoa/**/items.parquet")).unlink()
    with pytest.raises(MissingError, match="absent or damaged"):
        surprisal_file(root, "babylm-2025", data_dir=aoa_data)


def test_surprisals_of_two_models_are_not_mixed(swept, aoa_data, tmp_path):
    root = Path(shutil.copytree(swept["babylm-2025"], tmp_path / "results"))
    write_record(root, "aoa", "babylm-2025", aoa_data, model=make_model("rival", "chck_1M"))
    with pytest.raises(UsageError, match="one model"):
        surprisal_file(root, "babylm-2025", data_dir=aoa_data)
    assert surprisal_file(root, "babylm-2025", model="guesser", data_dir=aoa_data)["results"]
    with pytest.raises(MissingError, match="18 of the 19 checkpoints of strict-small lack scores: chck_2M, "):
        surprisal_file(root, "babylm-2025", model="rival", data_dir=aoa_data)


def test_a_sweep_alone_is_no_submission_of_its_glob(swept, aoa_data, tmp_path):
    done = inside("export", swept["babylm-2026"], "--format", "babylm-2026", "--data-dir", aoa_data, cwd=tmp_path)
    assert_refused(done, 3, "'guesser' has no finished record of babylm-2026")
