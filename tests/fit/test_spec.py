"""What a card says about fine-tuning: what is refused, and which hyper-parameters come of it under each protocol."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from babyeval.card import TaskCard, load_card
from babyeval.errors import UsageError
from babyeval.fit.spec import FitSpec, fields_of, fill, hyper_for
from babyeval.registry import get_task

TASKS = ("boolq", "mnli", "mrpc", "multirc", "qqp", "rte", "wsc")
# protocol.md, section 6: batch size, epochs and the metric that selects.
OFFICIAL = {
    "boolq": (16, 10, "accuracy"), "mnli": (32, 10, "accuracy"), "mrpc": (32, 10, "f1"), "multirc": (16, 10, "accuracy"),
    "qqp": (32, 10, "f1"), "rte": (32, 10, "accuracy"), "wsc": (32, 30, "accuracy"),
}  # fmt: skip
SPEC = {"text_a": "{sentence}", "labels": ("no", "yes"), "metrics": ("accuracy",)}
CARD = {
    "name": "made", "title": "M", "version": 1, "family": "fit", "groups": (), "summary": "s", "license": "l", "citation": "c",
    "chance": 50, "data": {"full": {"path": "p", "pattern": "made.*.jsonl"}}, "fit": SPEC,
}  # fmt: skip


def card(**changes) -> TaskCard:
    return TaskCard.model_validate({**CARD, "fit": {**SPEC, **changes}})


@pytest.mark.parametrize("name", TASKS)
@pytest.mark.parametrize("protocol", ["babylm-2025", "babylm-2026"])
def test_official_hyper_parameters(name, protocol):
    hyper = hyper_for(get_task(name).card, protocol, "full")
    assert (hyper.batch_size, hyper.epochs, hyper.select_on) == OFFICIAL[name]
    assert (hyper.learning_rate, hyper.weight_decay, hyper.decay_all, hyper.clip) == (3e-5, 0.01, True, None)
    assert (hyper.warmup_share, hyper.final_share, hyper.drop_last, hyper.dropout) == (0.06, 0.1, True, 0.1)
    assert (hyper.max_length, hyper.cut, hyper.selection, hyper.random_eval_batch) == (512, "longest", "reported", 64)
    assert not hyper.explicit_positions
    assert (hyper.pooling, hyper.padding) == (("first", "right") if protocol == "babylm-2025" else ("last", "left"))


@pytest.mark.parametrize("name", TASKS)
def test_robust_hyper_parameters(name):
    hyper = hyper_for(get_task(name).card, "robust", "full")
    assert hyper.epochs == (10 if name == "wsc" else 4)
    assert (hyper.pooling, hyper.padding, hyper.explicit_positions, hyper.selection) == ("auto", "right", True, "inner")
    assert 0 < hyper.inner_share < 0.5
    assert (hyper.decay_all, hyper.clip, hyper.drop_last) == (False, 1.0, False)
    assert hyper.cut == {"boolq": "b", "mnli": "a", "multirc": "b", "rte": "a", "wsc": "b"}.get(name, "longest")


@pytest.mark.parametrize("protocol", ["robust", "babylm-2025", "babylm-2026"])
def test_the_mini_split_changes_the_effort_alone(protocol):
    full, mini = (hyper_for(get_task("rte").card, protocol, split) for split in ("full", "mini@50"))
    assert mini.learning_rate > full.learning_rate
    differ = {name for name in full.__slots__ if getattr(full, name) != getattr(mini, name)}
    assert differ <= {"epochs", "batch_size", "learning_rate", "inner_share"}
    assert hyper_for(get_task("rte").card, protocol, "full@200") == full


def test_a_card_overrides_what_may_differ():
    made = card(pooling="mean", max_length=64, robust={"epochs": 2, "learning_rate": 0.5}, official={"batch_size": 3})
    robust, official = (hyper_for(made, protocol, "full") for protocol in ("robust", "babylm-2026"))
    assert (robust.pooling, robust.max_length, robust.epochs, robust.learning_rate) == ("mean", 64, 2, 0.5)
    assert (official.pooling, official.batch_size, official.epochs) == ("last", 3, 10)


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"text_a": ""}, "text_a is empty"),
        ({"text_a": "no field"}, "names at least one field"),
        ({"text_a": "{a.__class__}"}, "names of fields"),
        ({"text_a": "{a} {"}, "no other braces"),
        ({"text_b": "{a!r}"}, "names of fields"),
        ({"labels": ("only",)}, "at least 2"),
        ({"labels": ("a", "a")}, "twice"),
        ({"metrics": ("accuracy", "bleu")}, "unknown metric 'bleu'"),
        ({"metrics": ("accuracy", "f1"), "labels": ("a", "b", "c")}, "for 2 labels, and there are 3"),
        ({"robust": {"select_on": "f2"}}, "unknown metric 'f2'"),
        ({"robust": {"epochs": 0}}, "greater than or equal to 1"),
        ({"mini": {"fast": {}}}, "Extra inputs"),
        ({"cut": "b"}, "no text_b"),
    ],
)
def test_wrong_specifications(changes, word):
    with pytest.raises(ValidationError, match=word):
        FitSpec.model_validate({**SPEC, **changes})


def test_family_and_table_go_together():
    with pytest.raises(ValidationError, match="go together"):
        TaskCard.model_validate({**CARD, "fit": None})
    with pytest.raises(ValidationError, match="go together"):
        TaskCard.model_validate({**CARD, "family": "ranking"})
    with pytest.raises(ValidationError, match="'accuracy' is not among"):
        card(metrics=("mcc",))


def test_a_typo_in_the_table_is_named(tmp_path):
    path = tmp_path / "made.card.toml"
    path.write_text((get_task("rte").home / "rte.card.toml").read_text().replace("text_b", "textb"))
    with pytest.raises(UsageError, match=r"unknown key 'fit.textb' \(did you mean 'text_b'\?\)"):
        load_card(path)


def test_templates():
    template = 'Does "{one}" refer to "{two}"?'
    assert fields_of(template) == ["one", "two"]
    assert fill(template, {"one": "{two}", "two": "it"}) == 'Does "{two}" refer to "it"?'
