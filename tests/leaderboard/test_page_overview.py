"""The overview in a browser: numbers, sorting, filters, the best, CSV, theme, keyboard."""

from __future__ import annotations

import csv

import pytest
from page_support import FORMULA, make_payload, write_page

PAYLOAD = make_payload()
SHOWN = "[...document.querySelectorAll('.scores tbody tr')].map(row => row.querySelector('th a').textContent)"


def column(page, key):
    """What the table shows of a column, from top to bottom: unrounded numbers, '' where there is none."""
    return page.evaluate(
        """key => {
            const at = [...document.querySelectorAll('.scores thead tr:last-child th')].findIndex(th => th.dataset.key === key) + 2;
            return [...document.querySelectorAll('.scores tbody tr')].map(row => row.children[at].querySelector('data').value);
        }""",
        key,
    )


def head(page, title):
    return page.get_by_role("columnheader", name=title).get_by_role("button")


def test_numbers_on_the_page_are_the_payloads(visit, site):
    page = visit(site)
    ids = page.evaluate("[...document.querySelectorAll('.scores tbody tr')].map(row => row.dataset.model)")
    assert sorted(ids, key=int) == [str(model["id"]) for model in PAYLOAD["models"]]
    for key, cells in PAYLOAD["scores"].items():
        expected = [cells.get(i, {"value": None})["value"] for i in ids]
        assert [float(text) if text else None for text in column(page, key)] == expected, key
    first = PAYLOAD["scores"]["blimp"][ids[0]]
    text = page.locator(f"tr[data-model='{ids[0]}'] td[data-key='blimp']").inner_text()
    assert f"{first['value']:.1f}" in text
    assert f"{first['low']:.1f}–{first['high']:.1f}" in text


def test_headers_sort_both_ways_and_say_so(visit, site):
    page = visit(site)
    for title, key, higher in (("BLiMP ", "blimp", True), ("Surprisal per word", "perplexity", False)):
        button = page.locator(f"th[data-key='{key}'] button")
        button.click()
        values = [float(text) for text in column(page, key) if text]
        assert values == sorted(values, reverse=higher), title
        assert page.locator(f"th[data-key='{key}']").get_attribute("aria-sort") == ("descending" if higher else "ascending")
        button.click()
        assert [float(text) for text in column(page, key) if text] == sorted(values, reverse=not higher)
    assert page.locator("[aria-sort]").count() == 1
    page.locator("th[data-key='wug_adj'] button").click()
    assert column(page, "wug_adj")[-1] == ""  # undefined is last
    page.locator("th[data-key='wug_adj'] button").click()
    assert column(page, "wug_adj")[-1] == ""  # ... in both directions


def test_average_rank_is_over_what_all_models_shown_have(visit, site):
    from scipy.stats import rankdata

    page = visit(site)
    scores = PAYLOAD["scores"]
    ids = [str(model["id"]) for model in PAYLOAD["models"]]
    shared = [key for key, cells in scores.items() if all(cells.get(i, {"value": None})["value"] is not None for i in ids)]
    assert len(shared) == len(scores) - 2
    total = [0.0] * len(ids)
    for key in shared:
        sign = 1 if key == "perplexity" else -1
        for i, rank in enumerate(rankdata([sign * scores[key][i]["value"] for i in ids])):
            total[i] += rank / len(shared)
    shown = {
        row["id"]: row["rank"]
        for row in page.evaluate(
            "[...document.querySelectorAll('.scores tbody tr')].map(row => ({id: row.dataset.model, rank: +row.children[1].querySelector('data').value}))"
        )
    }
    assert shown == pytest.approx(dict(zip(ids, total, strict=True)))
    assert list(shown.values()) == sorted(shown.values())
    assert f"over {len(shared)} of {len(scores)} columns" in page.locator("#shown").inner_text()


def test_best_of_a_column_are_marked_not_by_colour_alone(visit, site):
    page = visit(site)
    for key, best in PAYLOAD["best"].items():
        marked = page.locator(f".scores td.best[data-key='{key}']")
        assert sorted(int(marked.nth(i).locator("..").get_attribute("data-model")) for i in range(marked.count())) == sorted(
            best
        ), key
        assert "●" in marked.first.inner_text()
        assert "among the best" in marked.first.text_content()


def test_filters_narrow_the_rows(visit, site):
    page = visit(site)
    page.get_by_label("Find").fill("MERGED seed_2")
    assert page.evaluate(SHOWN) == ["it_merged-seed_2"]
    assert "1 of 8 models" in page.locator("#shown").inner_text()
    page.get_by_label("Find").fill("")
    page.get_by_label("Family").select_option("mlm")
    page.get_by_label("Parameters").select_option("below 10M")
    expected = [m["label"] for m in PAYLOAD["models"] if m["kind"] == "mlm" and m["parameters"] < 10_000_000]
    assert sorted(page.evaluate(SHOWN)) == sorted(expected)
    page.get_by_label("Parameters").select_option("")
    page.get_by_label("Family").select_option("")
    page.get_by_label("Condition").select_option("base")
    assert sorted(page.evaluate(SHOWN)) == ["base-seed_1", "base-seed_2"]
    page.get_by_label("Fine-tuning").uncheck()
    assert not page.locator("th[data-key='rte']").is_visible()
    assert page.locator("th[data-key='blimp']").is_visible()


def test_another_protocol_shows_its_numbers_with_intervals_and_no_best(visit, site):
    page = visit(site)
    elements = page.locator(".scores td[data-key='comps'] *").count()
    assert not page.locator("#under").is_visible()
    assert "protocol robust, split full" in page.locator("p.lead").inner_text()
    assert "the best of a column" in page.locator(".legend").inner_text()
    page.get_by_label("Scores under").select_option("babylm-2025")
    ids = page.evaluate("[...document.querySelectorAll('.scores tbody tr')].map(row => row.dataset.model)")
    shown = {i: PAYLOAD["scores"]["blimp"][i]["official"]["babylm-2025"] for i in ids}
    assert [float(v) for v in column(page, "blimp")] == [shown[i][0] for i in ids]
    _, low, high, n, _ = shown[ids[0]]
    cell = page.locator(f"tr[data-model='{ids[0]}'] td[data-key='blimp']")
    assert f"{low:.1f}–{high:.1f}" in cell.inner_text()
    assert cell.get_attribute("title") == f"n = {n}; chance 50"
    assert cell.locator("svg path").count() == 2
    head = page.locator(".scores th[data-key='blimp']").inner_text()
    assert "n\u00a0250–257" in head
    assert "chance\u00a050" in head
    assert page.locator(".scores td.best").count() == 0
    assert page.locator(".scores td[data-key='comps'] *").count() <= elements
    note = page.locator("#under").inner_text()
    assert "The best of a column, and comparisons, are of the page’s own protocol, robust" in note
    assert "--protocol babylm-2025" in note
    assert "protocol babylm-2025 (the page’s own is robust)" in page.locator("p.lead").inner_text()
    assert "the best of a column" not in page.locator(".legend").inner_text()
    borders = page.locator(".scores td").evaluate_all(
        "cells => [...new Set(cells.map(cell => getComputedStyle(cell).borderTopWidth))]"
    )
    assert borders == ["0px"]


def test_heads_say_what_the_best_of_a_column_is_worth(visit, tmp_path):
    payload = make_payload(models=4)
    everyone = [model["id"] for model in payload["models"]]
    payload["best"] = {"blimp": everyone, "rte": [0], "wug_adj": [0, 2, 3], "perplexity": everyone}
    payload["mixed"] = {"comps": "different data", "perplexity": "different data"}
    for cell in payload["scores"]["mrpc"].values():
        cell |= {"value": None, "low": None, "high": None}
    page = visit(write_page(payload, tmp_path / "page.html"))
    heads = page.evaluate(
        "Object.fromEntries([...document.querySelectorAll('.scores thead th[data-key]')].map(th => [th.dataset.key, th.innerText]))"
    )
    clear = {key for key, text in heads.items() if "no clear best" not in text}
    untested = {key for key, text in heads.items() if "best not tested" in text}
    assert set(heads) - clear == {"blimp", "wug_adj"}  # of the undefined one there is nothing to tell
    assert untested == set(payload["scores"]) - set(payload["best"]) - {"comps", "mrpc"}
    assert page.locator("td.best[data-key='perplexity']").count() == 0
    assert page.locator("td.best[data-key='blimp'], td[data-key='blimp'] .dot").count() == 0  # nothing is marked


def test_under_another_protocol_heads_tell_nothing_of_the_pages_own(visit, tmp_path):
    payload = make_payload()
    payload["best"] = {"blimp": [model["id"] for model in payload["models"]]}
    payload["mixed"] = {"comps": "different data"}
    payload["mixed_official"] = {"entity_tracking": {"babylm-2025": "different versions of the task"}}
    page = visit(write_page(payload, tmp_path / "page.html"))
    head = lambda key: page.locator(f".scores th[data-key='{key}']").inner_text()  # noqa: E731
    own = {key: head(key) for key in payload["scores"]}
    assert "chance\u00a020" in own["entity_tracking"]
    assert "not alike" not in own["entity_tracking"]
    page.locator("th[data-key='blimp'] button").click()
    page.get_by_label("Scores under").select_option("babylm-2025")
    for key in payload["scores"]:
        for part in ("no clear best", "best not tested"):
            assert part not in head(key), key
    assert "no scores under babylm-2025" in head("wug_adj")
    assert "chance\u00a020" in head("entity_tracking")
    assert "not alike" in head("entity_tracking")
    assert "not alike" not in head("comps")
    assert "lower is better" in head("perplexity")
    cell = page.locator("td[data-key='entity_tracking']").first
    assert "⚠" in cell.inner_text()
    assert cell.get_attribute("title").startswith("not measured alike: different versions of the task; n = ")
    # of the five tasks that all have under it, one is not alike
    having = [key for key, cells in payload["scores"].items() if all(c["official"] for c in cells.values()) and len(cells) == 8]
    assert f"over {len(having) - 1} of {len(payload['scores'])} columns" in page.locator("#shown").inner_text()
    assert page.locator("th[data-key='blimp']").get_attribute("aria-sort") == "descending"
    page.locator("th[data-key='ewok'] button").click()  # the new heads sort too
    values = [float(text) for text in column(page, "ewok")]
    assert values == sorted(values, reverse=True)
    page.get_by_label("Scores under").select_option("")
    assert {key: head(key) for key in own} == own


def test_means_are_called_official_under_official_protocols_alone(visit, tmp_path):
    payload = make_payload()
    payload["protocol"] = "babylm-2025"
    for cell in payload["scores"]["blimp"].values():
        cell["official"] = {name: [cell["value"], None, None, 9, 50.0] for name in ("robust", "babylm-2026")}
    for model in payload["models"]:
        model["official"] = {"babylm-2025": {"zero-shot": 40.0}, "babylm-2026": {"zero-shot": 41.5}}
    page = visit(write_page(payload, tmp_path / "page.html"))
    mean = page.locator("th[data-key='macro:zero-shot']")
    cell = page.locator("td[data-key='macro:zero-shot']").first
    assert "Official mean" in mean.inner_text()
    page.get_by_label("Scores under").select_option("babylm-2026")
    assert "Official mean" in mean.inner_text()
    assert cell.inner_text() == "41.5"
    page.get_by_label("Scores under").select_option("robust")
    assert "Mean over the official list" in mean.inner_text()
    assert cell.get_attribute("title") == "no mean under robust on this page"


def test_means_are_there_where_any_protocol_has_one(visit, tmp_path):
    payload = make_payload()
    payload["macro"] = {}
    page = visit(write_page(payload, tmp_path / "page.html"))
    cells = page.locator("td[data-key='macro:zero-shot']")
    assert {text[0] for text in cells.all_inner_texts()} == {"–"}
    page.get_by_label("Scores under").select_option("babylm-2025")
    assert sorted(cells.locator("data").evaluate_all("all => all.map(d => +d.value)")) == [40 + i / 10 for i in range(8)]
    assert page.locator("th[data-key='macro:reading']").count() == 0
    assert "The official mean is that of the BabyLM pipeline of babylm-2025" in page.locator(".legend").inner_text()


def test_heads_and_csv_say_which_split_a_column_is(visit, tmp_path):
    payload = make_payload(models=3)
    page = visit(write_page(payload, tmp_path / "one.html"))
    assert "split" not in page.locator(".scores thead").inner_text()
    payload["tasks"][0]["split"] = "fast"
    payload["split"] = "full, fast"
    page = visit(write_page(payload, tmp_path / "page.html"))
    assert "split\u00a0fast" in page.locator("th[data-key='blimp']").inner_text()
    assert "split\u00a0full" in page.locator("th[data-key='rte']").inner_text()
    rows = download_csv(page)
    assert [(row["blimp.split"], row["rte.split"]) for row in rows] == [("fast", "full")] * 3


def test_the_legend_says_that_neither_overlap_nor_distance_decides(visit, site):
    legend = visit(site).locator(".legend").inner_text()
    assert "of BLiMP, EWoK it asks about subsets like these" in legend
    assert "neither that two intervals overlap nor that they lie apart decides" in legend


def test_figures_stand_where_they_belong(visit, tmp_path):
    payload = make_payload()
    svg = payload["figures"]["zscores"]["svg"]
    for key in ("effects", "curve:blimp", "reading", "further"):
        payload["figures"][key] = {"title": f"Figure of {key}", "svg": svg}
    address = write_page(payload, tmp_path / "page.html")
    shown = {}
    for view in ("#/", "#/conditions", "#/task/blimp", "#/task/reading", "#/task/rte"):
        captions = visit(address + view).locator("figure.built figcaption").all_text_contents()
        shown[view] = [caption.removesuffix("Save as SVG").strip() for caption in captions]
    assert shown == {
        "#/": ["Figure of further"],
        "#/conditions": ["z-scores of the conditions", "Figure of effects"],
        "#/task/blimp": ["Figure of curve:blimp"],
        "#/task/reading": ["Figure of reading"],
        "#/task/rte": [],
    }


def download_csv(page):
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == "babyeval-leaderboard.csv"
    with download.value.path().open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_calls_no_model_worse_where_nothing_was_tested(visit, tmp_path):
    payload = make_payload(models=4)
    payload["best"] = {"blimp": [2, 3], "ewok": [1], "wug_adj": [0], "comps": [0, 1, 2], "rte": [0, 1, 2, 3]}
    assert "3" not in payload["scores"]["comps"]  # of the others none is told from the best
    payload["mixed"] = {"ewok": "different data"}
    rows = download_csv(visit(write_page(payload, tmp_path / "page.html")))
    ids = {model["digest"]: model["id"] for model in payload["models"]}
    best = {key: {ids[row["digest"]]: row[f"{key}.best"] for row in rows} for key in payload["scores"]}
    assert best["blimp"] == {0: "0", 1: "0", 2: "1", 3: "1"}
    assert best["wug_adj"] == {0: "1", 1: "", 2: "0", 3: "0"}  # an undefined number was not tested
    assert all(set(best[key].values()) == {""} for key in best if key not in ("blimp", "wug_adj"))


def test_csv_holds_what_is_shown_unrounded(visit, tmp_path):
    payload = make_payload(models=4)
    payload["models"][0] |= {"label": FORMULA, "name": 'a "quoted", name\nof two lines'}
    page = visit(write_page(payload, tmp_path / "page.html"))
    page.locator("th[data-key='blimp'] button").click()
    rows = download_csv(page)
    values = [float(row["blimp"]) for row in rows]
    assert values == sorted((cell["value"] for cell in payload["scores"]["blimp"].values()), reverse=True)
    by_digest = {row["digest"]: row for row in rows}
    first = by_digest[payload["models"][0]["digest"]]
    assert first["label"] == f"'{FORMULA}"  # no formula for a spreadsheet
    assert first["name"] == payload["models"][0]["name"]
    assert float(first["rte.low"]) == payload["scores"]["rte"]["0"]["low"]
    assert by_digest[payload["models"][1]["digest"]]["wug_adj"] == ""


def test_csv_of_another_protocol_has_its_intervals(visit, site):
    page = visit(site)
    page.get_by_label("Scores under").select_option("babylm-2025")
    rows = download_csv(page)
    ids = {model["digest"]: str(model["id"]) for model in PAYLOAD["models"]}
    for row in rows:
        told = [float(row[f"blimp{part}"]) for part in ("", ".low", ".high", ".n", ".chance")]
        assert told == PAYLOAD["scores"]["blimp"][ids[row["digest"]]]["official"]["babylm-2025"]
        assert (row["protocol"], row["wug_adj"], row["wug_adj.n"]) == ("babylm-2025", "", "")
    assert not [key for key in rows[0] if key.endswith(".best")]


def test_theme_follows_the_system_and_the_button(visit, site):
    page = visit(site, color_scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    page.get_by_role("button", name="Switch to light mode").click()
    assert page.get_by_role("button", name="Switch to dark mode").is_visible()
    assert page.evaluate(colour) == "rgb(255, 255, 255)" != dark
    page.reload()
    assert page.evaluate(colour) == "rgb(255, 255, 255)"  # the choice is kept


def test_everything_is_reached_by_keyboard(visit, site):
    page = visit(site)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(
            page.evaluate("document.activeElement.id || document.activeElement.className || document.activeElement.tagName")
        )
        if page.evaluate("document.activeElement.closest('th')?.dataset.key") == "ewok":
            break
    assert {"filter-text", "filter-kind", "csv"} <= reached
    page.keyboard.press("Enter")
    values = [float(text) for text in column(page, "ewok")]
    assert values == sorted(values, reverse=True)
    assert page.evaluate("document.activeElement.closest('th')?.dataset.key") == "ewok"  # sorting keeps the focus
    assert "EWoK" in page.locator("#status").inner_text()
