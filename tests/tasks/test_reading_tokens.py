"""What numbers of tokens tell about reading times, and surprisal beyond them: of models with and without knowledge."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pandas as pd
import pytest
import statsmodels.formula.api as smf
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

import babyeval
from babyeval.reading import EYE_TRACKING, PREDICTORS, SELF_PACED

WORDS = "(Subtlex_log10 + length + context_length) ** 2"
COMMON = "(Subtlex_log10 + length + context_length + prev_length) ** 2"
COUNTS = ["token_count", "previous_token_count"]


def uniform(source: Path, folder: Path) -> Path:
    """The same model with a head of zeros: every token has the same probability everywhere."""
    model = AutoModelForCausalLM.from_pretrained(source)
    model.lm_head.weight = torch.nn.Parameter(torch.zeros_like(model.lm_head.weight))
    model.config.tie_word_embeddings = False
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(source).save_pretrained(folder)
    return folder


def evaluated(model: Path, out: Path, **options):
    results = babyeval.evaluate(model, ["reading"], out=out, **options)
    assert {result.status for result in results} == {"done"}, [result.error for result in results]
    tables = {result.protocol: pd.read_parquet(next(out.glob(f"**/{result.protocol}/items.parquet"))) for result in results}
    values = {r.protocol: {(s.metric, s.subset): s for s in r.scores if not s.group} for r in results}
    return values, tables


def shares(table: pd.DataFrame, base: list[str], added: list[str]) -> tuple[float, float, float, float]:
    """By statsmodels: percent of what the baselines leave, of eye tracking and of self-paced times, and its chance likewise."""
    found, chances = [], []
    for measure in (*EYE_TRACKING, SELF_PACED):
        words, at = (COMMON, 2) if measure == SELF_PACED else (WORDS, 1)
        rows = table.astype({"previous_surprisal": float}).dropna(subset=["Subtlex_log10", *COUNTS[:at]])
        formula = " + ".join([f"{measure} ~ {words}", *base[:at]])
        less, more = smf.ols(formula, rows).fit(), smf.ols(" + ".join([formula, *added[:at]]), rows).fit()
        found.append(100 * (1 - more.ssr / less.ssr))
        chances.append(100 * at / less.df_resid)
    return sum(found[:4]) / 4, found[4], chances[0], chances[4]


@pytest.fixture(scope="module")
def random_run(tiny_folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("random")
    return evaluated(tiny_folder("llama", "bos", positions=256), out, split="mini", protocol="all")


def test_numbers_of_tokens_are_columns_of_the_table(random_run):
    _, tables = random_run
    table = tables["robust"]
    for counts, word, before in zip(table["tokens"], *(table[name] for name in COUNTS), strict=True):
        assert [word, before][: len(counts)] == list(counts)
        assert len(counts) == 2 or math.isnan(before)
    assert table["token_count"].nunique() > 3


def test_scores_follow_from_the_exported_table(random_run):
    values, tables = random_run
    surprisals = ["surprisal", "previous_surprisal"]
    for metric, base, added in (
        ("partial_r2", [], surprisals),
        ("partial_r2_tokens", [], COUNTS),
        ("partial_r2_beyond_tokens", COUNTS, surprisals),
    ):
        eye, self_paced = (values["robust"][metric, subset] for subset in ("eye_tracking", "self_paced"))
        assert (eye.value, self_paced.value, eye.chance, self_paced.chance) == pytest.approx(
            shares(tables["robust"], base, added), rel=1e-6
        )
        for score, n, clusters in ((eye, 77, 12), (self_paced, 65, 12)):
            assert (score.n, score.n_clusters, score.unit) == (n, clusters, "percent")
            assert score.ci_low < score.value < score.ci_high


def test_official_protocols_have_none_of_it(random_run):
    values, tables = random_run
    for protocol in ("babylm-2025", "babylm-2026"):
        assert set(values[protocol]) == {("partial_r2", "eye_tracking"), ("partial_r2", "self_paced")}
        assert not set(COUNTS) & set(tables[protocol])


def assert_has_counts_for_surprisal(values) -> None:
    for subset in ("eye_tracking", "self_paced"):
        head, tokens = values["partial_r2", subset], values["partial_r2_tokens", subset]
        assert (head.value, head.ci_low, head.ci_high) == pytest.approx((tokens.value, tokens.ci_low, tokens.ci_high))
        beyond = values["partial_r2_beyond_tokens", subset]
        assert (beyond.value, beyond.ci_low, beyond.chance) == (None, None, None)
        assert beyond.note == "surprisal is a combination of the other predictors"


def test_a_uniform_model_knows_the_numbers_of_tokens_and_no_more(tiny_folder, tmp_path):
    model = uniform(tiny_folder("llama", "bos", positions=256), tmp_path / "uniform")
    values, tables = evaluated(model, tmp_path / "out", split="mini")
    table = tables["robust"]
    assert table["surprisal"].to_numpy() == pytest.approx(table["token_count"].to_numpy() * math.log(330))
    assert_has_counts_for_surprisal(values["robust"])


def test_a_uniform_model_with_a_trained_tokenizer_beats_the_trained_model(shared, tmp_path):
    """The reference counts the tokens behind each context itself, and asks no model."""
    values, _ = evaluated(
        uniform(shared / "models/tiny-llama", tmp_path / "uniform"), tmp_path / "out", data_dir=shared / "evaluation_data"
    )
    tokenizer = AutoTokenizer.from_pretrained(shared / "models/tiny-llama")

    def tokens(context: str, word: str) -> int:
        offsets = tokenizer(f"{context} {word}", return_offsets_mapping=True, add_special_tokens=False)["offset_mapping"]
        return sum(end > len(context) for _, end in offsets)

    path = shared / "evaluation_data/full_eval/reading/reading_data.csv"
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    table = pd.DataFrame(
        {name: pd.to_numeric(pd.Series([row[name] for row in rows])) for name in (*PREDICTORS, *EYE_TRACKING, SELF_PACED)}
    )
    table["token_count"] = [tokens(row["item"] or "None", row["word"]) for row in rows]
    table["previous_token_count"] = [tokens(r["prev_item"], r["prev_word"]) if r["prev_item"] else math.nan for r in rows]
    table["previous_surprisal"] = table["previous_token_count"]
    eye, self_paced, *chances = shares(table, [], COUNTS)
    assert (eye, self_paced) == pytest.approx((4.75, 2.25), abs=0.005)
    assert chances == pytest.approx([100 / 1689, 200 / 1486], rel=1e-9)
    found = values["robust"]
    assert (found["partial_r2", "eye_tracking"].value, found["partial_r2", "self_paced"].value) == pytest.approx(
        (eye, self_paced)
    )
    head = found["partial_r2", "eye_tracking"]
    assert (head.ci_low, head.ci_high, head.chance) == pytest.approx((3.17, 6.68, chances[0]), abs=0.005)
    assert_has_counts_for_surprisal(found)
