"""Regressions of reading times without information: refused with the true reason, never significant; and what noise earns."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from test_reading_regressions import BASES, FORMS, columns, complete, made_up

from babyeval.errors import UsageError
from babyeval.protocols import PROTOCOLS
from babyeval.reading import EYE_TRACKING, MEASURES, SELF_PACED
from babyeval.reading_figure import drawn
from babyeval.reading_scores import reading_scores
from babyeval.stats.reading import (
    COMMON_SPILLOVER,
    WORD_FORM,
    Form,
    held_out,
    nested,
    regress,
    resampled_partial_r2,
    sentence_weights,
)

COMBINED = "surprisal is a combination of the other predictors"
NOISE = np.random.default_rng(5)
NOTHING_NEW = {
    "constant": lambda table: 5.5 + 0 * table["length"],
    "zero": lambda table: 0 * table["length"],
    "length": lambda table: 5.5 * table["length"],
    "product": lambda table: 2 + table["length"] * table["Subtlex_log10"] - table["context_length"],
    "rounded": lambda table: (5.5 * table["length"] + 1e-6 * NOISE.normal(size=len(table))).astype(np.float32).astype(float),
}


@pytest.fixture(autouse=True)
def _silent():
    """statsmodels warns of covariances without full rank; no reader of a score could make anything of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("what", NOTHING_NEW)
@pytest.mark.parametrize("by_sentence", [False, True])
@FORMS
def test_surprisal_that_the_baseline_knows_has_no_regression(form, by_sentence, what):
    table = made_up()
    table["surprisal"] = NOTHING_NEW[what](table)
    data = nested(columns(table), form, "RTgopast", table["sentence"])
    assert data.fault == COMBINED
    assert regress(data, by_sentence) is None
    assert resampled_partial_r2(data, sentence_weights(table["sentence"], 20)) is None
    for found in held_out(columns(table), form, "RTgopast", table["sentence"].tolist()):
        assert np.isnan(found).all()


def test_two_surprisals_that_are_one_have_no_regression():
    table = made_up()
    table["previous_surprisal"] = 3 * table["surprisal"] + table["length"]
    assert nested(columns(table), COMMON_SPILLOVER, SELF_PACED, table["sentence"]).fault == COMBINED
    assert nested(columns(table), WORD_FORM, SELF_PACED, table["sentence"]).fault is None


def test_a_small_difference_is_information():
    """A hundredth of a nat beside 5.5 nats per letter."""
    table = made_up()
    table["surprisal"] = 5.5 * table["length"] + 0.01 * table["surprisal"]
    found = regress(nested(columns(table), WORD_FORM, "RTgopast", table["sentence"]), by_sentence=False)
    rows = complete(table, WORD_FORM)
    fit = smf.ols(f"RTgopast ~ {BASES[WORD_FORM]} + surprisal", rows).fit()
    assert (found.coefficient, found.t) == pytest.approx((fit.params["surprisal"], fit.tvalues["surprisal"]), rel=1e-5)


def test_faults_are_kept_apart():
    table = made_up()
    assert "too few" in nested(columns(table.head(6)), WORD_FORM, "RTgopast", table["sentence"].head(6)).fault
    table["RTgopast"] = 3 * table["length"] + 100
    assert "leave nothing to explain" in nested(columns(table), WORD_FORM, "RTgopast", table["sentence"]).fault
    table["surprisal"] = 5.5
    assert nested(columns(table), WORD_FORM, "RTfirstpass", table["sentence"]).fault == COMBINED


def scored(table: pd.DataFrame, protocol: str = "robust"):
    values = {name: column.tolist() for name, column in columns(table).items()}
    values |= {f"ll_{model}_{measure}": [np.nan] * len(table) for model in ("base", "full") for measure in MEASURES}
    found = reading_scores(values, table["sentence"].tolist(), PROTOCOLS[protocol])
    return {(score.metric, score.group, score.subset): score for score in found}


@pytest.mark.parametrize("protocol", ["robust", "babylm-2025"])
def test_scores_without_information_are_null_and_say_why(protocol):
    table = made_up()
    table["surprisal"] = 5.5 * table["length"]
    found = scored(table, protocol)
    assert {metric for metric, _, _ in found} <= {"partial_r2", "delta_log_likelihood"}
    for (metric, _, _), score in found.items():
        assert (score.value, score.se, score.ci_low) == (None, None, None)
        assert score.note == (COMBINED if metric == "partial_r2" else "no regression gives a word a held-out density")
        assert score.chance == (None if (metric, protocol) == ("partial_r2", "robust") else 0.0)


def test_an_interval_that_cannot_be_made_says_why():
    """Frequencies differ in one sentence only: a third of the resamples lack it, and have no regression."""
    table = made_up()
    table.loc[table["sentence"] != "sentence-4", "Subtlex_log10"] = 3.0
    head = scored(table)["partial_r2", "", "eye_tracking"]
    assert head.value > 0
    assert (head.ci_low, head.se, head.se_method) == (None, None, "none")
    assert head.note == "in a resample of sentences a predictor is a combination of the others"


def test_the_interval_says_what_it_is_and_leaves_the_note_to_warnings():
    head = scored(made_up())["partial_r2", "", "self_paced"]
    assert head.se_method == "bootstrap of sentences, 1,000 draws, percentile; biased upwards near 0"
    assert head.note is None


@pytest.mark.parametrize("form", [WORD_FORM, COMMON_SPILLOVER], ids=["word", "common"])
def test_chance_is_what_noise_earns_on_average(form):
    table = made_up(14)
    data = nested(columns(table), form, "RTgopast", table["sentence"])
    chance, added = regress(data, by_sentence=True).chance, len(form.added)
    assert chance == added / (len(data.y) - data.base.shape[1])
    rng, basis = np.random.default_rng(0), np.linalg.qr(data.base)[0]
    y = data.y - basis @ (basis.T @ data.y)
    earned = []
    for _ in range(4000):
        noise = rng.normal(size=(len(y), added))
        directions = np.linalg.qr(noise - basis @ (basis.T @ noise))[0]
        earned.append(np.sum((directions.T @ y) ** 2) / (y @ y))
    assert abs(np.mean(earned) - chance) < 4 * np.std(earned) / np.sqrt(4000)


# ---- numbers of tokens


def counted(*, constant: bool = False) -> pd.DataFrame:
    """Words with numbers of tokens, on which surprisal depends in part."""
    table, rng = made_up(seed=4), np.random.default_rng(4)
    table["token_count"] = 1.0 if constant else 1 + rng.poisson(table["length"] / 3)
    table["previous_token_count"] = (1 if constant else 1 + rng.poisson(table["prev_length"] / 3)) + 0 * table[
        "previous_surprisal"
    ]
    table["surprisal"] += 3 * table["token_count"]
    return table


@pytest.mark.parametrize("form", [WORD_FORM, COMMON_SPILLOVER], ids=["word", "common"])
def test_what_stands_beside_is_in_both_models_without_products(form):
    table = counted()
    beside = ("token_count", "previous_token_count")[: len(form.added)]
    other = Form(form.name, form.base, form.added, beside)
    rows = complete(table, form)
    base = f"RTgopast ~ {BASES[form]} + {' + '.join(beside)}"
    less, more = smf.ols(base, rows).fit(), smf.ols(f"{base} + {' + '.join(form.added)}", rows).fit()
    data = nested(columns(table), other, "RTgopast", table["sentence"])
    found = regress(data, by_sentence=False)
    assert found.partial_r2 == pytest.approx(1 - more.ssr / less.ssr, rel=1e-6)
    assert (found.t, found.p) == pytest.approx((more.tvalues["surprisal"], more.pvalues["surprisal"]), rel=1e-5)
    assert found.chance == len(form.added) / less.df_resid
    once = sentence_weights(table["sentence"].tolist(), 1) * 0 + 1
    assert resampled_partial_r2(data, once) == pytest.approx([found.partial_r2])


def test_what_stands_beside_and_is_known_already_changes_nothing():
    """A tokenizer of letters: as many tokens as letters."""
    table = counted()
    table["token_count"] = table["length"]
    one, other = (
        nested(columns(table), Form("measure", WORD_FORM.base, WORD_FORM.added, beside), "RTgopast", table["sentence"])
        for beside in ((), ("token_count",))
    )
    np.testing.assert_array_equal(one.full, other.full)


def test_a_tokenizer_of_whole_words_leaves_surprisal_alone():
    found = scored(counted(constant=True))
    for subset in ("eye_tracking", "self_paced"):
        tokens, beyond, head = (found[f"partial_r2{name}", "", subset] for name in ("_tokens", "_beyond_tokens", ""))
        assert (tokens.value, tokens.note) == (None, "token_count is a combination of the other predictors")
        assert beyond == head.model_copy(update={"metric": "partial_r2_beyond_tokens"})


def test_the_shares_of_tokens_and_of_surprisal_multiply():
    """What neither explains: (1 - tokens)(1 - surprisal beyond them); and surprisal explains no more than both."""
    found = scored(counted())
    both = (
        smf.ols(f"{SELF_PACED} ~ {BASES[COMMON_SPILLOVER]}{more}", complete(counted(), COMMON_SPILLOVER)).fit().ssr
        for more in ("", " + surprisal + previous_surprisal + token_count + previous_token_count")
    )
    base, full = both
    tokens, beyond, head = (found[f"partial_r2{n}", "", "self_paced"].value / 100 for n in ("_tokens", "_beyond_tokens", ""))
    assert (1 - tokens) * (1 - beyond) == pytest.approx(full / base)
    assert head < 1 - full / base


def test_slopes_of_token_counts_give_no_warning_about_surprisal():
    table = counted()
    for measure in MEASURES:
        table[measure] -= 40 * table["token_count"]
    found = scored(table)
    assert found["partial_r2_tokens", "", "eye_tracking"].note is None
    assert "warning" in found["partial_r2", "", "eye_tracking"].note
    assert found["partial_r2_beyond_tokens", "", "eye_tracking"].note is None


def test_no_figure_shows_the_slope_of_rounding():
    table = made_up().assign(item_id="reading-1").rename(columns={"sentence": "cluster"})
    assert list(drawn(table, "robust").lines["measure"]) == [*EYE_TRACKING, SELF_PACED]
    for surprisal in (5.5, 5.5 * table["length"]):
        with pytest.raises(UsageError, match=COMBINED):
            drawn(table.assign(surprisal=surprisal), "robust")
