"""Which tasks a name selects, and the official averages over their results."""

from __future__ import annotations

import pytest

from babyeval.errors import UsageError
from babyeval.protocols import PROTOCOLS
from babyeval.records import GroupHeadline, ModelInfo, Score, TaskResult
from babyeval.registry import get_task, list_tasks, resolve_tasks
from babyeval.run.execute import report
from babyeval.run.groups import group_headlines


def names(*asked: str) -> list[str]:
    return [task.card.name for task in resolve_tasks(list(asked))]


def test_all_is_every_zero_shot_and_finetune_task_once():
    expected = {entry.name for entry in list_tasks() if entry.task and {"zero-shot", "finetune"} & set(entry.task.card.groups)}
    assert sorted(names("all")) == sorted(expected)
    assert {"blimp", "blimp_supplement"} <= expected


def test_tasks_come_in_the_order_given_and_once():
    assert names("blimp_supplement", "blimp", "blimp_supplement") == ["blimp_supplement", "blimp"]
    assert names("blimp_supplement", "zero-shot")[0] == "blimp_supplement"
    assert sorted(names("blimp_supplement", "zero-shot")) == sorted(names("zero-shot"))


def test_no_group_has_a_tasks_name():
    tasks = {entry.name for entry in list_tasks()}
    groups = {group for entry in list_tasks() if entry.task for group in entry.task.card.groups}
    assert not tasks & (groups | {"all"})


@pytest.mark.parametrize(
    ("wrong", "right"), [("blmp", "blimp"), ("zeroshot", "zero-shot"), ("blimp_suplement", "blimp_supplement"), ("al", "all")]
)
def test_unknown_name_suggests_the_nearest(wrong, right):
    with pytest.raises(UsageError, match=f"Unknown task '{wrong}'") as error:
        resolve_tasks([wrong])
    assert f"Did you mean '{right}'?" in str(error.value)


def test_name_like_no_other_suggests_nothing():
    with pytest.raises(UsageError) as error:
        get_task("qqqqqqq")
    assert "Did you mean" not in str(error.value)
    assert "tasks list" in str(error.value)


def make_result(task: str, value: float | None, *, model: str = "m", protocol: str = "robust", split: str = "full", **fields):
    card = get_task("blimp").card.model_copy(update={"name": task})
    info = ModelInfo(name=model, source=model, revision="main", digest=model, parameters=1, kind="causal")
    score = Score(
        metric="accuracy", value=value, unit=fields.pop("unit", "percent"), estimator="macro", n=9, n_clusters=9, se=None,
        se_method="stratified", ci_low=None, ci_high=None, chance=50.0,
    )  # fmt: skip
    given = {"status": "done", "headlines": (score,), "scores": (score,), **fields}
    return TaskResult(task=card, model=info, protocol=protocol, split=split, backend="causal", **given)


def make_all(protocol: str = "babylm-2025", **fields) -> list[TaskResult]:
    return [
        make_result(task, float(i), protocol=protocol, **fields) for i, task in enumerate(PROTOCOLS[protocol].macro["zero-shot"])
    ]


def averages(groups, results) -> list[GroupHeadline]:
    return group_headlines(groups, results)


def test_complete_average_is_the_plain_mean():
    (average,) = averages(["zero-shot"], make_all())
    assert (average.group, average.model, average.protocol, average.missing) == ("zero-shot", "m", "babylm-2025", ())
    assert average.value == pytest.approx(sum(range(9)) / 9)
    assert average.tasks == PROTOCOLS["babylm-2025"].macro["zero-shot"]
    assert average.units == ("percent",)


@pytest.mark.parametrize("how", ["absent", "failed", "undefined"])
def test_average_that_lacks_a_task_is_null_and_names_it(how):
    first, *others = make_all()
    if how == "failed":
        others.append(make_result(first.task.name, None, protocol="babylm-2025", status="failed", headlines=(), scores=()))
    elif how == "undefined":
        others.append(make_result(first.task.name, None, protocol="babylm-2025"))
    (average,) = averages(["zero-shot"], others)
    assert (average.value, average.missing) == (None, (first.task.name,))
    assert first.task.name not in average.tasks


def test_task_of_a_plug_in_never_enters_an_average():
    plain = averages(["zero-shot"], make_all())
    assert averages(["zero-shot"], [*make_all(), make_result("mine", 1000.0, protocol="babylm-2025")]) == plain


def test_models_and_protocols_are_averaged_apart():
    results = [*make_all(), *make_all("babylm-2026"), *make_all(model="other")[1:]]
    found = {(average.model, average.protocol): average for average in averages(["zero-shot"], results)}
    assert set(found) == {("m", "babylm-2025"), ("m", "babylm-2026"), ("other", "babylm-2025")}
    assert found["other", "babylm-2025"].value is None
    assert found["m", "babylm-2026"].tasks == PROTOCOLS["babylm-2026"].macro["zero-shot"]


def test_average_says_which_units_it_mixes():
    *others, last = make_all()
    mixed = make_result(last.task.name, 1.0, protocol="babylm-2025", unit="correlation")
    (average,) = averages(["zero-shot"], [*others, mixed])
    assert average.units == ("percent", "correlation")


@pytest.mark.parametrize(
    ("groups", "expected"), [(["all"], ["zero-shot", "finetune"]), (["finetune"], ["finetune"]), (["blimp"], []), ([], [])]
)
def test_only_groups_that_were_asked_for_are_averaged(groups, expected):
    assert [average.group for average in averages(groups, make_all())] == expected


@pytest.mark.parametrize("split", ["mini", "full@200"])
def test_mini_and_limited_splits_have_no_average(split):
    assert averages(["zero-shot"], make_all(split=split)) == []


@pytest.mark.parametrize(
    ("statuses", "code", "status"),
    [
        (["done", "done"], 0, "done"),
        (["done", "not_applicable"], 0, "done"),
        (["done", "skipped"], 3, "incomplete"),
        (["failed", "skipped", "done"], 1, "failed"),
    ],
)
def test_exit_code_tells_the_worst(statuses, code, status):
    results = [make_result("blimp", 1.0, status=each) for each in statuses]
    outcome = report(["blimp"], results)
    assert (outcome.exit_code, outcome.status) == (code, status)
