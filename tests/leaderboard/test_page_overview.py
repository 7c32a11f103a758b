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


def test_another_protocol_shows_its_numbers_without_intervals(visit, site):
    page = visit(site)
    page.get_by_label("Scores under").select_option("babylm-2025")
    ids = page.evaluate("[...document.querySelectorAll('.scores tbody tr')].map(row => row.dataset.model)")
    assert [float(v) for v in column(page, "blimp")] == [PAYLOAD["scores"]["blimp"][i]["official"]["babylm-2025"] for i in ids]
    assert page.locator(".scores td.best").count() == 0
    assert page.locator(".scores .ci").count() == 0


def test_csv_holds_what_is_shown_unrounded(visit, tmp_path):
    payload = make_payload(models=4)
    payload["models"][0] |= {"label": FORMULA, "name": 'a "quoted", name\nof two lines'}
    page = visit(write_page(payload, tmp_path / "page.html"))
    page.locator("th[data-key='blimp'] button").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    assert download.value.suggested_filename == "babyeval-leaderboard.csv"
    with download.value.path().open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    values = [float(row["blimp"]) for row in rows]
    assert values == sorted((cell["value"] for cell in payload["scores"]["blimp"].values()), reverse=True)
    by_digest = {row["digest"]: row for row in rows}
    first = by_digest[payload["models"][0]["digest"]]
    assert first["label"] == f"'{FORMULA}"  # no formula for a spreadsheet
    assert first["name"] == payload["models"][0]["name"]
    assert float(first["rte.low"]) == payload["scores"]["rte"]["0"]["low"]
    assert by_digest[payload["models"][1]["digest"]]["wug_adj"] == ""


def test_theme_follows_the_system_and_the_button(visit, site):
    page = visit(site, color_scheme="dark")
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(colour)
    button = page.get_by_role("button", name="Dark mode")
    assert button.get_attribute("aria-pressed") == "true"
    button.click()
    assert button.get_attribute("aria-pressed") == "false"
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
