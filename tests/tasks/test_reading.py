"""Reading times: the table, what is asked of each word, bad input, and the official numbers (protocol.md, section 4; D10 to D12)."""

from __future__ import annotations

import csv
import json
import math
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf
import torch
from asking import encoder, opened, rows_of
from tiny import make_model
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

import babyeval
from babyeval.data.lookup import DataFile, DataSource, find_data
from babyeval.errors import DataError, ModelError
from babyeval.models.checkpoint import from_memory
from babyeval.official.submission import make_submission, official_text
from babyeval.protocols import PROTOCOLS
from babyeval.reading import COLUMNS, EYE_TRACKING, MEASURES, SELF_PACED
from babyeval.registry import get_task
from babyeval.scoring.engine import Engine
from babyeval.types import Row, Span
from babyeval.validate import validate_task

ROW = dict.fromkeys(COLUMNS, "2.5") | {
    "item": "The gardener", "word": "pruned", "prev_item": "The", "prev_word": "gardener", "sent_id": "7", "length": "6"
}  # fmt: skip
FIRST = ROW | {"item": "The", "word": "gardener", "prev_item": "", "prev_word": ""}


def written(folder: Path, *rows: dict[str, str], header: tuple[str, ...] = COLUMNS) -> DataSource:
    path = folder / "reading_data.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, header, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return described(path)


def described(path: Path) -> DataSource:
    return DataSource("full", (DataFile(path, path.name, "", path.stat().st_size),))


def items(source: DataSource):
    return get_task("reading").items(source)


def test_a_word_stands_in_its_sentence(tmp_path):
    first, second = items(written(tmp_path, FIRST, ROW))
    assert first.spans == (Span("The gardener", 3),)
    assert second.spans == (Span("The gardener pruned", 12), Span("The gardener", 3))
    assert (second.subset, second.cluster, second.place) == ("reading", "sentence-7", "reading_data, line 3")
    assert (second.gold, second.numbers["length"]) == (2.5, 6.0)
    assert set(second.numbers) == {*MEASURES, "Subtlex_log10", "length", "context_length", "prev_length"}


def test_an_empty_context_is_the_word_none(tmp_path):
    """Who made the table read a sentence that begins with "None" as one that lacks its first word."""
    (item,) = items(written(tmp_path, FIRST | {"item": "", "word": "of"}))
    assert item.spans == (Span("None of", 4),)


def test_missing_numbers_are_not_zero(tmp_path):
    (item,) = items(written(tmp_path, ROW | {"Subtlex_log10": "", SELF_PACED: ""}))
    assert math.isnan(item.numbers["Subtlex_log10"])
    assert math.isnan(item.gold)


def test_missing_columns_are_named(tmp_path):
    header = tuple(name for name in COLUMNS if name not in ("word", "RTgopast"))
    with pytest.raises(DataError, match="lacks the columns 'word', 'RTgopast'") as caught:
        items(written(tmp_path, ROW, header=header))
    assert caught.value.where.endswith("reading_data.csv, line 1")
    assert "'item'" in caught.value.hint


def test_columns_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="names a column twice: 'length', 'word'") as caught:
        items(written(tmp_path, ROW, header=(*COLUMNS, "word", "length", "other")))
    assert caught.value.where.endswith("reading_data.csv, line 1")


def test_an_empty_file_lacks_all_columns(tmp_path):
    path = tmp_path / "reading_data.csv"
    path.write_bytes(b"")
    with pytest.raises(DataError, match="lacks the columns 'item'"):
        items(described(path))


def test_bytes_that_are_no_utf8_are_placed(tmp_path):
    source = written(tmp_path, FIRST, ROW)
    path = source.files[0].path
    content = path.read_bytes()
    at = content.index(b"pruned")
    path.write_bytes(content[:at] + b"\xe9" + content[at:])
    with pytest.raises(DataError, match=rf"byte {at} is 0xe9") as caught:
        items(described(path))
    assert caught.value.where.endswith("reading_data.csv, line 3")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"word": ""}, "'word' is not a non-empty string"),
        ({"prev_word": ""}, "'prev_word' is not a non-empty string"),
        ({"sent_id": ""}, "'sent_id' is not a non-empty string"),
        ({"RTfirstfix": "fast"}, "'RTfirstfix' is no number: 'fast'"),
        ({"length": "inf"}, "'length' is no number"),
        ({"N400": "nan"}, "'N400' is no number"),
    ],
)
def test_a_wrong_cell_is_named_with_its_line(change, message, tmp_path):
    with pytest.raises(DataError, match=message) as caught:
        items(written(tmp_path, FIRST, ROW | change))
    assert caught.value.where.endswith("reading_data.csv, line 3")


def test_a_file_that_ends_inside_a_row_is_named(tmp_path):
    source = written(tmp_path, FIRST, ROW)
    path = source.files[0].path
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"cells, and the file has \d+ columns") as caught:
        items(described(path))
    assert caught.value.where.endswith("line 3")


def test_a_quote_that_never_ends_is_named(tmp_path):
    path = written(tmp_path, FIRST).files[0].path
    path.write_bytes(path.read_bytes() + b'"The gard')
    with pytest.raises(DataError, match="not valid CSV"):
        items(described(path))


def answers(folder: Path, found, protocol: str):
    checkpoint = opened(folder)
    engine = Engine(checkpoint, device="cpu")
    try:
        return [rows_of(engine, part) for part in get_task("reading").encode(found, encoder(checkpoint, protocol))]
    finally:
        engine.close()


@pytest.mark.parametrize("kind", ["bos", "bos_eos", "sentencepiece"])
def test_robust_takes_the_words_tokens_from_one_tokenisation_of_the_sentence(tiny_folder, kind, tmp_path):
    """Every token that ends behind the context's last character counts; what the tokenizer appends does not (D10, D11)."""
    folder = tiny_folder("llama", kind)
    (found,) = items(written(tmp_path, ROW))
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForCausalLM.from_pretrained(folder).eval()
    expected = []
    for context, word in (("The gardener", "pruned"), ("The", "gardener")):
        coded = tokenizer(f"{context} {word}", return_offsets_mapping=True)
        with torch.no_grad():
            scores = torch.log_softmax(model(torch.tensor([coded["input_ids"]])).logits[0].double(), -1)
        scored = [i for i, (_, end) in enumerate(coded["offset_mapping"]) if end > len(context)]
        expected.append(sum(scores[i - 1, coded["input_ids"][i]].item() for i in scored))
    (rows,) = answers(folder, [found], "robust")
    assert [row.total for row in rows] == pytest.approx(expected, abs=1e-4)


def test_a_token_that_straddles_the_space_belongs_to_the_word(tmp_path):
    """Letters, and one token "r p" over the end of the context, the space, and the beginning of the word."""
    letters = sorted(set("The gardener pruned"))
    vocabulary = {token: i for i, token in enumerate(["<s>", *letters, "r ", "r p"])}
    letter_wise = Tokenizer(BPE(vocabulary, [("r", " "), ("r ", "p")]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letter_wise, bos_token="<s>")  # noqa: S106
    checkpoint = from_memory(make_model("llama", tokenizer), tokenizer)
    ((word, _),) = get_task("reading").encode(items(written(tmp_path, ROW)), encoder(checkpoint))
    targets = [read.target for query in word.queries for read in query.reads]
    assert tokenizer.convert_ids_to_tokens(targets) == ["r p", *"runed"]


def test_the_official_previous_context_none_is_missing(tiny_folder, tmp_path):
    found = items(written(tmp_path, ROW | {"item": "None of", "word": "the", "prev_item": "None", "prev_word": "of"}, ROW))
    folder = tiny_folder("llama", "bos")
    assert [len(rows) for rows in answers(folder, found, "babylm-2025")] == [1, 2]
    assert [len(rows) for rows in answers(folder, found, "robust")] == [2, 2]


def outcomes(found, rows, protocol):
    return get_task("reading").outcomes(found, rows, PROTOCOLS[protocol])


@pytest.mark.parametrize("value", [math.nan, -math.inf])
def test_a_surprisal_that_is_not_finite_is_refused_or_left_out(value, tmp_path):
    found = items(written(tmp_path, FIRST, ROW))
    rows = [[Row((-2.0,))], [Row((-1.0, value)), Row((-2.0,))]]
    with pytest.raises(ModelError):
        outcomes(found, rows, "robust")
    first, second = outcomes(found, rows, "babylm-2025")
    assert (first.variants["surprisal"], first.variants["previous_surprisal"]) == (2.0, None)
    assert (second.variants["surprisal"], second.variants["previous_surprisal"]) == (None, 2.0)


def test_a_word_that_has_no_tokens_is_refused(tmp_path):
    found = items(written(tmp_path, FIRST))
    with pytest.raises(ModelError, match="no token that can be scored"):
        outcomes(found, [[Row(())]], "babylm-2025")


# ---- the bundled split


def mini():
    task = get_task("reading")
    return task.items(find_data(task.card, task.home, "mini", None))


def test_the_bundled_split_is_valid():
    findings = [f for f in validate_task(get_task("reading")) if f.check.startswith(("card", "README", "mini"))]
    assert len(findings) >= 7
    assert [finding for finding in findings if finding.state != "right"] == []


def test_words_of_the_bundled_split_follow_each_other():
    content = list(csv.DictReader((get_task("reading").home / "mini.csv").open(encoding="utf-8")))
    assert (len(content), len({row["sent_id"] for row in content})) == (79, 12)
    for row, item in zip(content, mini(), strict=True):
        assert f"{item.spans[0].text} ".startswith(f"{row['item']} ")
        assert row["sentence"].startswith(item.spans[0].text)
        assert int(row["context_length"]) == len(row["item"].split())
        assert int(row["length"]) == len(row["word"].strip("."))
        assert len(item.spans) == 1 + (int(row["context_length"]) > 1)
        assert (f"{row['prev_item']} {row['prev_word']}".strip() or row["item"]) == row["item"]
    assert {len(items) for items in Counter(row["sentence"] for row in content).items()} == {2}


def test_no_sentence_is_the_benchmarks(shared):
    theirs = set(pd.read_csv(shared / "evaluation_data/full_eval/reading/reading_data.csv")["sentence"].str.lower())
    ours = {row["sentence"].lower() for row in csv.DictReader((get_task("reading").home / "mini.csv").open(encoding="utf-8"))}
    assert len(ours) == 12
    assert ours & theirs == set()


def test_a_run_on_the_bundled_split_has_two_headlines(tiny_folder, tmp_path):
    results = babyeval.evaluate(tiny_folder("llama", "bos"), ["reading"], split="mini", protocol="all", out=tmp_path)
    assert [result.status for result in results] == ["done"] * 3, [result.error for result in results]
    for result in results:
        assert [(head.metric, head.subset, head.unit) for head in result.headlines] == [
            ("partial_r2", "eye_tracking", "percent"), ("partial_r2", "self_paced", "percent")
        ]  # fmt: skip
        assert (result.counts.items, result.provenance.dtype) == (79, "float32")
    one, other = ([score.model_dump() for score in result.scores] for result in results[1:])
    assert one == other, "both years compute the same"


# ---- the official numbers


@pytest.fixture(scope="module", params=["tiny-llama", "tiny-bert"])
def run(request, shared, tmp_path_factory):
    """Results, tables and golden numbers of a trained checkpoint."""
    out = tmp_path_factory.mktemp("run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BABYEVAL_CACHE", str(tmp_path_factory.mktemp("cache")))
        results = babyeval.evaluate(
            shared / "models" / request.param, ["reading"], protocol="all", data_dir=shared / "evaluation_data", out=out
        )
    assert [result.status for result in results] == ["done"] * 3, [result.error for result in results]
    tables = {r.protocol: pd.read_parquet(next(out.glob(f"**/{r.protocol}/items.parquet"))) for r in results}
    golden = json.loads((shared / "golden" / f"{request.param}.babylm-2025.json").read_text(encoding="utf-8"))
    golden["tasks"]["reading"]["results"] = out
    return request.param, {result.protocol: result for result in results}, tables, golden["tasks"]["reading"]


def test_official_surprisals(run):
    _, _, tables, golden = run
    for protocol in ("babylm-2025", "babylm-2026"):
        table = tables[protocol]
        assert len(table) == 1726
        np.testing.assert_allclose(table["surprisal"], golden["surprisal_nats"], atol=1e-3, rtol=0)
        expected = np.array(golden["previous_surprisal_nats"], float)
        assert np.isnan(expected).sum() == 206
        np.testing.assert_allclose(table["previous_surprisal"].astype(float), expected, atol=1e-3, rtol=0)


def test_official_scores(run):
    _, results, _, golden = run
    for protocol in ("babylm-2025", "babylm-2026"):
        eye, self_paced = (head.value for head in results[protocol].headlines)
        assert eye == pytest.approx(golden["eye_tracking_score"], abs=0.006)
        assert self_paced == pytest.approx(golden["self_paced_score"], abs=0.006)


@pytest.mark.parametrize("year", ["babylm-2025", "babylm-2026"])
def test_a_submission_holds_the_surprisals_row_by_row(run, year):
    _, _, _, golden = run
    submission = make_submission(golden["results"], year)
    rows = submission.content["reading"]["reading"]["predictions"]
    assert "reading" not in submission.missing
    assert [row["id"] for row in rows] == list(range(1726))
    assert [row["pred"] for row in rows] == pytest.approx(golden["surprisal_nats"], abs=1e-3)
    assert [row["prev_pred"] for row in rows] == pytest.approx(golden["previous_surprisal_nats"], abs=1e-3, nan_ok=True)
    assert '"prev_pred": NaN' in official_text(submission.content)


@pytest.mark.parametrize(("part", "group"), [("without_spillover", "measure"), ("with_spillover", "measure_spillover")])
def test_official_regressions(run, part, group):
    _, results, _, golden = run
    values = {(s.metric, s.subset): s.value for s in results["babylm-2025"].scores if s.group == group}
    names = {
        "Coefficient": "coefficient", "Number of standard deviations": "t", "P-value": "p_value", "R2": "r2",
        "Change in R2 from baseline": "delta_r2", "AIC": "aic", "Change in AIC from baseline": "delta_aic",
    }  # fmt: skip
    assert {row["Predicted variable"] for row in golden[part]} == set(MEASURES)
    for row in golden[part]:
        for official, ours in names.items():
            assert values[ours, row["Predicted variable"]] == pytest.approx(row[official], rel=1e-3), (official, row)


def test_the_words_in_place_tell_more_under_the_same_regression(run):
    """For eye tracking both protocols have one regression: only the surprisals differ (D11)."""
    model, results, tables, _ = run
    scores = []
    for protocol in ("babylm-2025", "robust"):
        table = tables[protocol].dropna(subset=["Subtlex_log10"])
        partial = []
        for measure in EYE_TRACKING:
            base = smf.ols(f"{measure} ~ (Subtlex_log10 + length + context_length) ** 2", table).fit()
            full = smf.ols(f"{measure} ~ (Subtlex_log10 + length + context_length) ** 2 + surprisal", table).fit()
            partial.append(100 * (full.rsquared - base.rsquared) / (1 - base.rsquared))
        scores.append(sum(partial) / 4)
        assert results[protocol].headline.value == pytest.approx(scores[-1], rel=1e-6)
    if model == "tiny-llama":
        assert scores == [pytest.approx(0.20, abs=0.006), pytest.approx(1.21, abs=0.02)]
    assert scores[1] > scores[0]


def test_robust_figures_follow_from_the_exported_table(run):
    _, results, tables, _ = run
    table = tables["robust"].astype({"previous_surprisal": float})
    values = {(s.metric, s.group, s.subset): s for s in results["robust"].scores}
    words = "(Subtlex_log10 + length + context_length) ** 2"
    common = "(Subtlex_log10 + length + context_length + prev_length) ** 2"
    for measure in MEASURES:
        for group, base, added in (
            ("measure", words, ["surprisal"]),
            ("measure_spillover", common, ["surprisal", "previous_surprisal"]),
        ):
            rows = table.dropna(subset=["Subtlex_log10", *added])
            less = smf.ols(f"{measure} ~ {base}", rows).fit()
            clusters = {"groups": pd.factorize(rows["cluster"])[0]}
            more = smf.ols(f"{measure} ~ {base} + {' + '.join(added)}", rows).fit(
                cov_type="cluster", cov_kwds=clusters, use_t=True
            )
            head = values["partial_r2", group, measure]
            assert head.value == pytest.approx(100 * (more.rsquared - less.rsquared) / (1 - less.rsquared), rel=1e-6)
            assert (head.n, head.n_clusters) == (len(rows), rows["cluster"].nunique())
            for metric, expected in (
                ("coefficient", more.params["surprisal"]), ("t", more.tvalues["surprisal"]), ("r2", more.rsquared),
                ("p_value", more.pvalues["surprisal"]), ("aic", more.aic), ("delta_aic", more.aic - less.aic),
            ):  # fmt: skip
                assert values[metric, group, measure].value == pytest.approx(expected, rel=1e-5, abs=1e-12), (metric, measure)
        gains = (table[f"ll_full_{measure}"] - table[f"ll_base_{measure}"]).dropna().astype(float)
        place = ("", "self_paced") if measure == SELF_PACED else ("measure", measure)
        found = values[("delta_log_likelihood", *place)]
        assert (found.value, found.n) == (pytest.approx(1000 * gains.mean()), len(gains))
