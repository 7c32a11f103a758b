"""Models from the Hub, against a stand-in on this machine: records, what is fetched, and every way to fail."""

from __future__ import annotations

import shutil

import pytest

from cli.hub import COMMIT, ends_of, serving
from cli.support import Done, assert_refused

RUN = ("run", "--split", "mini", "--tasks", "blimp", "--limit", "8", "--json")
STEPS = {
    "absent": (*RUN, "--model", "org/absent"),
    "no such revision": (*RUN, "--model", "org/tiny@v9"),
    "gated files": (*RUN, "--model", "org/gated"),
    "gated": (*RUN, "--model", "org/closed"),
    "offline, not cached": (*RUN, "--model", "org/tiny@v1", "--offline"),
    "fetched": (*RUN, "--model", "org/tiny@v1"),
    "offline, cached": (*RUN, "--model", "org/tiny@v1", "--offline"),
    "offline, another one": (*RUN, "--model", "org/other", "--offline"),
    "named": (*RUN, "--model", "mine=org/tiny"),
    "by commit": (*RUN, "--model", f"org/tiny@{COMMIT}"),
    "cut": (*RUN, "--model", "org/cut"),
    "/mend": (),
    "mended": (*RUN, "--model", "org/cut"),
    "/stop": (),
    "no network": (*RUN, "--model", "org/unseen"),
    "no network, cached": (*RUN, "--model", "org/tiny@v1"),
}


@pytest.fixture(scope="module")
def seen(tiny, tmp_path_factory):
    """How each step ended, and which files were given out."""
    place = tmp_path_factory.mktemp("hub")
    folder = shutil.copytree(tiny, place / "repository")
    for name in ("optimizer.pt", "pytorch_model.bin", "modeling_own.py", "README.md"):
        (folder / name).write_text("not wanted")
    with serving(folder) as hub:
        return ends_of(STEPS, hub, place), hub.given


def model_of(done: Done) -> dict:
    assert done.code == 0, done.err
    (result,) = done.json["results"]
    assert (result["status"], result["headline"]["n"]) == ("done", 8)
    return result["model"]


def test_record_names_repository_revision_and_commit(seen):
    ends, _ = seen
    model = model_of(ends["fetched"])
    assert [model[key] for key in ("name", "source", "revision", "commit")] == ["org__tiny", "org/tiny", "v1", COMMIT]
    named = model_of(ends["named"])
    assert [named[key] for key in ("name", "source", "revision", "commit")] == ["mine", "org/tiny", "main", COMMIT]
    by_commit = model_of(ends["by commit"])
    assert [by_commit[key] for key in ("name", "revision", "commit")] == ["org__tiny", COMMIT, COMMIT]
    assert model["digest"] == named["digest"] == by_commit["digest"]


def test_only_what_is_needed_is_fetched_and_only_once(seen):
    _, given = seen
    fetched = sorted(name for name in given if name.startswith("org/tiny/"))
    wanted = ("config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
    assert fetched == [f"org/tiny/{name}" for name in wanted]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ("absent", ("'org/absent' is neither a local folder nor a model on the Hub",)),
        ("no such revision", ("'org/tiny' has no revision 'v9'",)),
        ("gated files", ("'org/gated' is gated", "hf auth login")),
        ("gated", ("'org/closed' is gated", "hf auth login")),
        ("offline, not cached", ("'org/tiny' is no local folder", "cache does not hold it", "--offline")),
        ("offline, another one", ("'org/other' is no local folder", "--offline")),
        ("cut", ("'org/cut'", "the Hub did not give it", "network", "resumed")),
        ("no network", ("'org/unseen'", "the Hub did not give it", "network", "HF_ENDPOINT")),
    ],
)
def test_failure_says_what_where_and_what_next(seen, step, words):
    done = seen[0][step]
    assert_refused(done, 3, *words)
    assert done.out == ""


def test_cached_model_needs_no_network(seen):
    ends, _ = seen
    assert model_of(ends["offline, cached"]) == model_of(ends["fetched"]) == model_of(ends["no network, cached"])


def test_download_that_broke_off_goes_on(seen):
    ends, _ = seen
    assert model_of(ends["mended"])["name"] == "org__cut"
    assert model_of(ends["mended"])["digest"] == model_of(ends["fetched"])["digest"]
