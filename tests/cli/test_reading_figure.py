"""babyeval results figure: images of the right format, whose data are what statsmodels gives, and clear refusals."""

from __future__ import annotations

import shutil
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import statsmodels.formula.api as smf

from babyeval.errors import UsageError
from babyeval.reading import EYE_TRACKING, SELF_PACED
from babyeval.reading_figure import drawn, with_word_end, write_reading_figure
from babyeval.store import ResultStore
from cli.support import assert_refused, files_in, inside, process, records_in

FIGURE = ("results", "figure", "--task", "reading")
_WORDS = ["Subtlex_log10", "length", "context_length"]


@pytest.fixture(scope="module")
def place(tiny_folder, tmp_path_factory) -> Path:
    """Records of reading under all protocols, and one of another task."""
    root = tmp_path_factory.mktemp("figure")
    command = ("run", "--model", f"m={tiny_folder('llama', 'bos', positions=256)}", "--split", "mini")
    for more in (("--tasks", "reading", "--protocol", "all"), ("--tasks", "wug_adj")):
        done = inside(*command, *more, cwd=root)
        assert done.code == 0, done.err
    return root


def table_of(place: Path, protocol: str) -> pd.DataFrame:
    return pd.read_parquet(next(place.glob(f"results/**/reading/**/{protocol}/items.parquet")))


@pytest.mark.parametrize(("ending", "first"), [("png", b"\x89PNG\r\n"), ("svg", b"<?xml"), ("pdf", b"%PDF-")])
def test_an_image_of_the_format_that_the_name_says(place, ending, first, tmp_path):
    out = tmp_path / "new" / f"reading.{ending}"
    done = process(*FIGURE, "results", "--out", out, cwd=place)  # robust is the default of several protocols
    assert (done.code, done.out) == (0, ""), done.err
    assert f"Wrote {out}" in done.err
    content = out.read_bytes()
    assert content.startswith(first)
    assert files_in(tmp_path) == [f"new/reading.{ending}"]
    if ending == "png":
        width, height = (int.from_bytes(content[at : at + 4]) for at in (16, 20))
        assert width > height > 900
        at, pixels = 8, b""
        while at < len(content):  # whole: every chunk has its checksum
            size, kind = int.from_bytes(content[at : at + 4]), content[at + 4 : at + 8]
            chunk, crc = content[at + 8 : at + 8 + size], content[at + 8 + size : at + 12 + size]
            assert zlib.crc32(kind + chunk) == int.from_bytes(crc)
            pixels += chunk if kind == b"IDAT" else b""
            at += 12 + size
        assert len(set(zlib.decompress(pixels))) > 50
    if ending == "svg":
        text = content.decode()
        for words in (
            "surprisal, other predictors",
            "(nats)",
            "reading time",
            "(ms)",
            "Go-past",
            "Self-paced",
            "ms/nat",
            "m (main)",
            "protocol robust, causal",
            "mini: reading times are invented for testing",
        ):
            assert words in text, words


@pytest.mark.parametrize("protocol", ["robust", "babylm-2025"])
def test_what_is_drawn_is_what_statsmodels_gives(place, protocol):
    items = table_of(place, protocol).astype({"previous_surprisal": float})
    found = drawn(items, protocol)
    lines = found.lines.set_index("measure")
    assert list(lines.index) == [*EYE_TRACKING, SELF_PACED]
    for measure in lines.index:
        predictors, added = [*_WORDS], ["surprisal"]
        if measure == SELF_PACED:
            predictors += ["prev_length"]
            (added if protocol == "robust" else predictors).append("previous_surprisal")
        rows = items.dropna(subset=[*predictors, *added, measure]).reset_index(drop=True)
        base = f"({' + '.join(predictors)}) ** 2"
        less = smf.ols(f"{measure} ~ {base}", rows).fit()
        clusters = (
            {"cov_type": "cluster", "cov_kwds": {"groups": pd.factorize(rows["cluster"])[0]}} if protocol == "robust" else {}
        )
        more = smf.ols(f"{measure} ~ {base} + {' + '.join(added)}", rows).fit(use_t=True, **clusters)
        points = found.points[found.points["measure"] == measure].reset_index(drop=True)
        assert points["item_id"].tolist() == rows["item_id"].tolist()
        np.testing.assert_allclose(points["observed"], rows[measure])
        np.testing.assert_allclose(points["predicted"], more.fittedvalues, rtol=1e-6)
        others = " + ".join([base, *added[1:]])
        for column, name in (("surprisal_left", "surprisal"), ("time_left", measure)):
            np.testing.assert_allclose(points[column], smf.ols(f"{name} ~ {others}", rows).fit().resid, atol=1e-6)
        line = lines.loc[measure]
        slope = np.polyfit(points["surprisal_left"], points["time_left"], 1)
        np.testing.assert_allclose(slope, [more.params["surprisal"], 0], atol=1e-6)
        assert [line["coefficient"], line["low"], line["high"]] == pytest.approx(
            [more.params["surprisal"], *more.conf_int().loc["surprisal"]], rel=1e-5
        )
        assert (line["r2"], line["r2_base"]) == (pytest.approx(more.rsquared), pytest.approx(less.rsquared))
        assert (line["n"], line["clusters"]) == (len(rows), rows["cluster"].nunique())


def test_a_table_that_lacks_a_column_or_rows_is_refused(place):
    items = table_of(place, "robust")
    with pytest.raises(UsageError, match="'length'"):
        drawn(items.drop(columns="length"), "robust")
    with pytest.raises(UsageError, match="too few"):
        drawn(items.head(6), "robust")


def test_the_corrected_surprisals_take_the_place_of_the_plain_ones(place):
    items = table_of(place, "robust")
    with pytest.raises(UsageError, match="'surprisal_word_end'"):
        with_word_end(items)
    doubled = {f"{name}_word_end": 2 * items[name] for name in ("surprisal", "previous_surprisal")}
    plain, corrected = drawn(items, "robust").lines, drawn(with_word_end(items.assign(**doubled)), "robust").lines
    np.testing.assert_allclose(corrected["coefficient"], plain["coefficient"] / 2, rtol=1e-6)


def test_invented_reading_times_are_marked_under_the_table(place):
    shown = inside("results", "show", "--task", "reading", cwd=place).out
    assert shown.count("mini: reading times are invented for testing; report none of these numbers.") == 1
    assert "invented" not in inside("results", "show", "--task", "wug_adj", cwd=place).out


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (("--out", "a.png", "--split", "full"), 3, ("No record fits --split full", "mini")),
        (("--out", "a.png", "--model", "none"), 3, ("No record fits --model none", "there is m")),
        (("--out", "a.png", "--revision", "chck_1M"), 3, ("chck_1M", "main")),
        (("--out", "a.png", "--task", "wug_adj"), 2, ("no figure of 'wug_adj'", "--task reading")),
        (("--out", "a.png", "--task", "blimp"), 3, ("No record fits --task blimp",)),
        (("--out", "a.jpeg", "--protocol", "robust"), 2, (".svg, .png, .pdf",)),
        (("--protocol", "robust"), 2, ("--out is missing",)),
    ],
)
def test_refused(place, options, code, words):
    before = files_in(place)
    assert_refused(inside(*FIGURE, *options, cwd=place), code, *words)
    assert files_in(place) == before


def test_a_table_that_was_changed_is_refused(place, tmp_path):
    shutil.copytree(place / "results", tmp_path / "results")
    path = next(path for path in records_in(tmp_path / "results") if path.parent.name == "robust" and "reading" in path.parts)
    (path.parent / "items.parquet").write_bytes(b"PAR1")
    done = inside(*FIGURE, "--protocol", "robust", "--out", "a.png", cwd=tmp_path)
    assert_refused(done, 2, "not the one that was written", "Run the task again")
    assert not (tmp_path / "a.png").exists()


def test_a_name_with_dollar_signs_is_drawn_as_it_is(place, tmp_path):
    old = ResultStore(place / "results").read(next(place.glob("results/**/reading/**/robust/result.json")))
    named = old.model_copy(update={"model": old.model.model_copy(update={"name": "$x_$"})})
    store = ResultStore(tmp_path / "results")
    write_reading_figure(store, store.write(named, table_of(place, "robust")), tmp_path / "reading.svg")
    drawn_text = (tmp_path / "reading.svg").read_text()
    assert "$x_$ (main)" in drawn_text
    assert "partial R² " in drawn_text
