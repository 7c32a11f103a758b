"""Data from the Hub, against a stand-in on this machine: what is fetched, checked and kept, and every way to fail."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest

from cli.hub import COMMIT, ends_of, serving
from cli.support import Done, files_in, write_lines

OTHER_COMMIT = "f" * 40
LINES = {name: [{"good": f"The {name} is good.", "bad": f"The {name} are good."}] * 40 for name in "abc"}
PIQA = [
    {"prompt": "To dry a shirt,", "solution0": "dip it", "solution1": "hang it out", "label": 1, "example_id": f"e{i}"}
    for i in range(3)
]

CARD = """
name = "{name}"
title = "T"
version = 1
family = "ranking"
groups = ["{group}"]
summary = "s"
license = "ours"
citation = "c"
chance = 50.0

[data]
full = {{ path = "full_eval/{name}" }}
mini = {{ path = "mini.jsonl", bundled = true }}

[[sources]]
{source}
"""
COPIED = 'repo = "org/{repo}"\nrevision = "{commit}"\nsplits = ["full"]\nfiles = ["{files}"]\nto = "full_eval/{name}"\n'
# Task: repository, commit, files, whether checksums stand beside the card, further lines.
TASKS = {
    "made": ("made", COMMIT, "evaluation_data/full_eval/set/*.jsonl", False, ""),
    "known": ("known", COMMIT, "evaluation_data/full_eval/set/*.jsonl", True, ""),
    "changed": ("changed", COMMIT, "evaluation_data/full_eval/set/*.jsonl", True, ""),
    "cut": ("cut", COMMIT, "evaluation_data/full_eval/set/*.jsonl", False, ""),
    "halting": ("halting", COMMIT, "evaluation_data/full_eval/set/*.jsonl", True, ""),
    "gated": ("gated", COMMIT, "evaluation_data/full_eval/set/a.jsonl", False, 'gated = true\nnote = "Write to Ann."\n'),
    "closed": ("closed", COMMIT, "evaluation_data/full_eval/set/*.jsonl", False, ""),
    "absent": ("absent", COMMIT, "evaluation_data/full_eval/set/*.jsonl", False, ""),
    "no_commit": ("made", OTHER_COMMIT, "evaluation_data/full_eval/set/a.jsonl", False, ""),
    "no_file": ("made", COMMIT, "evaluation_data/full_eval/set/z.jsonl", False, ""),
    "no_match": ("made", COMMIT, "evaluation_data/full_eval/other/*.jsonl", False, ""),
    "unseen": ("unseen", COMMIT, "evaluation_data/full_eval/set/*.jsonl", False, ""),
    "piqa": ("made", COMMIT, "**/*eng_latn*", False, 'build = "global_piqa"\nrows = 3\n'),
    "piqa_short": ("made", COMMIT, "**/*eng_latn*", False, 'build = "global_piqa"\nrows = 4\n'),
    "worlds": ("made", COMMIT, "data/items.parquet", False, 'build = "ewok"\n'),
}
FETCH = ("data", "fetch")
STEPS = {
    "offline, nothing cached": (*FETCH, "made", "--offline"),
    "made": (*FETCH, "made", "--json"),
    "/given after made": (),
    "made again": (*FETCH, "made", "--json"),
    "offline, cached": (*FETCH, "made", "--offline", "--data-dir", "elsewhere", "--json"),
    "/given after again": (),
    "verify made": ("data", "verify", "made", "--json"),
    "list": ("data", "list", "made", "cut", "--json"),
    "known": (*FETCH, "known", "--json"),
    "/spoil known": ("cache/data/full_eval/known/b.jsonl",),
    "verify spoilt": ("data", "verify", "known", "--json"),
    "known mended": (*FETCH, "known", "--json"),
    "/spoil cached": ("home/hub/datasets--org--known/blobs",),
    "known, damaged cache": (*FETCH, "known", "--data-dir", "third", "--json"),
    "changed": (*FETCH, "changed"),
    "cut": (*FETCH, "cut", "made"),
    "halting": (*FETCH, "halting", "--json"),
    "/given after halting": (),
    "/mend": (),
    "changed, mended": (*FETCH, "changed", "--json"),
    "cut, mended": (*FETCH, "cut", "--json"),
    "/given after all": (),
    **{name: (*FETCH, name) for name in ("gated", "closed", "absent", "no_commit", "no_file", "no_match")},
    "group": (*FETCH, "made-up", "--json"),
    "piqa": (*FETCH, "piqa", "--json"),
    "verify piqa": ("data", "verify", "piqa", "--json"),
    "piqa_short": (*FETCH, "piqa_short"),
    "worlds, no words": (*FETCH, "worlds"),
    "worlds": (*FETCH, "worlds", "--vocabulary", "words.txt"),
    "/stop": (),
    "no network": (*FETCH, "unseen"),
    "no network, group": (*FETCH, "unseen", "closed", "made", "--json"),
    "no network, there": (*FETCH, "made", "--json"),
}  # fmt: skip


def publish(folder: Path) -> dict[str, bytes]:
    """What every repository holds; returns its set of three files."""
    for name, lines in LINES.items():
        write_lines(folder / f"evaluation_data/full_eval/set/{name}.jsonl", lines)
    (folder / "evaluation_data/full_eval/set/notes.txt").write_text("not wanted")
    (folder / "README.md").write_text("not wanted")
    (folder / "data").mkdir()
    pd.DataFrame(PIQA).to_csv(folder / "data/parallel_eng_latn.tsv", sep="\t", index=False)
    texts = {"Context1": "The cup is full.", "Context2": "The cup is empty.", "Target1": "Tea spills.", "Target2": "It is dry."}
    pd.DataFrame([{"Domain": "social-relations", **texts}]).to_parquet(folder / "data/items.parquet")
    return {path.name: path.read_bytes() for path in (folder / "evaluation_data/full_eval/set").glob("*.jsonl")}


def write_tasks(place: Path, published: dict[str, bytes]) -> None:
    for name, (repo, commit, files, known, more) in TASKS.items():
        home = place / "tasks" / name
        home.mkdir(parents=True)
        source = COPIED.format(repo=repo, commit=commit, files=files, name=name) + more
        (home / "card.toml").write_text(CARD.format(name=name, source=source, group="later" if name == "unseen" else "made-up"))
        if known:
            sums = [f"{hashlib.sha256(c).hexdigest()}\t{len(c)}\tfull_eval/{name}/{file}" for file, c in published.items()]
            (home / "checksums.tsv").write_text("\n".join(["sha256\tsize\tpath", *sums]) + "\n")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """How each step ended, the folder it ran in, and what the files should be."""
    place = tmp_path_factory.mktemp("data")
    (place / "repository").mkdir()
    published = publish(place / "repository")
    write_tasks(place, published)
    (place / "words.txt").write_text("\n".join(["the", "cup", "is", "full", "empty", "tea", "spills", "it", "dry", "."]))
    with serving(place / "repository") as hub:
        ends = ends_of(STEPS, hub, place)
    return ends, place, published


def one(done: Done) -> dict:
    assert done.code == 0, (done.out, done.err)
    (outcome,) = done.json
    return outcome


def assert_not_fetched(end: Done, code: int, *words: str) -> None:
    assert end.code == code, (end.code, end.out, end.err)
    for word in (*words, "What next:"):
        assert word in end.out, (word, end.out)


def in_place(place: Path, task: str, root: str = "cache/data") -> dict[str, bytes]:
    folder = place / root / "full_eval" / task
    return {path.name: path.read_bytes() for path in folder.iterdir()} if folder.is_dir() else {}


def test_files_are_put_into_the_official_layout_with_a_lock(seen):
    ends, place, published = seen
    outcome = one(ends["made"])
    assert (outcome["state"], outcome["files"]) == ("fetched", [f"full_eval/made/{name}.jsonl" for name in "abc"])
    assert in_place(place, "made") == published
    lock = json.loads((place / "cache/data/fetched.json").read_text())
    for name, content in published.items():
        assert lock["files"][f"full_eval/made/{name}"] == {
            "sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "repo": "org/made", "revision": COMMIT,
            "source": f"evaluation_data/full_eval/set/{name}", "built": False,
        }  # fmt: skip


def test_files_that_are_right_are_not_asked_for_again(seen):
    ends, place, published = seen
    assert one(ends["made again"])["state"] == "there"
    assert one(ends["offline, cached"])["state"] == "fetched"
    assert in_place(place, "made", "elsewhere") == published
    assert ends["/given after again"].json == ends["/given after made"].json
    assert one(ends["no network, there"])["state"] == "there"


def test_only_the_files_that_the_card_names_are_given(seen):
    given = seen[0]["/given after made"].json
    assert sorted(given) == ["org/made, list", *(f"org/made/evaluation_data/full_eval/set/{name}.jsonl" for name in "abc")]


def test_fetched_files_are_verified_by_the_lock_and_listed(seen):
    ends = seen[0]
    assert ends["verify made"].code == 0
    assert [verdict["state"] for verdict in ends["verify made"].json] == ["right"] * 3
    entries = {(entry["task"], entry["split"]): entry for entry in ends["list"].json}
    made, cut = entries["made", "full"], entries["cut", "full"]
    assert (made["files"], made["license"], made["label"], made["gated"]) == (3, "ours", f"org/made@{COMMIT[:12]}", False)
    assert made["found"].endswith("cache/data/full_eval/made")
    assert (cut["files"], cut["found"]) == (0, None)
    assert entries["made", "mini"]["label"] == "bundled"


def test_a_file_that_changed_on_the_disk_is_noticed_and_replaced(seen):
    ends, place, published = seen
    assert one(ends["known"])["state"] == "fetched"
    assert ends["verify spoilt"].code == 1
    assert [verdict["state"] for verdict in ends["verify spoilt"].json] == ["right", "differs", "right"]
    assert one(ends["known mended"])["state"] == "fetched"
    assert in_place(place, "known") == published


def test_a_damaged_copy_in_the_hubs_cache_is_fetched_again(seen):
    ends, place, published = seen
    assert one(ends["known, damaged cache"])["state"] == "fetched"
    assert in_place(place, "known", "third") == published


def test_a_wrong_checksum_keeps_nothing_and_says_what_came(seen):
    ends, place, published = seen
    expected, got = published["a.jsonl"], published["a.jsonl"][::-1]
    words = (hashlib.sha256(expected).hexdigest(), hashlib.sha256(got).hexdigest(), "org/changed")
    assert_not_fetched(ends["changed"], 3, "not the one that was published", *words)
    assert one(ends["changed, mended"])["state"] == "fetched"
    assert in_place(place, "changed") == published


def test_a_cut_connection_is_an_error_that_stops_no_other_task_and_is_resumed(seen):
    ends, place, published = seen
    assert_not_fetched(ends["cut"], 3, "The Hub did not give the data", "what came whole is kept")
    assert "there" in next(line for line in ends["cut"].out.splitlines() if " made " in line)
    assert one(ends["cut, mended"])["state"] == "fetched"
    assert in_place(place, "cut") == published
    given = ends["/given after all"].json
    assert given.count("org/cut/evaluation_data/full_eval/set/a.jsonl") == 1, "what came whole was fetched again"


def test_a_download_that_halts_in_the_middle_is_taken_up_again(seen):
    ends, place, published = seen
    assert one(ends["halting"])["state"] == "fetched"
    assert in_place(place, "halting") == published
    assert ends["/given after halting"].json.count("org/halting/evaluation_data/full_eval/set/a.jsonl") == 2


def test_offline_says_that_it_was_asked_to_be(seen):
    assert_not_fetched(seen[0]["offline, nothing cached"], 3, "Leave out --offline")


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("gated", ("accepted their terms", "org/gated", "hf auth login", "HF_TOKEN", "Write to Ann.")),
        ("closed", ("accepted their terms", "hf auth login")),
        ("absent", ("no such data set",)),
        ("no_commit", ("no longer has the commit", OTHER_COMMIT[:12])),
        ("no_file", ("no such file", "z.jsonl")),
        ("worlds, no words", ("--vocabulary FILE", "vocab.txt")),
        ("no network", ("did not give the data", "HF_ENDPOINT")),
    ],
)
def test_what_is_missing_is_said_in_plain_words(seen, step, words):
    assert_not_fetched(seen[0][step], 3, *words)


def test_without_a_network_only_the_first_task_waits_for_it(seen):
    end = seen[0]["no network, group"]
    unseen, closed, made = end.json
    assert (end.code, unseen["state"], closed["state"], made["state"]) == (3, "failed", "failed", "there")
    assert "ConnectError" in unseen["error"]
    assert end.err.count("The Hub does not answer as it should: trying again") == 1
    assert "without a connection" in closed["error"]


def test_a_card_that_does_not_fit_its_source_is_a_fault_of_the_card(seen):
    assert_not_fetched(seen[0]["no_match"], 1, "no file that fits", "tell the authors")


def test_failures_leave_nothing_behind(seen):
    _, place, _ = seen
    root = place / "cache" / "data"
    for task in ("gated", "closed", "absent", "no_commit", "no_file", "no_match", "unseen", "piqa_short", "worlds"):
        assert in_place(place, task) == {}
    assert [name for name in files_in(root) if "draft" in name] == []
    assert {name.split("/")[1] for name in files_in(root) if "/" in name} == {
        "made",
        "known",
        "changed",
        "cut",
        "halting",
        "piqa",
    }


def test_a_group_goes_on_where_one_fails(seen):
    end = seen[0]["group"]
    assert end.code == 1
    states = {outcome["task"]: outcome["state"] for outcome in end.json}
    assert set(states) == set(TASKS) - {"unseen"}
    assert states["made"] == states["known"] == states["cut"] == "there"
    assert states["piqa"] == "fetched"
    assert states["gated"] == states["no_match"] == "failed"


def test_a_table_becomes_the_official_file(seen):
    ends, place, _ = seen
    assert one(ends["piqa"])["state"] == "there", "the group fetched it before"
    lines = in_place(place, "piqa")["eng_latn.jsonl"].decode().splitlines()
    assert [json.loads(line) for line in lines] == PIQA
    assert [verdict["state"] for verdict in ends["verify piqa"].json] == ["right"]
    assert ends["piqa_short"].code == 1
    assert "3 rows instead of 4" in ends["piqa_short"].out


def test_a_build_that_differs_from_the_official_one_is_refused(seen):
    pytest.importorskip("nltk")
    end = seen[0]["worlds"]
    assert end.code == 1
    assert "social-relations 2 instead of 1,548" in end.out
    assert "nothing was written" in end.out
