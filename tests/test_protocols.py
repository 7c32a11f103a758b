"""The profiles: what each says is what protocol.md says of it."""

from __future__ import annotations

import pytest

from babyeval.config import RunConfig
from babyeval.errors import UsageError
from babyeval.protocols import PROTOCOLS, get_protocols


def test_the_default_corrects_the_defects():
    robust = PROTOCOLS[RunConfig(models=("m",)).protocol]
    assert (robust.name, robust.ties, robust.nan) == ("robust", "share", "error")
    assert (robust.encoding.bos, robust.encoding.scored) == ("explicit", "tokens")


def test_the_official_profiles_differ_in_decisions_not_in_questions():
    """Ties and NaN changed between the years (protocol.md, section 0), tokenisation did not."""
    a, b = PROTOCOLS["babylm-2025"], PROTOCOLS["babylm-2026"]
    assert a.encoding == b.encoding
    assert (a.encoding.bos, a.encoding.scored) == ("tokenizer", "offsets")
    assert (a.ties, a.nan, b.ties, b.nan) == ("first", "wins", "share", "loses")


def test_the_official_averages_hold_the_tasks_of_their_year():
    old, new = (set(PROTOCOLS[name].macro["zero-shot"]) for name in ("babylm-2025", "babylm-2026"))
    assert old - new == {"wug_adj", "wug_past"}
    assert new - old == {"global_piqa_parallel", "global_piqa_nonparallel"}
    assert set(PROTOCOLS["robust"].macro["zero-shot"]) == old | new
    for protocol in PROTOCOLS.values():
        assert protocol.macro["finetune"] == ("boolq", "mnli", "mrpc", "multirc", "qqp", "rte", "wsc")
        assert len(set(protocol.macro["zero-shot"])) == len(protocol.macro["zero-shot"])


def test_all_means_all_and_a_name_means_one():
    assert [protocol.name for protocol in get_protocols("all")] == list(PROTOCOLS)
    assert get_protocols("babylm-2026") == [PROTOCOLS["babylm-2026"]]


def test_an_unknown_protocol_is_named_with_the_choice():
    with pytest.raises(UsageError, match="'babylm-2024'") as caught:
        get_protocols("babylm-2024")
    for name in PROTOCOLS:
        assert name in str(caught.value)
