"""Records hold no text of a benchmark, since some may be shared inside locked archives only; checked on the bundled items."""

from __future__ import annotations

import pandas as pd
import pytest

import babyeval
from babyeval.data.lookup import find_data
from babyeval.registry import get_task
from babyeval.types import Item

RANKED = ("blimp", "blimp_supplement", "comps", "entity_tracking", "ewok", "global_piqa_nonparallel", "global_piqa_parallel")
RATED = ("wug_adj", "wug_past")


def texts_of(item: Item) -> set[str]:
    """Contexts and scored parts of an item, if they are long enough to be text."""
    parts = {part.strip() for span in item.spans for part in (span.text, span.text[: span.start], span.text[span.start :])}
    return {part for part in parts if len(part) > 8}


@pytest.mark.parametrize("name", [*RANKED, *RATED, "reading"])
def test_no_text_stands_in_a_record(name, tiny_folder, tmp_path):
    task = get_task(name)
    (result,) = babyeval.evaluate(
        tiny_folder("llama", "bos", positions=128), [name], split="mini", limit=8, protocol="robust", out=tmp_path
    )
    assert result.status == "done", result.error
    (record,), (table,) = tmp_path.glob("**/result.json"), tmp_path.glob("**/items.parquet")
    columns = pd.read_parquet(table)
    written = record.read_text(encoding="utf-8") + "\n".join(map(str, columns.to_dict("records")))
    items = [i for i in task.items(find_data(task.card, task.home, "mini", None)) if i.id in set(columns.item_id)]
    assert len(items) == 8
    assert not [text for item in items for text in texts_of(item) if text in written]
