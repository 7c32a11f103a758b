"""What the page explains in words, and what can be read on a phone: letters of charts, wide tables, mini splits."""

from __future__ import annotations

import re

import pytest
from page_support import make_payload, write_page


@pytest.mark.parametrize("view", ["#/task/blimp", "#/model/0"])
def test_how_errors_are_made_is_told_in_words(visit, tmp_path, view):
    payload = make_payload()
    payload["scores"]["blimp"]["0"]["method"] = "wilson"
    page = visit(write_page(payload, tmp_path / "page.html") + view)
    note = page.locator(".methods").first.inner_text()
    assert "stratified: the mean over subsets" in note
    assert "wilson: Wilson’s score interval" in note
    titles = page.locator("td.test span[title]").evaluate_all(
        "all => all.map(span => [span.textContent, span.title.slice(0, 21)])"
    )
    assert ["stratified", "the mean over subsets"] in titles
    assert ["wilson", "Wilson’s score interv"] in titles


def test_every_method_that_records_name_is_explained(visit, site):
    from babyeval.stats.intervals import clustered_mean, proportion, spearman, stratified_macro_mean

    found = [
        proportion([1.0, 0.0], ["a", "b"]), clustered_mean([1.0, 2.0], ["a", "b"]), spearman([1, 2, 3, 4], [1, 3, 2, 4]),
        stratified_macro_mean([1, 1, 0, 1, 0, 0], list("aaabbb"), list("123456")),
    ]  # fmt: skip
    methods = [one.method for one in found]
    methods += [f"{how}, {over}" for how in ("wilson", "jackknife") for over in ("items", "seeds and items")]
    methods += ["bootstrap of sentences, 1,000 draws, percentile; biased upwards near 0", "jackknife of words"]
    texts = visit(site).evaluate("methods => methods.map(BE.methodText)", methods)
    assert all(texts), dict(zip(methods, texts, strict=True))
    assert len(set(texts)) == len(texts) - 1  # one seed's share is Wilson's plain interval


MINI = "they show that everything runs, and measure nothing"


def test_mini_splits_are_said_to_measure_nothing(visit, tmp_path):
    payload = make_payload()
    address = write_page(payload, tmp_path / "full.html")
    views = ("#/", "#/task/blimp", "#/task/rte", "#/model/0", "#/compare?a=0&b=1", "#/conditions")
    assert [MINI in visit(address + view).locator("main").inner_text() for view in views] == [False] * 6
    payload["tasks"][0]["split"] = "mini"
    payload["split"] = "full, mini"
    address = write_page(payload, tmp_path / "page.html")
    assert [MINI in visit(address + view).locator("main").inner_text() for view in views] == [True, True, False, True, True, True]
    assert "Of the mini split: BLiMP." in visit(address).locator(".mini").inner_text()


@pytest.mark.parametrize("view", ["#/task/reading", "#/task/blimp", "#/conditions"])
def test_charts_keep_the_size_of_their_letters_on_a_phone(visit, tmp_path, view):
    payload = make_payload()
    svg = ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 800 100"><text x="9" y="20" font-size="8px">small</text>'
           '<text x="9" y="60" font-size="12px">large</text></svg>')  # fmt: skip
    for key in ("reading", "zscores", "curve:blimp"):
        payload["figures"][key] = {"title": "A figure", "svg": svg}
    page = visit(write_page(payload, tmp_path / "page.html") + view, viewport={"width": 390, "height": 844})
    sizes = page.locator("main svg text").evaluate_all(
        """all => all.map(text => {
            const svg = text.ownerSVGElement;
            return parseFloat(getComputedStyle(text).fontSize) * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
        })"""
    )
    assert sizes
    assert min(sizes) >= 10.9
    image = page.locator("figure.built img").first
    assert image.bounding_box()["width"] == pytest.approx(800 * 11 / 8, abs=1)
    box = page.locator("figure.built .scroller").first
    assert box.evaluate("box => box.scrollWidth > box.clientWidth && box.clientWidth <= 390")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_table_wider_than_its_box_says_so(visit, site):
    from playwright.sync_api import expect

    page = visit(site + "#/compare?a=0&b=1", viewport={"width": 390, "height": 844})
    hint, edge = page.locator(".sideways").first, page.locator(".edge").first
    hint.wait_for()
    assert "scroll sideways" in hint.inner_text()
    assert "more" in edge.get_attribute("class")
    page.locator(".scroller").first.evaluate("box => { box.scrollLeft = box.scrollWidth }")
    # asked again by Playwright, not by the page, whose policy forbids evaluating text
    expect(edge).not_to_have_class(re.compile("more"))
    assert not visit(site + "#/model/0", viewport={"width": 1900, "height": 900}).locator(".sideways").first.is_visible()


def test_a_phone_shows_verdicts_and_p_without_scrolling(visit, site):
    page = visit(site + "#/compare?a=0&b=1", viewport={"width": 390, "height": 844})
    for cell in (".verdict", "[data-part='adjusted']"):
        box = page.locator(f"table.compare tbody {cell}").first.bounding_box()
        assert box["x"] + box["width"] <= 376, cell
