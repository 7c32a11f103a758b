"""Comparing, conditions, tasks and models in a browser."""

from __future__ import annotations

import pytest
from page_support import make_payload, write_page

PAYLOAD = make_payload()
ROWS = """[...document.querySelectorAll('table.compare tbody tr')].map(row => ({
    key: row.dataset.column, cells: [...row.querySelectorAll('data')].map(d => d.value === '' ? null : +d.value), text: row.innerText }))"""


def test_subset_columns_are_tested_here_as_scipy_does_it(visit, site):
    from scipy.stats import ttest_1samp

    page = visit(site + "#/compare?a=4&b=2")
    rows = {row["key"]: row for row in page.evaluate(ROWS)}
    for key in ("blimp", "ewok"):
        a, b = (PAYLOAD["scores"][key][i]["strata"]["value"] for i in "42")
        differences = [x - y for x, y in zip(a, b, strict=True)]
        value_a, value_b, difference, p, *_ = rows[key]["cells"]
        assert (value_a, value_b) == (PAYLOAD["scores"][key]["4"]["value"], PAYLOAD["scores"][key]["2"]["value"])
        assert difference == pytest.approx(sum(differences) / len(differences))
        assert p == pytest.approx(ttest_1samp(differences, 0).pvalue, rel=1e-6)
        wins, losses = sum(d > 0 for d in differences), sum(d < 0 for d in differences)
        assert f"{wins}–{losses}–0" in rows[key]["text"]
        assert f"{len(differences)} subsets" in rows[key]["text"]


def test_shipped_tests_are_shown_either_way_round_and_adjusted_together(visit, site):
    from statsmodels.stats.multitest import multipletests

    page = visit(site + "#/compare?a=2&b=5")
    rows = page.evaluate(ROWS)
    shipped = PAYLOAD["pairs"]["rte"]["rows"]["2-5"]
    cells = {row["key"]: row["cells"] for row in rows}
    assert cells["rte"][2:4] == [shipped[0], shipped[3]]
    with_p = [row for row in rows if row["cells"][3] is not None]
    assert len(with_p) == len(rows) == 11
    assert [row["cells"][4] for row in with_p] == pytest.approx(
        list(multipletests([row["cells"][3] for row in with_p], method="holm")[1])
    )
    page.get_by_role("button", name="Swap").click()
    page.wait_for_url("**#/compare?a=5&b=2")
    page.locator("h1", has_text="it_switch_wiki-seed_2 against it_merged").wait_for()
    turned = {row["key"]: row["cells"] for row in page.evaluate(ROWS)}
    assert turned["rte"][2:4] == [-shipped[0], shipped[3]]
    assert turned["blimp"][2] == pytest.approx(-cells["blimp"][2])


def test_a_pair_without_a_test_says_why(visit, tmp_path):
    payload = make_payload()
    payload["pairs"], payload["pairs_note"] = {}, "more than 50 models: babyeval compare A B tests two of them"
    payload["mixed"] = {"blimp": "models were measured on different data"}
    page = visit(write_page(payload, tmp_path / "page.html") + "#/compare?a=0&b=4")
    rows = {row["key"]: row for row in page.evaluate(ROWS)}
    assert rows["rte"]["cells"][2:4] == [None, None]
    assert "babyeval compare" in rows["rte"]["text"]
    assert "different data" in rows["blimp"]["text"]
    assert rows["ewok"]["cells"][3] is not None


def test_subset_pairs_refuse_what_compare_refuses_and_tell_caveats(visit, tmp_path):
    payload = make_payload()
    payload["scores"]["blimp"]["4"] |= {"rounded": True}
    payload["scores"]["ewok"]["0"]["strata"]["value"][0] = None
    payload["scores"]["ewok"]["0"]["note"] = "the data departs from the published set"
    page = visit(write_page(payload, tmp_path / "page.html") + "#/compare?a=0&b=4")
    rows = {row["key"]: row for row in page.evaluate(ROWS)}
    label = payload["models"][0]["label"]
    assert f"{label}: the data departs from the published set" in rows["ewok"]["text"]
    for key, reason in (("blimp", "imported from rounded scores"), ("ewok", "subsets in common")):
        assert rows[key]["cells"][3] is None
        assert reason in rows[key]["text"]
        assert rows[key]["cells"][2] == pytest.approx(payload["scores"][key]["0"]["value"] - payload["scores"][key]["4"]["value"])


def test_sentences_name_test_unit_correction_and_power(visit, site):
    page = visit(site + "#/compare?a=0&b=1")
    sentences = page.locator(".sentences li").all_inner_texts()
    blimp = next(text for text in sentences if text.startswith("On BLiMP (accuracy)"))
    for part in (
        "base-seed_1",
        "base-seed_2",
        "95% CI",
        "t over subset means",
        "67 subsets",
        "Holm-adjusted over",
        "on subsets like these",
    ):
        assert part in blimp
    open_rows = [row["key"] for row in page.evaluate(ROWS) if "not told apart" in row["text"]]
    assert open_rows
    assert sum("80% power" in text for text in sentences) == len(open_rows)


def test_a_difference_in_another_unit_says_so(visit, site):
    page = visit(site + "#/compare?a=0&b=1")
    difference = PAYLOAD["pairs"]["reading:eye_tracking"]["rows"]["0-1"][0]
    row = next(row for row in page.evaluate(ROWS) if row["key"] == "reading:eye_tracking")
    assert row["cells"][2] == difference
    assert "nats" in row["text"]
    sentence = next(text for text in page.locator(".sentences li").all_inner_texts() if text.startswith("On Eye tracking"))
    assert (
        f"log-likelihood per word, which is what is tested, they differ by {difference:+.4f} nats".replace("-0", "\u22120")
        in sentence
    )


def test_subsets_open_with_their_differences(visit, site):
    page = visit(site + "#/compare?a=0&b=1")
    details = page.locator("details.subsets[data-column='ewok']")
    details.locator("summary").click()
    details.locator("table").wait_for()
    values = [float(text) for text in details.locator("tbody data").evaluate_all("all => all.map(d => d.value)")]
    a, b = (PAYLOAD["scores"]["ewok"][i]["strata"]["value"] for i in "01")
    assert values == sorted((x - y for x, y in zip(a, b, strict=True)), reverse=True)


def test_choosing_a_model_changes_the_address_and_keeps_the_focus(visit, site):
    page = visit(site + "#/compare?a=0&b=1")
    page.get_by_label("Model B").focus()
    page.get_by_label("Model B").select_option("5")
    page.wait_for_url("**#/compare?a=0&b=5")
    assert page.evaluate("document.activeElement.id") == "compare-b"
    page.go_back()
    page.locator("h1", has_text="base-seed_2").wait_for()


def test_conditions_show_every_seed_and_the_bound_of_z(visit, site):
    page = visit(site + "#/conditions")
    text = page.locator("main").inner_text()
    assert "No |z| can exceed 1.50" in text
    assert "left out: conditions differ by less than their mean standard error" in text
    assert "no permutation gives p < 0.33" in text
    points = sum(len(cell["points"]) for cells in PAYLOAD["conditions"]["values"].values() for cell in cells.values())
    assert page.locator(".strips .seed").count() == points
    assert page.locator("figure.built img").evaluate("image => image.complete && image.naturalWidth > 0")


def test_effects_name_the_planned_contrast_and_give_no_verdict_on_few_seeds(visit, tmp_path):
    payload = make_payload()
    effect = payload["conditions"]["effects"][0]
    told = {"contrast": "curriculum", "a": "the mean of x and y", "b": "z", "p": 0.001, "p_adjusted": 0.01}
    payload["conditions"]["effects"] = [
        effect | told,
        effect | told | {"smallest_p": 0.01, "verdict": True, "arms": [5, 5], "column": "ewok"},
    ]
    page = visit(write_page(payload, tmp_path / "page.html") + "#/conditions")
    details = page.locator("details", has_text="Planned: curriculum")
    assert "the mean of x and y minus z" in details.locator("summary").inner_text()
    rows = details.locator("tbody tr").all_inner_texts()
    assert "too few seeds" in rows[0]
    assert "2 against 2 seeds" in rows[0]
    assert "better" in rows[1]


def test_without_conditions_the_view_says_how_to_get_them(visit, tmp_path):
    page = visit(write_page(make_payload(models=3, tasks=2), tmp_path / "page.html") + "#/conditions")
    assert "at least two" in page.locator("main").inner_text()


def test_task_page_says_how_it_is_scored_and_shows_corrected_beside_official(visit, site):
    page = visit(site)
    page.get_by_role("link", name="about BLiMP", exact=True).click()
    page.wait_for_url("**#/task/blimp")
    assert page.evaluate("document.activeElement.tagName") == "H1"  # a screen reader goes on here
    text = page.locator("main").inner_text()
    for part in ("ties count as right", "robust (this page)", "60\u202f300", "While learning"):
        assert part in text
    numbers = page.locator("section:has(h2:text-is('Models')) tbody data").evaluate_all("all => all.map(d => +d.value)")
    cells = sorted(PAYLOAD["scores"]["blimp"].values(), key=lambda cell: -cell["value"])
    assert numbers == [number for cell in cells for number in (cell["value"], cell["official"]["babylm-2025"])]


def test_subset_chart_takes_and_drops_models(visit, site):
    page = visit(site + "#/task/blimp")
    best = max(PAYLOAD["scores"]["blimp"].items(), key=lambda entry: entry[1]["value"])
    table = page.locator("table.strata")
    first = table.locator("tbody td data").evaluate_all("all => all.filter((_, i) => i % 3 === 0).map(d => +d.value)")
    assert first == best[1]["strata"]["value"]
    page.locator("#strata-add").select_option(label="base-seed_1")
    assert table.locator("thead th").count() == 3 + 4
    page.get_by_role("button", name="Remove base-seed_1").click()
    assert table.locator("thead th").count() == 3 + 3


def test_model_page_has_digest_recipe_environment_and_all_scores(visit, site):
    page = visit(site)
    page.locator(".scores tbody").get_by_role("link", name="it_merged-seed_2").click()
    page.locator("h1", has_text="it_merged-seed_2").wait_for()
    model = next(model for model in PAYLOAD["models"] if model["label"] == "it_merged-seed_2")
    text = page.locator("main").inner_text()
    for part in (
        model["digest"],
        "98\u202f500\u202f000" if model["parameters"] == 98_500_000 else "M)",
        "0.0003",
        "2.13.0",
        "30 min 32 s",
    ):
        assert part in text
    rows = page.locator("tr[data-column]").evaluate_all(
        "rows => rows.map(row => [row.dataset.column, row.querySelector('data').value])"
    )
    expected = {key: cells[str(model["id"])]["value"] for key, cells in PAYLOAD["scores"].items() if str(model["id"]) in cells}
    assert {key: float(value) if value else None for key, value in rows} == expected


@pytest.mark.parametrize(
    "address", ["#/task/nothing", "#/model/999", "#/task/%E0%A4%A", "#/nowhere", "#/compare?a=x&b=y", "#/constructor"]
)
def test_addresses_of_nothing_show_a_page(visit, site, address):
    page = visit(site + address)
    assert page.locator("main h1").inner_text()
