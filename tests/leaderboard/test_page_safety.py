"""Hostile names, strange folders, small screens, accessibility."""

from __future__ import annotations

import re

import pytest
from page_support import HOSTILE, make_payload, write_page

VIEWS = ("", "#/compare?a=0&b=1", "#/conditions", "#/tasks", "#/task/blimp", "#/task/reading", "#/task/rte", "#/model/0")


def hostile():
    """A payload whose every text that comes from results is an attack."""
    payload = make_payload(models=4)
    payload["title"] = HOSTILE
    payload["models"][0] |= dict.fromkeys(("name", "label", "source", "revision", "condition"), HOSTILE)
    payload["models"][0] |= {
        "recipe": {HOSTILE: {HOSTILE: HOSTILE}},
        "environment": {HOSTILE: HOSTILE},
        "notes": [HOSTILE],
        "imported": HOSTILE,
    }
    blimp = payload["tasks"][0]
    blimp |= {"about": HOSTILE, "citation": HOSTILE, "homepage": "javascript:window.hacked=1", "protocols": {HOSTILE: HOSTILE}}
    blimp["strata"][0] = HOSTILE
    payload["notes"] = [HOSTILE, "</script><script>window.hacked=1</script>", "<!--<script>"]
    payload["damaged"] = [{"path": HOSTILE, "reason": HOSTILE}]
    payload["scores"]["ewok"]["0"]["note"] = HOSTILE
    conditions = payload["conditions"]
    conditions["names"].append(HOSTILE)
    conditions["models"][HOSTILE] = [0]
    payload["figures"]["zscores"] = {
        "title": HOSTILE,
        "svg": '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><script>parent.hacked=1</script></svg>',
    }
    return payload


def test_no_text_of_the_results_becomes_markup_or_script(visit, tmp_path):
    address = write_page(hostile(), tmp_path / "page.html")
    page = visit(address)
    for view in VIEWS:
        page.goto(address + view)
        page.evaluate("new Promise(done => setTimeout(done, 30))")
        assert page.evaluate("window.hacked") is None, view
        assert page.locator("main script, main img[src='x']").count() == 0
        assert page.locator("a[href^='javascript']").count() == 0
    assert page.locator("h1").inner_text() == HOSTILE  # shown as it is
    page.goto(address)
    assert HOSTILE in page.locator(".warnings").inner_text()


def test_policy_lets_nothing_run_that_was_not_built_in(visit, site):
    page = visit(site)
    policy = page.locator("meta[http-equiv='Content-Security-Policy']").get_attribute("content")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind in ("script", "style"):
        built, allowed = page.locator(kind).count(), len(re.findall("sha256-", re.search(f"{kind}-src ([^;]*)", policy)[1]))
        assert built - (kind == "script") == allowed  # the data is no script


@pytest.mark.parametrize("view", VIEWS)
def test_phones_scroll_tables_and_not_the_page(visit, site, view):
    page = visit(site + view, viewport={"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    if not view:
        box = page.locator(".scores tbody th").first.bounding_box()
        page.locator(".scroller").evaluate("element => { element.scrollLeft = 400 }")
        assert page.locator(".scores tbody th").first.bounding_box() == box  # the names stay


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_violation(visit, site, axe, scheme):
    page = visit(site, color_scheme=scheme)
    page.evaluate(axe)
    found = []
    for view in VIEWS:
        page.evaluate("view => { location.hash = view || '#/' }", view)
        page.evaluate("new Promise(done => setTimeout(done, 50))")
        page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
        result = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
        found += [
            (view, violation["id"], violation["impact"], violation["nodes"][0]["html"][:200])
            for violation in result["violations"] if violation["impact"] in ("serious", "critical")
        ]  # fmt: skip
    assert found == []


def test_one_model_and_none(visit, tmp_path):
    one = make_payload(models=1, tasks=2) | {"best": {}, "title": "results"}
    page = visit(write_page(one, tmp_path / "one.html"))
    assert page.locator(".scores tbody tr").count() == 1
    text = page.locator("body").inner_text().lower()
    for part in ("rank", "the best", "compare", "lie apart"):
        assert part not in text, part
    widths = page.locator(".scores tbody td:visible").evaluate_all("all => all.map(cell => cell.getBoundingClientRect().width)")
    assert len(widths) == 3
    assert min(widths) > 80  # no track is left of the rank
    page.goto(page.url + "#/model/0")
    page.get_by_role("heading", name="Scores").wait_for()
    assert "Rank" not in page.locator("main").inner_text()
    page.goto(page.url.replace("#/model/0", "#/"))
    page.goto(page.url.replace("#/", "#/compare"))
    assert "takes two" in page.locator("main").inner_text()
    page = visit(write_page(make_payload(models=0, tasks=1), tmp_path / "none.html"))
    assert "No results" in page.locator("main").inner_text()


def test_mixed_columns_are_marked_and_kept_out_of_ranks(visit, tmp_path):
    payload = make_payload()
    payload["mixed"] = {"blimp": "models were measured on different data"}
    page = visit(write_page(payload, tmp_path / "page.html"))
    assert "not alike" in page.locator("th[data-key='blimp']").inner_text()
    assert page.locator("td.best[data-key='blimp']").count() == 0
    assert "over 8 of 11 columns" in page.locator("#shown").inner_text()
    assert re.search("BLiMP: models were measured on different data", page.locator(".warnings").inner_text())


def test_two_hundred_models_are_all_there(visit, tmp_path):
    page = visit(write_page(make_payload(models=200, tasks=3), tmp_path / "page.html"))
    assert page.locator(".scores tbody tr").count() == 200
    page.locator("th[data-key='task_02'] button").click()
    values = [float(text) for text in page.locator("td[data-key='task_02'] data").evaluate_all("all => all.map(d => d.value)")]
    assert values == sorted(values, reverse=True)
    assert len(values) == 200


def test_on_paper_there_are_no_controls(visit, site):
    page = visit(site)
    page.emulate_media(media="print")
    assert not page.locator("#csv").is_visible()
    assert not page.locator(".filters").is_visible()
    assert not page.locator("nav").is_visible()
    assert page.locator(".scores").is_visible()
