"""The scoring protocols as data: how text becomes questions, and how answers become decisions.

Each rule that departs from an official pipeline names the defect it mends (D1 ... D40, docs/protocols.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from babyeval.errors import UsageError


@dataclass(frozen=True, slots=True)
class EncodingPolicy:
    """How a span of text becomes token-level questions.

    Attributes:
        bos: ``tokenizer`` takes what the tokenizer adds, so a first token without anything
            before it stays unscored and unnoticed (D9); ``explicit`` puts BOS, else EOS,
            in front where the tokenizer adds neither, and counts what stays unscored.
        scored: ``offsets`` scores a token if it ends after the span's start, as the official
            code does; ``tokens`` also counts zero-width tokens of a fully scored text, and
            never a special token.
    """

    bos: Literal["tokenizer", "explicit"]
    scored: Literal["offsets", "tokens"]


@dataclass(frozen=True, slots=True)
class Protocol:
    """One way to turn a model's log-probabilities into a benchmark's number.

    Attributes:
        name: The name used on the command line and in records.
        version: Rises whenever a number computed under the protocol may change.
        summary: One sentence for tables and help texts.
        encoding: How spans become questions.
        ties: ``first`` gives a tie to the lowest index, which is gold in every official text
            task of 2025 (D1); ``share`` gives each of k tied candidates 1/k (D1, D3).
        nan: ``wins`` treats NaN as the maximum (D2), ``loses`` as minus infinity, ``error`` refuses.
        macro: Tasks in the official average of each group.
    """

    name: str
    version: int
    summary: str
    encoding: EncodingPolicy
    ties: Literal["first", "share"]
    nan: Literal["wins", "loses", "error"]
    macro: dict[str, tuple[str, ...]]


_AS_TOKENIZED = EncodingPolicy(bos="tokenizer", scored="offsets")
_GLUE = ("boolq", "mnli", "mrpc", "multirc", "qqp", "rte", "wsc")
_ZERO_SHOT_2025 = ("blimp", "blimp_supplement", "ewok", "entity_tracking", "wug_adj", "wug_past", "comps", "reading", "aoa")
_ZERO_SHOT_2026 = (
    *("blimp", "blimp_supplement", "ewok", "entity_tracking", "comps"),
    *("global_piqa_parallel", "global_piqa_nonparallel", "reading", "aoa"),
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="robust",
            version=1,
            summary="corrected: explicit BOS, ties share the credit, NaN is an error",
            encoding=EncodingPolicy(bos="explicit", scored="tokens"),
            ties="share",
            nan="error",
            macro={"zero-shot": _ZERO_SHOT_2025 + _ZERO_SHOT_2026[5:7], "finetune": _GLUE},
        ),
        Protocol(
            name="babylm-2025",
            version=1,
            summary="what the official 2025 pipeline computes, its defects included",
            encoding=_AS_TOKENIZED,
            ties="first",
            nan="wins",
            macro={"zero-shot": _ZERO_SHOT_2025, "finetune": _GLUE},
        ),
        Protocol(
            name="babylm-2026",
            version=1,
            summary="what the official 2026 pipeline computes; a tie gives its expected credit",
            encoding=_AS_TOKENIZED,
            ties="share",
            nan="loses",
            macro={"zero-shot": _ZERO_SHOT_2026, "finetune": _GLUE},
        ),
    )
}


def get_protocols(name: str) -> list[Protocol]:
    """The protocol of that name, or all of them for ``all``.

    Raises:
        UsageError: The name is unknown.

    Example:
        >>> [p.name for p in get_protocols("all")]
        ['robust', 'babylm-2025', 'babylm-2026']
    """
    if name == "all":
        return list(PROTOCOLS.values())
    if name not in PROTOCOLS:
        raise UsageError(f"Unknown protocol '{name}'.", hint=f"Choose one of {', '.join(PROTOCOLS)}, all.")
    return [PROTOCOLS[name]]
