"""Recipes: what ships, what a command changes in them, and how a wrong one is refused."""

from __future__ import annotations

import json

import pytest
from babyeval.trainers.recipe import Recipe, differences, load_recipe, shipped_recipes

from babyeval.errors import MissingError, UsageError

SMALL = """# A model for tests.
[model]
hidden_size = 16
layers = 1
heads = 2
max_length = 32

[pretrain]
learning_rate = 1e-3
"""


def test_every_shipped_recipe_is_valid_and_begins_by_saying_what_it_is():
    assert {"tiny", "class-it-140m", "class-it-100m", "babylm-strict-small"} <= set(shipped_recipes())
    for name, path in shipped_recipes().items():
        recipe = load_recipe(name)
        assert path.read_text(encoding="utf-8").startswith("# ")
        assert recipe.data.corpus is None, "where a corpus lies is the user's to say"
        assert recipe.as_json() == load_recipe(str(path)).as_json()


@pytest.mark.parametrize(
    ("name", "vocabulary", "length", "hidden", "heads", "layers"),
    [("class-it-140m", 32_000, 6_144, 704, 11, 12), ("class-it-100m", 16_384, 6_000, 512, 8, 20)],
)
def test_class_it_says_what_the_paper_states(name, vocabulary, length, hidden, heads, layers):
    recipe = load_recipe(name)
    model, training = recipe.model, recipe.pretrain
    assert (model.architecture, model.tie_embeddings) == ("llama", False)
    assert (recipe.tokenizer.vocab_size, recipe.tokenizer.on) == (vocabulary, "all")
    assert (model.max_length, model.hidden_size, model.heads, model.layers) == (length, hidden, heads, layers)
    assert (training.learning_rate, training.schedule, training.warmup_steps) == (2e-4, "linear", 5_000)
    assert (training.batch_size, training.epochs) == (8, 8)
    assert (recipe.data.words, recipe.data.over, recipe.data.valid_share) == (100_000_000, "refuse", 0.1)
    assert recipe.data.clean.min_words == 3
    assert recipe.data.clean.join_turns
    assert recipe.data.clean.special_characters


@pytest.mark.parametrize("family", ["tiny", "class-it-140m"])
def test_the_conditions_of_the_study_are_named_exactly(family):
    found = {}
    for name in shipped_recipes():
        if name == family or name.startswith(f"{family}-"):
            recipe = load_recipe(name)
            found.setdefault(recipe.section, set()).add(recipe.condition)
    assert found["pretrain"] == {"pretrained"}
    assert found["instruct"] == {"switchboard", "wiki", "it_merged", "it_switch_wiki", "it_wiki_switch"}
    assert found["prefer"] <= {"dpo", "it_merged_dpo"}


def test_the_order_of_a_sequence_is_that_of_its_name():
    for family in ("tiny", "class-it-140m"):
        orders = [load_recipe(f"{family}-{name}").tuning.curriculum.sequential for name in ("switch-wiki", "wiki-switch")]
        assert orders == [("switchboard", "wiki"), ("wiki", "switchboard")]


def test_settings_of_a_set_reach_the_training_on_it():
    recipe = load_recipe("tiny-merged-dpo", ("sets.wiki.rows=5", "sets.preference.file=mine.jsonl"))
    assert recipe.before.sets["wiki"].rows == recipe.sets["wiki"].rows == 5
    assert recipe.before.sets["switchboard"].rows != 5
    assert (str(recipe.sets["preference"].file), "preference" in recipe.before.sets) == ("mine.jsonl", False)
    only_wiki = ('instruct.curriculum={single="wiki"}', "sets.switchboard.rows=5")
    with pytest.raises(UsageError, match="no training is on the set 'switchboard'"):
        load_recipe("tiny-merged", only_wiki)
    with pytest.raises(UsageError, match="no training is on the set 'wiki'"):
        load_recipe("tiny-merged-dpo", ("parent=somewhere", "sets.wiki.rows=5"))


def test_settings_of_a_training_whose_place_a_checkpoint_takes_are_refused():
    for setting in ("pretrain.epochs=9", "model.layers=2", "instruct.learning_rate=1.0"):
        with pytest.raises(UsageError, match=f"--set {setting} is of an earlier training"):
            load_recipe("tiny-merged-dpo", ("parent=somewhere", setting))
    assert load_recipe("tiny-merged-dpo", ("parent=somewhere", "seed=4")).seed == 4


def test_the_command_names_another_base():
    assert [one.condition for one in load_recipe("tiny-dpo", ("base=tiny-merged",)).lineage] == ["dpo", "it_merged", "pretrained"]


@pytest.mark.parametrize(("name", "setting"), [("tiny-merged", 'instruct.curriculum.merged=["wikki", "switchboard"]'),
                                               ("tiny-dpo", 'prefer.sets=["preferenc"]')])  # fmt: skip
def test_an_unknown_set_is_named_with_the_nearest(name, setting):
    with pytest.raises(UsageError, match="which the recipe does not describe") as error:
        load_recipe(name, (setting,))
    assert "Did you mean '" in error.value.hint
    assert error.value.where in ("instruct.curriculum", "prefer.sets")


def test_the_two_class_it_models_are_two_conditions():
    assert load_recipe("class-it-140m").condition == "pretrained"
    assert load_recipe("class-it-100m").condition != "pretrained"


def test_strict_small_keeps_to_the_challenge():
    recipe = load_recipe("babylm-strict-small")
    assert (recipe.data.words, recipe.data.over, recipe.checkpoints.words) == (10_000_000, "refuse", "babylm")
    assert recipe.pretrain.epochs <= 10


def test_a_command_sets_values_of_every_type(tmp_path):
    given = (
        "seed=3", "pretrain.epochs=2", "pretrain.learning_rate=5e-4", "data.corpus=some/folder", "condition=other words",
        'tokenizer.kind="unigram"', "checkpoints.words=[10, 20]", "model.extra.rms_norm_eps=1e-5", "data.clean.duplicates=false",
        "pretrain.schedule_options = {num_cycles = 3}",
    )  # fmt: skip
    recipe = load_recipe("tiny", given)
    assert (recipe.seed, recipe.pretrain.epochs, recipe.pretrain.learning_rate) == (3, 2, 5e-4)
    assert (str(recipe.data.corpus), recipe.condition, recipe.tokenizer.kind) == ("some/folder", "other words", "unigram")
    assert (recipe.checkpoints.words, recipe.model.extra) == ((10, 20), {"rms_norm_eps": 1e-5})
    assert (recipe.data.clean.duplicates, recipe.pretrain.schedule_options) == (False, {"num_cycles": 3})


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("sead=3", ("'sead'", "'seed'")),
        ("modle.layers=3", ("'modle'", "'model'")),
        ("pretrain.epoch=3", ("'pretrain.epoch'", "'epochs'")),
        ("data.clean.licens=true", ("'data.clean.licens'", "'licence'")),
        ("pretrain.epochs=many", ("pretrain.epochs", "integer")),
        ("pretrain.epochs=0", ("pretrain.epochs", "greater than or equal to 1")),
        ("pretrain.learning_rate=nan", ("pretrain.learning_rate",)),
        ("pretrain.learning_rate=inf", ("pretrain.learning_rate", "finite")),
        ("pretrain.weight_decay=inf", ("pretrain.weight_decay", "finite")),
        ("pretrain.epsilon=inf", ("pretrain.epsilon", "finite")),
        ("pretrain.clip=inf", ("pretrain.clip", "finite")),
        ("pretrain.betas=[0.9, 1.0]", ("pretrain.betas", "below 1")),
        ("pretrain.betas=[0.9, nan]", ("pretrain.betas", "below 1")),
        ("pretrain.zero=4", ("pretrain.zero", "0, 1, 2 or 3")),
        ("model.architecture=lama", ("model.architecture", "'llama'")),
        ("model=3", ("model:",)),
        ("model.layers.first=3", ("'layers' is a value",)),
        ("model.heads=3", ("hidden_size 128", "3 heads")),
        ("checkpoints.words=babylmm", ("checkpoints.words", "'babylm'")),
        ("checkpoints.words=[20, 10]", ("checkpoints.words", "higher than the one before")),
        ("data.forms.childes=turn", ("data.forms.childes", "'turns'")),
        ("tokenizer.lowercase=true", ("lowercase",)),
        ("tokenizer={kind='unigram', min_frequency=5}", ("min_frequency is for bpe and wordpiece",)),
        ("tokenizer.vocab_size=100", ("tokenizer.vocab_size", "300")),
        ("condition=''", ("'condition' is empty",)),
        ("pretrain.sequence_length=512", ("sequence_length 512", "max_length 256")),
        ("seed", ("section.key=value",)),
        ("=3", ("section.key=value",)),
    ],
)
def test_a_wrong_setting_is_named_and_put_right(setting, words):
    with pytest.raises(UsageError) as error:
        load_recipe("tiny", (setting,))
    for word in words:
        assert word in error.value.what


def test_a_missing_key_is_named(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL.replace("layers = 1\n", ""), encoding="utf-8")
    with pytest.raises(UsageError, match=r"'model\.layers' is missing") as error:
        load_recipe(str(path))
    assert error.value.where == str(path)


def test_a_file_that_is_no_recipe(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text("[model\n", encoding="utf-8")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_recipe(str(path))
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        load_recipe(str(path))


def test_a_name_that_is_no_recipe_suggests_the_nearest():
    with pytest.raises(MissingError) as error:
        load_recipe("class-it-140")
    assert error.value.hint is not None
    assert "'class-it-140m'" in error.value.hint


def test_a_base_that_is_no_recipe_is_told_with_the_recipe_that_names_it(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "mien.toml"\ncondition = "x"\n[instruct]\n', encoding="utf-8")
    with pytest.raises(MissingError) as error:
        load_recipe(str(path))
    assert error.value.where == f"{path}: base = 'mien.toml'"


def test_differences_name_keys_and_both_values(tmp_path):
    path = tmp_path / "small.toml"
    path.write_text(SMALL, encoding="utf-8")
    stored = json.loads(json.dumps(load_recipe(str(path)).as_json()))
    assert differences(stored, load_recipe(str(path))) == []
    other = load_recipe(str(path), ("pretrain.betas=[0.9, 0.95]", "data.words=7"))
    assert differences(stored, other) == [
        "data.words: null there, 7 here",
        "pretrain.betas: [0.9, 0.999] there, [0.9, 0.95] here",
    ]


@pytest.mark.parametrize("name", ["tiny", "tiny-merged", "tiny-dpo"])
def test_a_key_that_is_newer_than_the_stored_recipe_had_its_default(name):
    recipe = load_recipe(name)
    stored = json.loads(recipe.model_dump_json())
    section = stored[recipe.section]
    assert section.pop("dtype") == "float32"
    assert differences(stored, recipe) == []
    section["dtype"] = "bfloat16"
    assert differences(stored, recipe) == [f'{recipe.section}.dtype: "bfloat16" there, "float32" here']


def test_a_recipe_cannot_be_changed():
    recipe = load_recipe("tiny")
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3
    assert Recipe.model_validate(recipe.as_json()) == recipe
