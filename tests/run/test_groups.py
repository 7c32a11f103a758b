"""The official macro averages: which numbers enter them, and for which revision one about a whole sweep counts."""

from __future__ import annotations

import pytest

from babyeval.protocols import PROTOCOLS
from babyeval.records import CheckpointRef, Score, TaskResult
from babyeval.registry import get_task
from babyeval.run.groups import group_headlines, revisions_of

NAMES = PROTOCOLS["babylm-2025"].macro["zero-shot"]
AGES = {"chck_9M": 9_000_000, "chck_100M": 100_000_000, "chck_20M": 20_000_000, "odd": None}
PLAIN = [name for name in NAMES if name not in ("reading", "aoa")]


def score(value: float | None, metric: str = "accuracy", unit: str = "percent", subset: str = "") -> Score:
    return Score(
        metric=metric, value=value, unit=unit, subset=subset, estimator="macro", n=1, n_clusters=1, se=None, se_method="none",
        ci_low=None, ci_high=None, chance=50.0,
    )  # fmt: skip


def done(
    task: str, *scores: Score, revision: str = "main", metric: str = "accuracy", split: str = "full",
    name: str = "m", protocol: str = "babylm-2025", backend: str = "causal",
) -> TaskResult:  # fmt: skip
    card = get_task("blimp").card.model_copy(update={"name": task, "metric": metric})
    model = {"name": name, "source": "m", "revision": revision, "digest": "d", "parameters": None, "kind": "causal"}
    return TaskResult(status="done", task=card, model=model, protocol=protocol, split=split, backend=backend, headlines=scores)


def reading(eye: float | None, self_paced: float | None, **options) -> TaskResult:
    pairs = {"eye_tracking": eye, "self_paced": self_paced}
    heads = [score(value, "partial_r2", subset=subset) for subset, value in pairs.items()]
    return done("reading", *heads, metric="partial_r2", **options)


def acquisition(value: float | None, **options) -> TaskResult:
    """A single checkpoint's record, whose headline is a mean surprisal."""
    return done("aoa", score(value, "surprisal", "nats"), metric="pearson_r", **options)


def over_all(value: float, ages: dict[str, int | None], **options) -> TaskResult:
    """The record over several checkpoints, whose headline is a correlation."""
    result = done("aoa", score(value, "pearson_r", "correlation"), revision="chck_*", metric="pearson_r", **options)
    refs = tuple(CheckpointRef(revision=name, words_seen=words, digest="d", weights=None) for name, words in ages.items())
    return result.model_copy(update={"checkpoints": refs})


def plain(value: float = 60.0, **options) -> list[TaskResult]:
    return [done(name, score(value), **options) for name in PLAIN]


def test_an_official_average_is_the_plain_mean_of_its_numbers():
    results = [done(name, score(float(n))) for n, name in enumerate(NAMES)] + [done("plug_in", score(1000.0))]
    (headline,) = group_headlines(["zero-shot"], results)
    assert headline.value == pytest.approx(sum(range(len(NAMES))) / len(NAMES))
    assert (headline.tasks, headline.missing, headline.group) == (NAMES, (), "zero-shot")


def test_an_average_that_lacks_a_number_is_null_and_names_it():
    (headline,) = group_headlines(["zero-shot"], [done(name, score(50.0)) for name in NAMES[1:]])
    assert (headline.value, headline.missing) == (None, NAMES[:1])
    results = [done(name, score(None if name == "wug_adj" else 50.0)) for name in NAMES]
    (undefined,) = group_headlines(["zero-shot"], results)
    assert (undefined.value, undefined.missing) == (None, ("wug_adj",))


def test_a_correlation_enters_an_average_times_a_hundred():
    """As the official averages take it; the record says that units are mixed (statistics.md, section 8)."""
    results = [done(name, score(60.0)) for name in NAMES if not name.startswith("wug")]
    for name, rho in (("wug_adj", 0.5), ("wug_past", -0.25)):
        results.append(done(name, score(rho, "spearman_rho", "correlation"), metric="spearman_rho"))
    (headline,) = group_headlines(["zero-shot"], results)
    assert headline.value == pytest.approx((7 * 60 + 50 - 25) / 9)
    assert headline.units == ("percent", "correlation")


def test_mini_and_limited_splits_have_no_official_average():
    for split in ("mini", "full@200"):
        assert group_headlines(["zero-shot"], [done(name, score(50.0), split=split) for name in NAMES]) == []
    assert group_headlines(["blimp"], [done(name, score(50.0)) for name in NAMES]) == []


def test_where_both_splits_are_there_the_whole_one_counts():
    full = [done(name, score(50.0)) for name in NAMES]
    fast = [done(name, score(10.0), split="fast") for name in NAMES]
    for results in (full + fast, fast + full):
        (headline,) = group_headlines(["zero-shot"], results)
        assert headline.value == 50.0


def test_each_headline_of_a_task_is_a_number_of_its_own():
    """The official tables show eye tracking and self-paced reading as two columns."""
    (headline,) = group_headlines(["zero-shot"], [*plain(), reading(2.0, 4.0), done("aoa", score(6.0))])
    assert headline.value == pytest.approx((7 * 60 + 2 + 4 + 6) / 10)
    assert headline.tasks == (*PLAIN, "reading:eye_tracking", "reading:self_paced", "aoa")
    (half,) = group_headlines(["zero-shot"], [*plain(), reading(2.0, None), done("aoa", score(6.0))])
    assert (half.value, half.missing) == (None, ("reading:self_paced",))
    (none,) = group_headlines(["zero-shot"], [*plain(), done("aoa", score(6.0))])
    assert none.missing == ("reading",)


def test_a_record_with_corrected_word_ends_counts_among_the_plain_ones():
    """Its headlines are the plain ones, and only reading has such a record."""
    results = [*plain(), reading(2.0, 4.0, backend="causal-corrected"), done("aoa", score(6.0))]
    (headline,) = group_headlines(["zero-shot"], results)
    assert (headline.backend, headline.value) == ("causal", pytest.approx((7 * 60 + 2 + 4 + 6) / 10))


def test_a_mean_surprisal_is_no_age_of_acquisition():
    """A single checkpoint's record has another metric than the card's: it never enters."""
    results = [*plain(), reading(2.0, 4.0), acquisition(3.1)]
    (headline,) = group_headlines(["zero-shot"], results)
    assert (headline.value, headline.missing) == (None, ("aoa",))
    (whole,) = group_headlines(["zero-shot"], [*results, over_all(0.3, AGES)])
    assert whole.value == pytest.approx((7 * 60 + 2 + 4 + 30) / 10)
    assert whole.units == ("percent", "correlation")


def test_a_record_over_checkpoints_counts_for_main_and_for_the_longest_trained():
    assert revisions_of(over_all(0.1, AGES)) == ("main", "final", "chck_100M")
    assert revisions_of(over_all(0.1, {**AGES, "main": 10**9})) == ("main", "final")
    assert revisions_of(acquisition(3.1, revision="chck_9M")) == ("chck_9M",)


def test_averages_of_a_sweep_take_its_age_of_acquisition_and_its_glob_has_none():
    results = []
    for name in ("chck_9M", "chck_100M", "main"):
        results += [*plain(revision=name), reading(2.0, 4.0, revision=name), acquisition(3.1, revision=name)]
    others = [over_all(0.9, AGES, **other) for other in ({"name": "x"}, {"backend": "mlm"}, {"protocol": "robust"})]
    shorter = over_all(0.5, {"chck_9M": AGES["chck_9M"]})
    assert not any(headline.value for headline in group_headlines(["zero-shot"], results + others))
    results = [over_all(0.1, AGES), shorter, *others, *results]
    found = {headline.revision: headline for headline in group_headlines(["zero-shot"], results)}
    assert set(found) == {"chck_9M", "chck_100M", "main"}
    assert found["chck_9M"].value == pytest.approx((7 * 60 + 2 + 4 + 50) / 10)  # the longest of the shorter sweep
    assert found["chck_100M"].value == found["main"].value == pytest.approx((7 * 60 + 2 + 4 + 10) / 10)


def test_a_sweep_counts_for_the_final_model_where_there_is_one():
    results = [*plain(revision="final"), reading(2.0, 4.0, revision="final"), over_all(0.1, AGES)]
    (found,) = group_headlines(["zero-shot"], results)  # and none of main, of which there is no record
    assert (found.revision, found.value) == ("final", pytest.approx((7 * 60 + 2 + 4 + 10) / 10))


def test_a_protocol_of_a_later_version_has_no_average_and_stops_nothing():
    later = [done(name, score(50.0), protocol="babylm-2030") for name in NAMES]
    assert group_headlines(["zero-shot"], later) == []
    (found,) = group_headlines(["zero-shot"], later + [done(name, score(40.0)) for name in NAMES])
    assert (found.protocol, found.value) == ("babylm-2025", 40.0)
