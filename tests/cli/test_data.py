"""Where data is looked for, what the verbs of data say of it, and what they refuse."""

from __future__ import annotations

import pytest

from cli.support import assert_refused, data_folder, files_in, inside, write_lines


def test_a_run_without_data_names_the_command_that_gets_it(tiny, tmp_path):
    done = inside("run", "--model", tiny, "--tasks", "blimp", "--json", cwd=tmp_path)
    assert done.code == 3
    assert "babyeval data fetch blimp" in done.json["results"][0]["error"]


def test_usage_errors(tmp_path):
    assert_refused(inside("data", "fetch", "blimp", "--split", "mini", cwd=tmp_path), 2, "bundled")
    assert_refused(inside("data", "fetch", "blimp", "--split", "most", cwd=tmp_path), 2, "'most'")
    assert_refused(inside("data", "fetch", "blmp", cwd=tmp_path), 2, "Unknown task 'blmp'")


@pytest.mark.parametrize("how", ["file", "variable", "folder variable", "its parent"])
def test_the_data_folder_of_the_settings_is_looked_at(how, tmp_path):
    data_folder(tmp_path / "download/evaluation_data", 4)
    env = {"variable": {"BABYEVAL_DATA_DIR": "download"}, "folder variable": {"BABYEVAL_DATA": "download/evaluation_data"},
           "its parent": {"BABYEVAL_DATA": "download"}}.get(how, {})  # fmt: skip
    if how == "file":
        (tmp_path / "babyeval.toml").write_text('data_dir = "download"\n')
    (listed,) = (e for e in inside("data", "list", "blimp", "--json", cwd=tmp_path, env=env).json if e["split"] == "full")
    assert (listed["found"], listed["files"]) == ("download/evaluation_data/full_eval/blimp_filtered", 2)
    verified = inside("data", "verify", "blimp", "--json", cwd=tmp_path, env=env)
    assert (verified.code, {verdict["state"] for verdict in verified.json if verdict["split"] == "full"}) == (
        1,
        {"unknown", "missing"},
    )
    checked = inside("tasks", "validate", "blimp", "--json", cwd=tmp_path, env=env)
    assert {finding["check"]: finding["state"] for finding in checked.json}["full: data"] == "right"
    assert inside("doctor", "--json", cwd=tmp_path, env=env).json["findings"]["data"].startswith("download")


def test_only_an_option_says_where_fetched_data_goes(tmp_path):
    """What a setting names is a folder to read; files got by hand are found there."""
    (tmp_path / "babyeval.toml").write_text('data_dir = "official"\n')
    write_lines(tmp_path / "official/full_eval/wug_adj_nominalization/wug.jsonl", [{}])
    got = inside("data", "fetch", "wug_adj", cwd=tmp_path)
    assert got.code == 0, got.out
    assert "there" in got.out
    offline = inside("data", "fetch", "blimp", "--offline", cwd=tmp_path, env={"HF_HOME": str(tmp_path / "home")})
    assert str(tmp_path / "cache") in "".join(offline.out.split())
    assert files_in(tmp_path / "official") == ["full_eval/wug_adj_nominalization/wug.jsonl"]


@pytest.mark.parametrize("command", [("data", "list"), ("data", "verify"), ("tasks", "validate", "blimp")])
def test_a_data_folder_that_does_not_exist_is_refused(command, tmp_path):
    end = inside(*command, "--data-dir", "evaluation_dta", cwd=tmp_path)
    assert_refused(end, 3, "The data folder 'evaluation_dta' does not exist.", "spelling of --data-dir")


def test_full_ewok_says_all_steps_in_order(tiny, tmp_path):
    done = inside("run", "--model", tiny, "--tasks", "ewok", "--json", cwd=tmp_path)
    error = done.json["results"][0]["error"]
    steps = (
        "accept the terms",
        "hf auth login",
        'pip install "babyeval[ewok]"',
        "babyeval data fetch ewok --split full --vocabulary",
    )
    places = [error.index(step) for step in steps]
    assert places == sorted(places)
    assert "strict/evaluation_pipeline/ewok/vocab.txt of github.com/babylm-org/babylm-eval" in error
    assert "full_eval/ewok_filtered.zip" in error
    assert "--data-password ewok=" in error


def test_tables_name_source_and_place(tmp_path):
    data_folder(tmp_path / "data", 4)
    listed = inside("data", "list", "blimp", "--data-dir", tmp_path / "data", cwd=tmp_path)
    assert listed.code == 0
    assert "bundled" in listed.out
    verified = inside("data", "verify", "blimp", "--data-dir", tmp_path / "data", cwd=tmp_path)
    assert verified.code == 1, "made-up files are not the published ones"
    assert "missing" in verified.out
    assert verified.out.splitlines()[-1].startswith("0 files right, 0 differ, 2 without a known checksum, 67 missing of a set")
    assert verified.out.splitlines()[-1].endswith(", 1 splits missing")
    assert inside("data", "verify", "blimp", "--json", cwd=tmp_path).code == 3
    assert inside("data", "verify", "--json", cwd=tmp_path).code == 0
    shown = inside("tasks", "show", "blimp", cwd=tmp_path)
    assert "BabyLM-2026-Strict-Evals@8d52da9424a9ff30b9e8266c4f751aba9c504233" in shown.out
