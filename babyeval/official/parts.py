"""The parts of a submission file, year by year: their keys, where they come from, and what a prediction's text is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from babyeval.errors import UsageError

Year = Literal["babylm-2025", "babylm-2026"]

GLUE_TASKS = ("boolq", "mnli", "mrpc", "multirc", "qqp", "rte", "wsc")

# The official names of the backends whose results a submission may hold.
OFFICIAL_BACKENDS = {
    "causal": "causal",
    "mlm": "mlm",
    "mntp": "mntp",
    "enc-dec-mask": "enc_dec_mask",
    "enc-dec-prefix": "enc_dec_prefix",
}
OWN_BACKENDS = {official: own for own, official in OFFICIAL_BACKENDS.items()} | {"enc_dec": "enc-dec"}  # D17: reading

# The official data folders: which task they belong to, and which of its splits.
DATA_FOLDERS = {
    "blimp_filtered": ("blimp", "full"),
    "blimp_fast": ("blimp", "fast"),
    "supplement_filtered": ("blimp_supplement", "full"),
    "supplement_fast": ("blimp_supplement", "fast"),
    "ewok_filtered": ("ewok", "full"),
    "ewok_fast": ("ewok", "fast"),
    "entity_tracking": ("entity_tracking", "full"),
    "entity_tracking_fast": ("entity_tracking", "fast"),
    "comps": ("comps", "full"),
    "wug_adj_nominalization": ("wug_adj", "full"),
    "wug_past_tense": ("wug_past", "full"),
    "global_piqa_parallel": ("global_piqa_parallel", "full"),
    "global_piqa_nonparallel": ("global_piqa_nonparallel", "full"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One key of a submission file.

    Attributes:
        key: The key.
        task: The task whose records it is made from; None if it is only carried over from imported files.
        candidates: Indices of the spans that compete under this year's rules; empty for all.
        sentence: A prediction is the whole chosen sentence, not the completion alone.
        by_example: Predictions are keyed by the example's id, one each, not by UID.
        prob: Predictions carry the probability of the first form.
        values: The task whose records hold the part as numbers; official results of it make no records, but are carried over.
        swept: It is made from records of several checkpoints; official results of it are carried over.
    """

    key: str
    task: str | None = None
    candidates: tuple[int, ...] = ()
    sentence: bool = False
    by_example: bool = False
    prob: bool = False
    values: str | None = None
    swept: bool = False

    @property
    def made_by(self) -> str | None:
        """The task whose record of the submitted revision makes it; None if no single record does."""
        return self.task or self.values


_COMPS = Part("comps", "comps", sentence=True)

PARTS: dict[str, tuple[Part, ...]] = {
    "babylm-2025": (
        Part("blimp", "blimp"),
        Part("blimp_supplement", "blimp_supplement"),
        Part("ewok", "ewok", candidates=(0, 1)),  # targets compared (D6)
        Part("entity_tracking", "entity_tracking"),
        Part("wug_adj", "wug_adj", sentence=True, prob=True),
        Part("wug_past", "wug_past", sentence=True, prob=True),
        _COMPS,
        Part("reading", values="reading"),
        Part("aoa", swept=True),
        Part("glue"),
        Part("fast_eval_results", swept=True),
    ),
    "babylm-2026": (
        Part("blimp", "blimp"),
        Part("blimp_supplement", "blimp_supplement"),
        Part("ewok", "ewok", candidates=(0, 2), sentence=True),  # contexts compared
        Part("entity_tracking_filtered", "entity_tracking"),
        _COMPS,
        Part("global_piqa_parallel", "global_piqa_parallel", by_example=True),
        Part("global_piqa_nonparallel", "global_piqa_nonparallel", by_example=True),
        Part("reading", values="reading"),
        Part("aoa_surprisals", swept=True),
        Part("aoa", swept=True),
        Part("glue"),
        Part("fast_eval_results", swept=True),
    ),
}

# Of the multimodal track; they have no place in a strict submission.
MULTIMODAL = ("vqa", "winoground", "devbench")


def year_parts(protocol: str) -> tuple[Part, ...]:
    """The parts of a year's submission, in the official order.

    Raises:
        UsageError: The protocol is no official one.

    Example:
        >>> [part.key for part in year_parts("babylm-2026")][:4]
        ['blimp', 'blimp_supplement', 'ewok', 'entity_tracking_filtered']
    """
    if protocol not in PARTS:
        raise UsageError(f"'{protocol}' has no official files.", hint=f"Choose one of {', '.join(PARTS)}.")
    return PARTS[protocol]


def part_of_task(protocol: str, task: str) -> Part | None:
    """The part that holds a task's predictions, if the year has one."""
    return next((part for part in year_parts(protocol) if part.task == task), None)
