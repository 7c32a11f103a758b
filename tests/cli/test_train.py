"""babyeval train: recipes, plans without a corpus, and what is refused before anything is computed."""

from __future__ import annotations

import json

import pytest

from cli.support import assert_refused, files_in, inside, process
from cli.test_start import _RUN, modules

# Sentences of our own: each domain has documents enough for both parts.
ANIMALS = ("cat", "dog", "frog", "bird", "fish", "horse", "mouse", "goat", "hen", "bear", "wolf")
PLACES = ("river", "hill", "old house", "garden", "road", "bridge", "lake")
TINY_ENOUGH = (
    "--set", "data.section_words=60", "--set", "tokenizer.vocab_size=320", "--set", "model.hidden_size=16", "--set", "model.layers=1",
    "--set", "model.heads=2", "--set", "pretrain.sequence_length=32", "--set", "pretrain.batch_size=4", "--set", "pretrain.warmup_steps=0",
    "--set", "logging.report_to=[]", "--set", "checkpoints.words=[200, 400]",
)  # fmt: skip


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "text of mine"
    folder.mkdir()
    for number, domain in enumerate(("stories", "talks")):
        lines = [
            f"The {animal} by the {place} saw {count + number} other animals and went away."
            for count, animal in enumerate(ANIMALS, 2)
            for place in PLACES
        ]
        (folder / f"{domain}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize("args", [("train", "--help"), ("train", "pretrain", "--help")], ids=" ".join)
def test_help_imports_nothing_heavy(tmp_path, args):
    text, loaded = modules(_RUN, *args, cwd=tmp_path)
    assert "Usage: " in text
    assert not loaded & {"torch", "transformers", "pandas", "numpy"}


def test_recipes_are_listed_with_their_parameters(tmp_path):
    found = {one["name"]: one for one in inside("train", "recipes", "--json", cwd=tmp_path).json}
    assert {"tiny", "class-it-140m", "class-it-100m", "babylm-strict-small"} <= found.keys()
    assert (found["class-it-140m"]["parameters"], found["class-it-100m"]["parameters"]) == (140_231_872, 100_684_288)
    for one in found.values():
        with open(one["path"], encoding="utf-8") as file:  # noqa: PTH123
            assert next(file) == f"# {one['about']}\n"
    shown = inside("train", "recipes", cwd=tmp_path).out
    assert "140,231,872" in shown
    assert all(name in shown for name in found)


def test_a_recipe_that_is_shown_is_one_to_start_from(tmp_path):
    done = inside("train", "recipes", "--show", "tiny", cwd=tmp_path)
    (tmp_path / "mine.toml").write_text(done.out, encoding="utf-8")
    mine, shipped = (inside("train", "pretrain", name, "--dry-run", "--json", cwd=tmp_path) for name in ("mine.toml", "tiny"))
    assert (mine.code, mine.out) == (shipped.code, shipped.out)
    assert_refused(inside("train", "recipes", "--show", "tinny", cwd=tmp_path), 3, "no recipe 'tinny'", "'tiny'")


def test_dry_run_as_a_process_needs_no_corpus_and_writes_nothing(tmp_path):
    done = process("train", "pretrain", "class-it-140m", "--dry-run", "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    assert (done.json["schema_version"], done.json["parameters"], done.json["vocab_size"]) == (1, 140_231_872, 32_000)
    assert done.json["tokens"] is None
    assert "--corpus" in done.json["unknown"]["tokens"]
    assert {one["zero"] for one in done.json["memory"]} == {None, 0, 1, 2, 3}
    assert all(one["total"] > one["weights"] for one in done.json["memory"])
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("stage", ["corpus", "tokenizer", "pretrain"])
def test_dry_run_shows_counts_memory_and_remarks(tmp_path, stage):
    done = inside("train", stage, "tiny", "--dry-run", "--set", "pretrain.max_steps=20", cwd=tmp_path)
    assert done.code == 0, done.err
    shown = " ".join(done.out.split())
    for words in (
        "parameters 2,623,104",
        "words seen unknown",
        "Unknown: no corpus is named",
        "this recipe",
        "Memory per device in GiB",
    ):
        assert words in shown
    assert "The warm-up (50 updates)" in shown


def test_corpus_is_short_for_a_setting_whatever_the_path(tmp_path):
    folder = tmp_path / 'a "quoted" \\ folder ü 🙂'
    folder.mkdir()
    for option in (("--corpus", folder), ("--set", f"data.corpus={folder}")):
        done = inside("train", "pretrain", "tiny", "--dry-run", "--json", *option, cwd=tmp_path)
        assert done.code != 0 or "no corpus is named" not in done.out
        assert str(folder) in done.out + done.err


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("tiney",), 3, ("no recipe 'tiney'", "Did you mean 'tiny'")),
        (("tiny", "--set", "sead=3"), 2, ("unknown key 'sead'", "'seed'")),
        (("tiny", "--set", "pretrain.epoch=3"), 2, ("unknown key 'pretrain.epoch'", "'epochs'", "with --set pretrain.epoch=3")),
        (("tiny", "--set", "pretrain.epochs"), 2, ("section.key=value",)),
        (("tiny", "--set", "pretrain.sequence_length=1000"), 2, ("sequence_length 1000", "max_length 256")),
        (("tiny", "--set", "pretrain.schedule=cosin"), 2, ("Unknown schedule 'cosin'", "'cosine'")),
        (("tiny", "--set", "model.extra.rms_norm_epz=1"), 2, ("knows no 'rms_norm_epz'", "'rms_norm_eps'")),
        (("tiny", "--set", "pretrain.micro_batch_size=5"), 2, ("32 sequences", "passes of 5")),
    ],
)
@pytest.mark.parametrize("more", [(), ("--dry-run",)], ids=["run", "dry"])
def test_a_wrong_recipe_is_refused_before_anything_is_made(tmp_path, args, code, words, more):
    done = inside("train", "pretrain", *args, *more, cwd=tmp_path)
    assert_refused(done, code, *words)
    assert files_in(tmp_path) == []


def test_a_refusal_as_a_process_sees_it(tmp_path):
    (tmp_path / "mine.toml").write_text("[model]\nhiden_size = 3\n", encoding="utf-8")
    done = process("train", "pretrain", "mine.toml", cwd=tmp_path)
    assert_refused(done, 2, "Error: The recipe is wrong", "'model.hiden_size'", "'hidden_size'", "Where: mine.toml")
    assert done.out == ""


@pytest.mark.parametrize("args", [("pretrain", "tiny"), ("instruct", "tiny-merged"), ("instruct", "tiny-merged", "--dry-run")])
def test_a_corpus_that_is_not_there(tmp_path, args):
    stage, *rest = args
    done = inside("train", stage, *rest, "--corpus", tmp_path / "nowhere", cwd=tmp_path)
    assert_refused(done, 3, "no corpus folder", "nowhere", "--corpus")


@pytest.mark.parametrize("stage", ["corpus", "tokenizer", "pretrain"])
def test_without_a_corpus_the_option_is_named(tmp_path, stage):
    assert_refused(inside("train", stage, "tiny", cwd=tmp_path), 2, "no corpus", "--corpus")


def test_stages_one_after_the_other_and_what_a_dry_run_then_knows(tmp_path, corpus):
    """Each stage makes what is missing before it; the plan then says what the training did."""
    args = ("tiny", "--corpus", corpus, *TINY_ENOUGH)
    made = process("train", "corpus", *args, "--json", cwd=tmp_path)
    assert made.code == 0, made.err
    plan = inside("train", "pretrain", *args, "--dry-run", "--json", cwd=tmp_path).json
    words = sum(len(path.read_text(encoding="utf-8").split()) for path in corpus.iterdir())
    assert plan["train_words"] + plan["valid_words"] == words
    assert plan["tokens"] is None
    assert "has not been" in plan["unknown"]["tokens"]
    done = process("train", "pretrain", *args, "--json", cwd=tmp_path)
    assert done.code == 0, done.err
    plan = inside("train", "pretrain", *args, "--dry-run", "--json", cwd=tmp_path).json
    assert plan["unknown"] == {}
    final = tmp_path / "runs" / "pretrained" / "seed_0"
    assert {path.name for path in final.iterdir() if (path / "config.json").is_file()} == set(plan["checkpoints"])
    facts = json.loads((final / "final" / "babyeval.json").read_text(encoding="utf-8"))
    assert (facts["words_seen"], facts["step"]) == (plan["words_seen"], plan["updates"])
    assert (done.json["words"], done.json["steps"]) == (plan["words_seen"], plan["updates"])
    again = inside("train", "pretrain", *args, cwd=tmp_path)
    assert again.code == 0, again.err
    assert "Stage pretrain" in again.out


TUNED = """
base = "tiny"
condition = "replies"
[sets.replies]
kind = "file"
file = "replies.jsonl"
[instruct]
batch_size = 4
learning_rate = 0.01
[instruct.curriculum]
single = "replies"
epochs = 2
"""
PREFERRED = """
base = "tiny"
condition = "preferences"
[sets.pairs]
kind = "file"
file = "pairs.jsonl"
[prefer]
sets = ["pairs"]
epochs = 2
batch_size = 4
learning_rate = 0.001
"""


def test_tuned_two_ways_from_one_parent_and_evaluated(tmp_path, corpus):
    """The parent is trained by the first command and taken by the second; records know condition and seed."""
    (tmp_path / "replies.toml").write_text(TUNED, encoding="utf-8")
    (tmp_path / "pairs.toml").write_text(PREFERRED, encoding="utf-8")
    rows = [{"prompt": f"Where is the {animal}?", "completion": f"By the {place}."} for animal in ANIMALS for place in PLACES]
    _write_rows(tmp_path / "replies.jsonl", rows)
    pairs = [{"prompt": row["prompt"], "chosen": row["completion"], "rejected": "Nobody can know."} for row in rows]
    _write_rows(tmp_path / "pairs.jsonl", pairs)
    args = ("--corpus", corpus, "--set", "seed=3", *TINY_ENOUGH)
    tuned = process("train", "instruct", "replies.toml", *args, "--json", cwd=tmp_path)
    assert tuned.code == 0, tuned.err
    parents = tmp_path / "runs" / "pretrained" / "seed_3" / "final"
    trained = (parents / "model.safetensors").stat().st_mtime_ns
    preferred = inside("train", "prefer", "pairs.toml", *args, "--json", cwd=tmp_path)
    assert preferred.code == 0, preferred.err
    assert (parents / "model.safetensors").stat().st_mtime_ns == trained
    parent = json.loads((parents / "babyeval.json").read_text(encoding="utf-8"))
    for condition, done in (("replies", tuned), ("preferences", preferred)):
        final = tmp_path / "runs" / condition / "seed_3" / "final"
        facts = json.loads((final / "babyeval.json").read_text(encoding="utf-8"))
        assert (facts["condition"], facts["seed"], facts["words_seen"]) == (condition, 3, done.json["words"])
        assert facts["words_seen"] > parent["words_seen"]
        ran = inside("run", "--model", final, "--tasks", "wug_past", "--split", "mini", "--json", cwd=tmp_path)
        assert ran.code == 0, ran.err
        (record,) = ran.json["results"]
        model = record["model"]
        assert (model["condition"], model["train_seed"], model["words_seen"]) == (condition, 3, facts["words_seen"])


def _write_rows(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
