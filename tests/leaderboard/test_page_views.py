"""Comparing, conditions, tasks and models in a browser."""

from __future__ import annotations

import pytest
from page_support import make_payload, write_page

PAYLOAD = make_payload()
ROWS = """[...document.querySelectorAll('table.compare tbody tr')].map(row => ({
    key: row.dataset.column, text: row.innerText, cells: ['a', 'b', 'difference', 'p', 'adjusted', 'mde'].map(part => {
        const value = row.querySelector(`[data-part='${part}'] data`).value;
        return value === '' ? null : +value;
    }) }))"""


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
    assert "not compared: models were measured on different data" in rows["blimp"]["text"]
    assert "no test" in rows["blimp"]["text"]
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


def test_subset_pairs_have_the_remarks_of_compare(visit, tmp_path):
    payload = make_payload(models=4)
    labels = [model["label"] for model in payload["models"]]
    scores = payload["scores"]
    for i in "0123":
        scores["ewok"][i] |= {"low": 49.0, "high": 51.0}
        scores["blimp"][i] |= {"low": 51.0, "high": 53.0}
    for i in "13":
        scores["ewok"][i] |= {"backend": "mlm-corrected"}
    scores["ewok"]["2"]["low"] = None
    page = visit(write_page(payload, tmp_path / "page.html"))
    near = "near chance: each of these models' own intervals includes it"

    def note(key, a, b):
        return page.evaluate("([key, a, b]) => BE.pair(BE.columnByKey.get(key), BE.models[a], BE.models[b]).note", [key, a, b])

    assert note("ewok", 0, 1) == f"scored in different ways: {labels[0]} as causal, {labels[1]} as mlm; {near}"
    assert note("ewok", 1, 0) == f"scored in different ways: {labels[1]} as mlm, {labels[0]} as causal; {near}"
    assert note("ewok", 1, 3) == near
    assert note("ewok", 0, 2) is None  # one has no interval
    assert note("blimp", 0, 1) is None


def test_subset_pairs_are_not_tested_where_items_are_lost(visit, tmp_path):
    payload = make_payload(models=4)
    whole = payload["tasks"][0]["strata_n"]
    for i, lost in (("1", 2), ("2", 5)):
        payload["scores"]["blimp"][i]["strata"]["n"] = [whole[0] - lost, *whole[1:]]
    page = visit(write_page(payload, tmp_path / "page.html"))

    def pair(a, b):
        return page.evaluate("([a, b]) => BE.pair(BE.columnByKey.get('blimp'), BE.models[a], BE.models[b])", [a, b])

    for a, b, lost in ((0, 1, 2), (1, 2, 5), (2, 3, 5)):
        assert pair(a, b)["note"] == f"no test: at least {lost} items without a score under one of the models"
        assert pair(a, b)["p"] is None
    assert pair(0, 3)["note"] is None
    assert pair(0, 3)["p"] is not None


def test_values_of_the_items_that_both_have_give_the_difference(visit, tmp_path):
    payload = make_payload(models=4)
    pairs = payload["pairs"]["wug_adj"]
    note = "of the 12 words that have an age under both models (of 30 and 28)"
    pairs["values"], pairs["notes"]["0-2"] = {"0-2": [0.5, 0.3]}, {"note": note}
    pairs["rows"]["0-2"][:3] = [0.2, 0.05, 0.35]
    address = write_page(payload, tmp_path / "page.html")
    labels = [model["label"] for model in payload["models"]]
    for a, b, values in ((0, 2, (0.5, 0.3, 0.2)), (2, 0, (0.3, 0.5, -0.2))):
        page = visit(f"{address}#/compare?a={a}&b={b}")
        row = next(row for row in page.evaluate(ROWS) if row["key"] == "wug_adj")
        assert tuple(row["cells"][:3]) == values
        assert note in row["text"]
        sentence = next(text for text in page.locator(".sentences li").all_inner_texts() if text.startswith("On WUG adjectives"))
        told = f"{labels[a]} scores {values[0]:.2f} and {labels[b]} {values[1]:.2f}, a difference of {values[2]:+.2f} ("
        assert told.replace("-0", "\u22120") in sentence
        order = f" (in the order {labels[0]}, {labels[2]})" if a == 2 else ""  # its numbers are not turned round
        assert sentence.endswith(f"Note: {note}{order}.")
    row = next(row for row in visit(f"{address}#/compare?a=0&b=3").evaluate(ROWS) if row["key"] == "wug_adj")
    assert row["cells"][:2] == [payload["scores"]["wug_adj"][i]["value"] for i in "03"]


def test_wins_losses_and_ties_are_of_a(visit, tmp_path):
    payload = make_payload(models=4)
    payload["pairs"]["comps"]["rows"]["0-2"][-3:] = [3, 1, 2]
    a, b = (payload["scores"]["ewok"][i]["strata"]["value"] for i in "02")
    b[:] = [*a[:2], *(x - 1 for x in a[2:8]), *(x + 1 for x in a[8:])]
    address = write_page(payload, tmp_path / "page.html")
    for hash_, comps, ewok in (("a=0&b=2", "3–1–2", (6, 3, 2)), ("a=2&b=0", "1–3–2", (3, 6, 2))):
        page = visit(f"{address}#/compare?{hash_}")
        rows = {row["key"]: row["text"] for row in page.evaluate(ROWS)}
        assert comps in rows["comps"]
        assert "–".join(map(str, ewok)) in rows["ewok"]
        assert page.get_by_role("columnheader", name="W–L–T").is_visible()
        assert (
            "W–L–T: subsets in which A wins, loses, ties; items, where a task has one subset."
            in page.locator("main").inner_text()
        )
        summary = page.locator("details.subsets[data-column='ewok'] summary").inner_text()
        assert summary == "EWoK: A wins {}, loses {}, ties {} of 11 subsets".format(*ewok)


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
    assert "Median and quartiles over families of tasks" in text
    assert text.count("5 families") == 2 * len(PAYLOAD["conditions"]["names"])
    assert "5 columns" not in text
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


def test_conditions_count_models_and_tell_no_correction_where_nothing_is_tested(visit, tmp_path):
    payload = make_payload()
    conditions = payload["conditions"]
    name = conditions["names"][0]
    conditions["models"] = {one: [0] if one == name else list(range(8)) for one in conditions["names"]}
    page = visit(write_page(payload, tmp_path / "tested.html") + "#/conditions")
    text = page.locator("main").inner_text()
    assert f"{name} (1 model), {conditions['names'][1]} (8 models)" in text
    assert "p-values are adjusted: Holm over the columns of each pair." in text
    assert "Each point is a model. The tick is the mean over replications" in text
    conditions["correction"] = None
    text = visit(write_page(payload, tmp_path / "single.html") + "#/conditions").locator("main").inner_text()
    assert "What was replicated is training" in text
    assert "adjusted:" not in text


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
    assert numbers == [number for cell in cells for number in (cell["value"], cell["official"]["babylm-2025"][0])]
    value, low, high, n, _ = cells[0]["official"]["babylm-2025"]
    other = page.locator("section:has(h2:text-is('Models')) tbody tr").first.locator("td").nth(2)
    assert f"{low:.1f}–{high:.1f}" in other.inner_text()
    assert f"+{value - cells[0]['value']:.1f}" in other.inner_text()
    assert other.get_attribute("title") == f"n = {n}; chance 50"


def test_numbers_of_a_protocol_that_are_not_alike_are_marked_and_not_subtracted(visit, tmp_path):
    payload = make_payload()
    for cell in payload["scores"]["blimp"].values():
        cell["official"] = {
            f"babylm-{year}": [cell["value"] + more, None, None, 9, 50.0] for year, more in ((2025, 1.5), (2026, -2.5))
        }
    payload["mixed_official"] = {"blimp": {"babylm-2025": "different versions of the protocol"}}
    page = visit(write_page(payload, tmp_path / "page.html") + "#/task/blimp")
    assert "Not measured alike under babylm-2025: different versions of the protocol." in page.locator("main").inner_text()
    rows = page.locator("section:has(h2:text-is('Models')) tbody tr")
    assert rows.count() == 8
    for cells in rows.evaluate_all("rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => cell.textContent))"):
        unlike, alike = cells[2:4]
        assert "⚠" in unlike
        assert "+1.5" not in unlike
        assert "⚠" not in alike
        assert alike.endswith("\u22122.5")


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


def test_model_page_has_official_means_and_times_of_both_kinds(visit, tmp_path):
    payload = make_payload(models=2)
    payload["models"][0] |= {
        "official": {"babylm-2025": {"zero-shot": 40.25, "reading": 3.5}, "babylm-2026": {"zero-shot": 41.0}, "robust": {"zero-shot": 39.0}},
        "timing": {"seconds": 59.97, "rows_computed": 0, "rows_cached": 377615, "fine_tuning_seconds": 3599.9},
    }  # fmt: skip
    payload["models"][1]["timing"] = {"seconds": 9.0, "rows_computed": 10, "rows_cached": 5, "fine_tuning_seconds": None}
    page = visit(write_page(payload, tmp_path / "page.html") + "#/model/0")
    facts = dict(
        page.locator("dl.facts > div").evaluate_all("all => all.map(div => [...div.children].map(part => part.textContent))")
    )
    assert facts["Official means"] == "babylm-2025, zero-shot: 40.25; babylm-2025, reading: 3.50; babylm-2026, zero-shot: 41.00"
    assert facts["Scoring"] == "1 min 0 sall 377\u202f615 rows came from the cache: not what scoring takes"
    assert facts["Fine-tuning"] == "1 h 0 min"
    page.goto(page.url.replace("model/0", "model/1"))
    page.get_by_text("5 of 15 rows came from the cache").wait_for()


@pytest.mark.parametrize(
    "address", ["#/task/nothing", "#/model/999", "#/task/%E0%A4%A", "#/nowhere", "#/compare?a=x&b=y", "#/constructor"]
)
def test_addresses_of_nothing_show_a_page(visit, site, address):
    page = visit(site + address)
    assert page.locator("main h1").inner_text()
    unknown = address.removeprefix("#/") if address in ("#/nowhere", "#/constructor") else None
    assert (page.locator("main h1").inner_text() == "No such view") == (unknown is not None)
    if unknown:
        assert f"no view “{unknown}”" in page.locator("main").inner_text()
        page.locator("main").get_by_role("link", name="overview").click()
        page.locator(".scores").wait_for()


def test_compare_gives_a_dash_where_there_is_no_detectable_difference(visit, site):
    page = visit(site + "#/compare?a=0&b=7")
    rows = page.locator("table.compare tbody tr").evaluate_all(
        "rows => rows.map(row => [row.querySelector('.verdict').textContent, row.querySelector(`[data-part='mde']`).textContent])"
    )
    assert {text for verdict, text in rows if verdict != "not told apart"} == {"–"}
    assert all(float(text) > 0 for verdict, text in rows if verdict == "not told apart")
