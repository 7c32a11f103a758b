"""Reading times with surprisals corrected for the word's end: beside the plain scores, which they do not change."""

from __future__ import annotations

import math

import pandas as pd
import pytest
import statsmodels.formula.api as smf
from brute import Brute
from cli.support import assert_refused, files_in, inside, refuse_weights

import babyeval
from babyeval.data.lookup import find_data
from babyeval.reading import EYE_TRACKING, SELF_PACED
from babyeval.registry import get_task

EXTRA = ["surprisal_word_end", "previous_surprisal_word_end"]


def table_of(out, protocol="robust"):
    return pd.read_parquet(next(out.glob(f"**/{protocol}/items.parquet")))


@pytest.fixture(scope="module")
def runs(tiny_folder, tmp_path_factory):
    """The bundled split, plain and corrected: results by protocol, and where they lie."""
    made = {}
    for word_end in ("none", "corrected"):
        out = tmp_path_factory.mktemp(word_end)
        options = {"split": "mini", "protocol": "all", "word_end": word_end}
        results = babyeval.evaluate(tiny_folder("llama", "bos", positions=256), ["reading"], out=out, **options)
        assert [result.status for result in results] == ["done"] * 3, [result.error for result in results]
        made[word_end] = {result.protocol: result for result in results}, out
    return made


def test_plain_scores_counts_and_columns_stay(runs):
    (plain, out), (corrected, other) = runs["none"], runs["corrected"]
    for protocol in plain:
        kept = [score for score in corrected[protocol].scores if not score.metric.endswith("_word_end")]
        assert kept == list(plain[protocol].scores)
        assert (corrected[protocol].headlines, corrected[protocol].counts) == (plain[protocol].headlines, plain[protocol].counts)
        extra = EXTRA if protocol == "robust" else []
        table = table_of(other, protocol)
        assert [name for name in table if name.endswith("_word_end")] == extra
        assert table.drop(columns=extra).equals(table_of(out, protocol)[table.columns.drop(extra)])
        assert corrected[protocol].provenance.word_end == ("corrected" if protocol == "robust" else "none")


def test_values_are_those_of_plain_forward_passes(runs, tiny_folder):
    brute = Brute(tiny_folder("llama", "bos", positions=256), masked=False)
    tokenizer = brute.tokenizer
    ends = [i for token, i in tokenizer.get_vocab().items() if token[0] in "ĠĊčĉċČĜĝĞğ" or token in ("<s>", "<pad>")]
    task = get_task("reading")
    table = table_of(runs["corrected"][1])
    items = task.items(find_data(task.card, task.home, "mini", None))
    for item, (_, row) in zip(items, table.iterrows(), strict=True):
        for span, name in zip(item.spans, ("surprisal", "previous_surprisal"), strict=False):
            coded = tokenizer(span.text, return_offsets_mapping=True)
            ids = coded["input_ids"]
            first = next(i for i, (_, end) in enumerate(coded["offset_mapping"]) if end > span.start)
            logprobs = brute.logprobs(ids)
            total = sum(float(logprobs[i - 1, ids[i]]) for i in range(first, len(ids)))
            gained = float(logprobs[-1, ends].logsumexp(-1) - logprobs[first - 1, ends].logsumexp(-1))
            assert row[name] == pytest.approx(-total, abs=1e-5)
            assert row[f"{name}_word_end"] == pytest.approx(-total - gained, abs=1e-5)
        assert len(item.spans) == 2 or math.isnan(row["previous_surprisal_word_end"])


def test_scores_follow_from_the_exported_columns(runs):
    results, out = runs["corrected"]
    table = table_of(out)
    values = {(s.metric, s.group, s.subset): s for s in results["robust"].scores}
    words = "(Subtlex_log10 + length + context_length) ** 2"
    common = "(Subtlex_log10 + length + context_length + prev_length) ** 2"
    cases = [("measure", measure, words, EXTRA[:1]) for measure in EYE_TRACKING]
    eye = []
    for group, measure, base, added in (*cases, ("measure_spillover", SELF_PACED, common, EXTRA)):
        rows = table.dropna(subset=["Subtlex_log10", *added]).astype(dict.fromkeys(added, float))
        less = smf.ols(f"{measure} ~ {base}", rows).fit()
        more = smf.ols(f"{measure} ~ {base} + {' + '.join(added)}", rows)
        more = more.fit(cov_type="cluster", cov_kwds={"groups": pd.factorize(rows["cluster"])[0]}, use_t=True)
        partial = 100 * (more.rsquared - less.rsquared) / (1 - less.rsquared)
        assert values["partial_r2_word_end", group, measure].value == pytest.approx(partial, rel=1e-6)
        slope = values["coefficient_word_end", group, measure]
        assert slope.value == pytest.approx(more.params[added[0]], rel=1e-6)
        assert [slope.ci_low, slope.ci_high] == pytest.approx(more.conf_int().loc[added[0]].tolist(), rel=1e-5)
        assert values["p_value_word_end", group, measure].value == pytest.approx(more.pvalues[added[0]], rel=1e-5)
        eye += [partial] if measure in EYE_TRACKING else []
    whole = values["partial_r2_word_end", "", "eye_tracking"]
    assert whole.value == pytest.approx(sum(eye) / 4)
    assert whole.ci_low < whole.ci_high
    assert values["partial_r2_word_end", "", "self_paced"].value == pytest.approx(partial)
    assert {("delta_log_likelihood_word_end", "", subset) for subset in ("eye_tracking", "self_paced")} <= values.keys()


def test_the_corrected_record_lies_apart_and_is_kept(tiny_folder, tmp_path):
    """As any option of scoring it is part of the backend's label, so neither takes the other's place."""
    folder = tiny_folder("llama", "bos", positions=256)

    def run(word_end):
        (result,) = babyeval.evaluate(folder, ["reading"], split="mini", out=tmp_path, word_end=word_end)
        return result, {path.parents[1].name: path.stat().st_mtime_ns for path in tmp_path.glob("**/result.json")}

    plain, first = run("none")
    corrected, second = run("corrected")
    assert (plain.backend, corrected.backend) == ("causal", "causal-corrected")
    assert second == first | {"mini-causal-corrected": second["mini-causal-corrected"]}
    assert len(corrected.scores) > len(plain.scores)
    assert run("corrected") == (corrected, second)
    assert run("none") == (plain, second)


def test_masked_models_are_refused_before_any_work(tiny_folder, tmp_path, monkeypatch):
    refuse_weights(monkeypatch)
    model = tiny_folder("bert", "cls_sep")
    done = inside("run", "--model", model, "--tasks", "reading", "--split", "mini", "--word-end", "corrected", cwd=tmp_path)
    assert_refused(done, 2, "--word-end corrected", "left to right", "mlm", "causal and enc-dec-prefix")
    assert not [name for name in files_in(tmp_path) if name.startswith("results")]


def test_the_command_shows_both_and_says_where_there_is_nothing_to_correct(tiny_folder, tmp_path):
    command = ("run", "--model", tiny_folder("llama", "bos", positions=256), "--split", "mini", "--word-end", "corrected")
    done = inside(*command, "--tasks", "reading", cwd=tmp_path)
    assert done.code == 0, done.err
    shown = [
        line.split()[:2]
        for line in done.out.splitlines()
        if line.lstrip().startswith(("reading eye", "reading self", "partial_r2_word_end"))
    ]
    assert shown == [[name, of] for name in ("reading", "partial_r2_word_end") for of in ("eye_tracking", "self_paced")]
    none = inside(*command, "--tasks", "wug_adj", cwd=tmp_path)
    assert none.code == 0
    assert none.err.count("adds nothing here") == 1
