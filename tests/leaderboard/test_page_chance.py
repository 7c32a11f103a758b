"""The page's chance levels: of every part of a task its own, and of several one is not taken for all."""

from __future__ import annotations

from page_support import make_payload, write_page


def place_of(level, cells, room):
    """Where a number stands on an axis over all numbers of a column and some room, as a share of the axis."""
    numbers = [cell[field] for cell in cells.values() for field in ("value", "low", "high", "chance")]
    low, span = min(numbers), max(numbers) - min(numbers)
    return (level - low + room * span) / (span + 2 * room * span)


PARTS = {"reading:eye_tracking": "Eye tracking", "reading:self_paced": "Self-paced reading"}
CHANCE_LINES = "section:has(h2 > bdi:text-is('{}')) svg.dots path.chance"


def test_every_part_of_a_task_has_its_own_chance(visit, tmp_path):
    payload, levels = make_payload(), {"reading:eye_tracking": 0.06, "reading:self_paced": 100 / 27}
    for key, level in levels.items():
        for cell in payload["scores"][key].values():
            cell |= {"chance": level, "n": 277 if level < 1 else 300}
    address = write_page(payload, tmp_path / "page.html")
    page = visit(address)
    texts = ("chance\u00a00.06", "chance\u00a03.70", "chance\u00a050", "no chance level")
    for key, text in zip((*levels, "blimp", "mrpc"), texts, strict=True):
        assert text in page.locator(f".scores th[data-key='{key}']").inner_text()
    for key, level in levels.items():
        starts = page.locator(f"td[data-key='{key}'] .bar").evaluate_all(
            "all => all.map(bar => bar.getAttribute('d').split(' ')[0])"
        )
        assert set(starts) == {f"M{100 * place_of(level, payload['scores'][key], 0.05):.1f}"}
    page = visit(address + "#/tasks")
    rows = page.locator("tbody tr").evaluate_all("rows => rows.map(row => [...row.children].map(cell => cell.textContent))")
    told = {row[0]: row[5] for row in rows}
    assert (told["Eye tracking"], told["Self-paced reading"], told["BLiMP"], told["MRPC"]) == ("0.06", "3.70", "50", "–")
    page = visit(address + "#/task/reading")
    facts = page.locator("dl.facts").inner_text()
    assert "0.06 (eye tracking); 3.70 (self paced)" in facts
    assert "277 (eye tracking); 300 (self paced)" in facts
    for key, title in PARTS.items():
        lines = page.locator(CHANCE_LINES.format(title)).evaluate_all(
            "all => all.map(line => line.getAttribute('d').split(' ')[0])"
        )
        assert lines == [f"M{8 + 284 * place_of(levels[key], payload['scores'][key], 0.04):.1f}"] * 8  # 300 wide, 8 free


def test_levels_of_chance_that_differ_are_a_range_without_a_line(visit, tmp_path):
    payload = make_payload()
    for key in PARTS:
        for cell in payload["scores"][key].values():
            cell["chance"] = 3.7
    payload["scores"]["reading:self_paced"]["2"]["chance"] = 4.1
    address = write_page(payload, tmp_path / "page.html")
    page = visit(address)
    heads = [page.locator(f".scores th[data-key='{key}']").inner_text().replace("\u00a0", " ") for key in PARTS]
    assert "chance 3.70" in heads[0]
    assert "–" not in heads[0]
    assert "chance 3.70–4.10" in heads[1]
    page = visit(address + "#/task/reading")
    assert [page.locator(CHANCE_LINES.format(title)).count() for title in PARTS.values()] == [8, 0]
