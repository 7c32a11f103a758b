"""What the import refuses: faulty, damaged and foreign files are named, and nothing is written."""

from __future__ import annotations

import pytest
from cli.support import assert_refused, files_in, inside, write_lines

from export.official_files import OFFICIAL_NAME, write_json, write_tree


def drop_first(block):
    del block["predictions"][0]


def repeat_first(block):
    block["predictions"].append(block["predictions"][0])


def add_one(block):
    block["predictions"].append({"id": "hypernym_10", "pred": "x"})


def other_text(block):
    block["predictions"][3]["pred"] = "Something else."


def no_text(block):
    block["predictions"][3]["pred"] = 1


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (drop_first, ["The id 'hypernym_0' is missing", "9 predictions for 10 items", "UID hypernym"]),
        (repeat_first, ["The id 'hypernym_0' is declared twice", "UID hypernym"]),
        (add_one, ["The id 'hypernym_10' is unknown", "10 items", "UID hypernym"]),
        (other_text, ["none of the item's candidates", "Something else.", "hypernym_3"]),
        (no_text, ["none of the item's candidates", "hypernym_3"]),
        (lambda block: block.pop("predictions"), ["'hypernym' are not a list of entries with ids"]),
        (lambda block: block.update(predictions=[{"pred": "x"}]), ["'hypernym' are not a list of entries with ids"]),
    ],
)
def test_faulty_predictions_are_named_and_nothing_is_written(spoil, words, submission, data, tmp_path):
    parts = {key: submission["babylm-2026"][key] for key in ("blimp_supplement", "ewok")}
    spoil(parts["blimp_supplement"]["hypernym"])
    write_tree(tmp_path / "results", parts)
    done = inside("import", "results", "--protocol", "babylm-2026", "--data-dir", data, "--out", "imported", cwd=tmp_path)
    assert_refused(done, 1, *words, "supplement_filtered")
    assert not (tmp_path / "imported").exists()


def test_unknown_uid_is_named(submission, data, tmp_path):
    part = submission["babylm-2026"]["ewok"]
    part["astrology"] = part.pop("social-relations")
    write_tree(tmp_path / "results", {"ewok": part})
    done = inside("import", "results", "--protocol", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    assert_refused(done, 1, "The data has no UID 'astrology'", "--protocol")


def test_the_other_years_predictions_are_told(submission, data, tmp_path):
    write_tree(tmp_path / "results", {"ewok": submission["babylm-2025"]["ewok"]})
    done = inside("import", "results", "--protocol", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    assert_refused(done, 1, "none of the item's candidates", "--protocol")
    path = write_json(tmp_path / "guesser" / OFFICIAL_NAME, submission["babylm-2025"])
    done = inside("import", path, "--protocol", "babylm-2026", cwd=tmp_path)
    assert_refused(done, 2, "a key that babylm-2026 does not know: 'entity_tracking'", "--protocol babylm-2025")


def test_rating_without_a_probability_is_refused(submission, data, tmp_path):
    part = submission["babylm-2025"]["wug_adj"]
    del part["wug_adj_nominalization"]["predictions"][2]["prob"]
    write_tree(tmp_path / "results", {"wug_adj": part})
    done = inside("import", "results", "--protocol", "babylm-2025", "--data-dir", data, cwd=tmp_path)
    assert_refused(done, 1, "no number 'prob'", "wug_adj_nominalization_2")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"hypernym": {"predictions": [', "not valid JSON"),
        ("[]", "holds no predictions"),
        ("{}", "holds no predictions"),
        ("[1, 2]", "holds no predictions"),
        ("[" * 100_000, "not valid JSON"),
        ('{"hypernym": ' + "1" * 5_000 + "}", "not valid JSON"),
        ('{"hypernym": {"predictions": []}, "hypernym": {"predictions": []}}', "The key 'hypernym' is declared twice"),
    ],
)
def test_damaged_file_is_named(text, words, data, tmp_path):
    place = tmp_path / "results/m/main/zero_shot/causal/blimp/supplement_filtered/predictions.json"
    write_json(place, None)
    place.write_text(text)
    done = inside("import", "results", "--protocol", "babylm-2026", "--data-dir", data, cwd=tmp_path)
    assert_refused(done, 1, words, "results/m/main/zero_shot/causal/blimp/supplement_filtered/predictions.json")


def test_faulty_fine_tuning_is_refused_before_anything_is_written(submission, data, tmp_path):
    write_tree(tmp_path / "results", {"wug_past": submission["babylm-2025"]["wug_past"]}, model="m")
    for task in ("boolq", "rte"):
        write_json(tmp_path / f"results/m/main/finetune/{task}/predictions.json", [1, 2])
    done = inside("import", "results", "--protocol", "babylm-2025", "--data-dir", data, "--out", "out", cwd=tmp_path)
    assert_refused(done, 1, "hold no object", "finetune/boolq")
    assert not (tmp_path / "out").exists()


def test_damaged_kept_parts_are_found_before_anything_is_written(submission, data, tmp_path):
    write_tree(tmp_path / "results", {"ewok": submission["babylm-2026"]["ewok"]})
    kept = write_json(tmp_path / "out/guesser/main/imported/babylm-2026-causal.json", {"parts": []})
    command = ("import", "results", "--protocol", "babylm-2026", "--data-dir", data, "--out", "out")
    assert_refused(inside(*command, cwd=tmp_path), 2, "imported parts cannot be read", str(kept.relative_to(tmp_path)))
    assert files_in(tmp_path / "out") == ["guesser/main/imported/babylm-2026-causal.json"]
    kept.unlink()
    assert inside(*command, cwd=tmp_path).code == 0
    assert any(name.endswith("result.json") for name in files_in(tmp_path / "out"))


def test_nothing_official_is_an_error(tmp_path):
    assert_refused(inside("import", "nowhere", "--protocol", "babylm-2026", cwd=tmp_path), 3, "no 'nowhere'")
    assert_refused(
        inside("import", "x" * 300, "--protocol", "babylm-2026", cwd=tmp_path), 3, "cannot be read: File name too long"
    )
    write_lines(tmp_path / "folder/other.jsonl", [{}])
    assert_refused(
        inside("import", "folder", "--protocol", "babylm-2026", cwd=tmp_path), 3, "no official results here", "zero_shot"
    )
    done = inside("import", "folder/other.jsonl", "--protocol", "babylm-2026", cwd=tmp_path)
    assert_refused(done, 2, "no official result file")


def test_year_has_to_be_named(tmp_path):
    for given, words in ((), "not named"), (("--protocol", "robust"), "'robust' has no official files"):
        assert_refused(inside("import", "x", *given, cwd=tmp_path), 2, words, "babylm-2025, babylm-2026")
