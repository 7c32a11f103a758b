"""Regressions of reading times, against statsmodels' formulas, loops and made-up models of known effect."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
from scipy.stats import norm

from babyeval.protocols import PROTOCOLS
from babyeval.reading import EYE_TRACKING, MEASURES, SELF_PACED
from babyeval.reading_scores import reading_scores
from babyeval.stats.intervals import clustered_mean
from babyeval.stats.reading import (
    COMMON_SPILLOVER,
    OFFICIAL_SPILLOVER,
    WORD_FORM,
    fold_of,
    held_out,
    nested,
    regress,
    resampled_partial_r2,
    sentence_weights,
)

BASES = {
    WORD_FORM: "(Subtlex_log10 + length + context_length) ** 2",
    OFFICIAL_SPILLOVER: "(Subtlex_log10 + length + context_length + prev_length + previous_surprisal) ** 2",
    COMMON_SPILLOVER: "(Subtlex_log10 + length + context_length + prev_length) ** 2",
}
FORMS = pytest.mark.parametrize("form", BASES, ids=["word", "official", "common"])


def made_up(sentences: int = 30, *, slope: float = 3.0, seed: int = 0) -> pd.DataFrame:
    """Words in sentences that share an error; some values are missing, as in the official table."""
    rng = np.random.default_rng(seed)
    rows = []
    for sentence in range(sentences):
        shared = rng.normal(0, 6)
        for place in range(1, int(rng.integers(4, 9))):
            length, frequency, surprisal = int(rng.integers(1, 11)), rng.uniform(3, 14), rng.gamma(3, 2.5)
            row = {"sentence": f"sentence-{sentence}", "Subtlex_log10": frequency, "length": length, "context_length": place}
            row |= {"prev_length": int(rng.integers(1, 11)), "surprisal": surprisal}
            row |= {"previous_surprisal": rng.gamma(3, 2.5) if place > 1 else math.nan}
            time = 120 + 5 * length - 4 * frequency + 0.3 * length * frequency + slope * surprisal + shared
            row |= {measure: time + rng.normal(0, 15) for measure in MEASURES}
            rows.append(row)
    table = pd.DataFrame(rows)
    table.loc[rng.choice(len(table), 5, replace=False), "Subtlex_log10"] = math.nan
    return table


def columns(table: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: table[name].to_numpy(np.float64) for name in table if name != "sentence"}


def complete(table: pd.DataFrame, form: object) -> pd.DataFrame:
    return table.dropna(subset=[*form.base, *form.added])


@FORMS
@pytest.mark.parametrize("by_sentence", [False, True])
def test_a_regression_is_that_of_statsmodels_formulas(form, by_sentence):
    table = made_up()
    rows = complete(table, form)
    base = smf.ols(f"RTgopast ~ {BASES[form]}", rows).fit()
    groups = pd.factorize(rows["sentence"])[0]
    options = {"cov_type": "cluster", "cov_kwds": {"groups": groups}, "use_t": True} if by_sentence else {}
    full = smf.ols(f"RTgopast ~ {BASES[form]} + {' + '.join(form.added)}", rows).fit(**options)
    found = regress(nested(columns(table), form, "RTgopast", table["sentence"]), by_sentence)
    assert (found.n, found.clusters) == (len(rows), rows["sentence"].nunique())
    assert found.coefficient == pytest.approx(full.params["surprisal"], rel=1e-7)
    assert (found.se, found.t) == pytest.approx((full.bse["surprisal"], full.tvalues["surprisal"]), rel=1e-6)
    assert found.p == pytest.approx(full.pvalues["surprisal"], rel=1e-5)
    assert (found.r2, found.aic) == pytest.approx((full.rsquared, full.aic), rel=1e-9)
    assert found.delta_r2 == pytest.approx(full.rsquared - base.rsquared, rel=1e-6)
    assert found.delta_aic == pytest.approx(full.aic - base.aic, rel=1e-6)
    assert found.partial_r2 == pytest.approx((full.rsquared - base.rsquared) / (1 - base.rsquared), rel=1e-6)
    low, high = full.conf_int().loc["surprisal"]
    assert found.half == pytest.approx((high - low) / 2, rel=1e-6)
    joint = full.wald_test([f"{name} = 0" for name in form.added] if len(form.added) > 1 else "surprisal = 0", scalar=True)
    assert found.p_joint == pytest.approx(float(joint.pvalue), rel=1e-5)
    if len(form.added) > 1:
        assert found.coefficient_previous == pytest.approx(full.params["previous_surprisal"], rel=1e-7)


def test_one_added_term_obeys_the_identities():
    """Partial R2 = t^2 / (t^2 + df), and LR = -n ln(1 - partial R2)."""
    table = made_up(seed=3)
    data = nested(columns(table), WORD_FORM, "RTfirstpass", table["sentence"])
    found = regress(data, by_sentence=False)
    freedom = found.n - data.full.shape[1]
    assert found.partial_r2 == pytest.approx(found.t**2 / (found.t**2 + freedom))
    assert 2 - found.delta_aic == pytest.approx(-found.n * math.log(1 - found.partial_r2))


@FORMS
def test_held_out_densities_are_those_of_a_loop_over_folds(form):
    table = made_up(seed=1)
    base, full = held_out(columns(table), form, "RTgopast", table["sentence"].tolist())
    rows = complete(table, form)
    folds = rows["sentence"].map(fold_of)
    assert folds.nunique() >= 8
    for formula, found in ((BASES[form], base), (f"{BASES[form]} + {' + '.join(form.added)}", full)):
        expected = pd.Series(math.nan, table.index)
        for fold in folds.unique():
            fit = smf.ols(f"RTgopast ~ {formula}", rows[folds != fold]).fit()
            test = rows[folds == fold]
            sigma = math.sqrt(fit.ssr / fit.nobs)
            expected[test.index] = norm.logpdf(test["RTgopast"], fit.predict(test), sigma)
        np.testing.assert_allclose(found, expected, rtol=1e-7)
        assert np.isnan(found).sum() == len(table) - len(rows) > 0


def test_folds_belong_to_sentences_whatever_rows_there_are():
    names = [f"sentence-{n}" for n in range(205)]
    folds = [fold_of(name) for name in names]
    assert set(folds) == set(range(10))
    assert max(map(folds.count, range(10))) < 40
    # Written out, since records of different models are compared by them: they must never change.
    assert folds[:10] == [1, 5, 9, 2, 1, 7, 2, 5, 1, 4]


@FORMS
def test_resampled_values_are_those_of_tables_put_together_from_whole_sentences(form):
    table = made_up(seed=2)
    sentences = table["sentence"].tolist()
    weights = sentence_weights(sentences, 4)
    found = resampled_partial_r2(nested(columns(table), form, "RTgopast", sentences), weights)
    names = sorted(set(sentences))
    for draw, value in zip(weights, found, strict=True):
        parts = [table[table["sentence"] == name] for name, count in zip(names, draw, strict=True) for _ in range(int(count))]
        rows = complete(pd.concat(parts), form)
        base = smf.ols(f"RTgopast ~ {BASES[form]}", rows).fit()
        full = smf.ols(f"RTgopast ~ {BASES[form]} + {' + '.join(form.added)}", rows).fit()
        assert value == pytest.approx((full.rsquared - base.rsquared) / (1 - base.rsquared), rel=1e-6)


def test_resamples_are_seeded_and_draw_as_many_sentences_as_there_are():
    names = [f"s{n % 20}" for n in range(100)]
    weights = sentence_weights(names, 50)
    assert weights.shape == (50, 20)
    assert set(weights.sum(axis=1)) == {20.0}
    np.testing.assert_array_equal(weights, sentence_weights(names, 50))


def scored(table: pd.DataFrame, protocol: str = "robust") -> dict[tuple[str, str, str], object]:
    values = {name: column.tolist() for name, column in columns(table).items()}
    sentences = table["sentence"].tolist()
    if protocol == "robust":
        for measure in MEASURES:
            form = COMMON_SPILLOVER if measure == SELF_PACED else WORD_FORM
            base, full = held_out(columns(table), form, measure, sentences)
            values |= {f"ll_base_{measure}": base.tolist(), f"ll_full_{measure}": full.tolist()}
    found = reading_scores(values, sentences, PROTOCOLS[protocol])
    by_key = {(score.metric, score.group, score.subset): score for score in found}
    assert len(by_key) == len(found), "metric, group and subset are unique"
    assert [score.subset for score in found[:2]] == ["eye_tracking", "self_paced"]
    return by_key


@pytest.mark.parametrize("protocol", ["robust", "babylm-2025", "babylm-2026"])
def test_headlines_are_means_of_the_measures(protocol):
    found = scored(made_up(), protocol)
    eye = [found["partial_r2", "measure", measure].value for measure in EYE_TRACKING]
    head = found["partial_r2", "", "eye_tracking"]
    assert head.value == pytest.approx(sum(eye) / 4)
    assert found["partial_r2", "", "self_paced"].value == found["partial_r2", "measure_spillover", SELF_PACED].value
    assert (head.unit, head.estimator, head.n_clusters, head.note) == ("percent", "macro", 30, None)
    # Of noise, 1 / (n - p) with 3 predictors, 3 products and an intercept; the official protocols know no such thing.
    assert head.chance == pytest.approx(100 / (head.n - 7) if protocol == "robust" else 0.0)
    assert head.ci_low < head.value < head.ci_high
    assert {subset for metric, _, subset in found if metric == "aic"} == set(MEASURES)


def test_the_interval_of_a_strong_effect_lies_above_that_of_none():
    strong, none = (scored(made_up(60, slope=slope))["partial_r2", "", "eye_tracking"] for slope in (3.0, 0.0))
    assert none.ci_high < strong.ci_low


def test_a_negative_slope_is_said():
    """A large gain with a negative slope is a failure, not a success."""
    found = scored(made_up(slope=-3.0))
    head = found["partial_r2", "", "eye_tracking"]
    assert head.value > 10
    assert "warning: surprising words are read faster" in head.note
    assert all(measure in head.note for measure in EYE_TRACKING)
    assert SELF_PACED in found["partial_r2", "", "self_paced"].note
    assert found["coefficient", "measure", "N400"].note is None, "an amplitude may fall"
    assert "warning" not in (scored(made_up())["partial_r2", "", "eye_tracking"].note or "")


def test_held_out_gains_are_means_per_thousand_words_with_errors_by_sentence():
    table = made_up()
    found = scored(table)["delta_log_likelihood", "", "eye_tracking"]
    gains = np.mean(
        [np.subtract(*held_out(columns(table), WORD_FORM, m, table["sentence"].tolist())[::-1]) for m in EYE_TRACKING], 0
    )
    there = np.isfinite(gains)
    expected = clustered_mean((1000 * gains[there]).tolist(), table["sentence"][there].tolist())
    assert (found.value, found.se, found.ci_low) == pytest.approx((expected.value, expected.se, expected.low))
    assert found.value > 0
    assert found.unit == "nats per 1,000 words"


def test_the_official_protocols_give_no_held_out_gain():
    assert not [key for key in scored(made_up(), "babylm-2025") if key[0] == "delta_log_likelihood"]


def test_the_clustered_mean_is_that_of_statsmodels():
    table = made_up()
    values = table["RTgopast"].to_numpy()
    groups = pd.factorize(table["sentence"])[0]
    found = clustered_mean(values.tolist(), table["sentence"].tolist())
    fit = smf.ols("RTgopast ~ 1", table).fit(cov_type="cluster", cov_kwds={"groups": groups, "use_correction": False}, use_t=True)
    scale = math.sqrt(30 / 29)
    assert (found.value, found.se) == pytest.approx((fit.params.iloc[0], fit.bse.iloc[0] * scale))


@pytest.mark.parametrize("rows", [1, 2, 6])
def test_too_few_rows_give_null_and_a_reason(rows):
    found = scored(made_up().head(rows))
    for subset in ("eye_tracking", "self_paced"):
        head = found["partial_r2", "", subset]
        assert (head.value, head.ci_low, head.se) == (None, None, None)
        assert "too few complete rows" in head.note


def test_words_without_surprisal_are_left_out_of_both_models():
    """Officially a probability that is no number drops its row from the regressions."""
    table = made_up()
    gone = table.copy()
    gone.loc[[3, 17], "surprisal"] = math.nan
    one, other = (scored(t, "babylm-2025")["partial_r2", "", "eye_tracking"] for t in (gone, table.drop([3, 17])))
    assert (one.n, one.value) == (other.n, pytest.approx(other.value))


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.01, 0.03])
def test_the_interval_covers_a_known_effect(effect):
    """205 sentences of 8 words that share a tenth of the error's variance, 1,000 data sets, nominal 95%."""
    rng, covered, repetitions = np.random.default_rng(1), 0, 1000
    sentence = np.repeat(np.arange(205), 8)
    names = [f"s{n}" for n in sentence]
    for repetition in range(repetitions):
        table = {name: rng.normal(size=len(sentence)) for name in ("Subtlex_log10", "length", "context_length")}
        table["surprisal"] = 0.7 * table["Subtlex_log10"] + (rng.gamma(3, size=len(sentence)) - 3) / math.sqrt(3)
        error = math.sqrt(0.1) * rng.normal(size=205)[sentence] + math.sqrt(0.9) * rng.normal(size=len(sentence))
        table["y"] = table["Subtlex_log10"] + math.sqrt(effect / (1 - effect)) * table["surprisal"] + error
        draws = resampled_partial_r2(nested(table, WORD_FORM, "y", names), sentence_weights(names, 500, seed=repetition))
        low, high = np.quantile(draws, (0.025, 0.975))
        covered += low <= effect <= high
    print(f"partial R2 of {effect}: held {covered / repetitions}")
    assert 0.93 <= covered / repetitions <= 0.97
