"""Validation over processes and batches of unequal size, against sums by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from babyeval.trainers.validate import ALL, ValidationSet, validate

SETS = {"tales": [[3, 1], [4], [1, 5, 9], [2], [6, 5]], "talk": [[3]], "none": [[]]}


class Asked:
    """Stands for a trainer in one of several processes; a label is also the loss of its token."""

    def __init__(self, rank: int, of: int, *, autocast: bool = False) -> None:
        self.model = self
        self.calls = 0
        self.sums: list[torch.Tensor] = []
        self.seen: list[torch.dtype | None] = []
        self.args = SimpleNamespace(per_device_train_batch_size=2, world_size=of, process_index=rank, device=torch.device("cpu"))
        self.accelerator = SimpleNamespace(reduce=self.reduce)
        self.is_deepspeed_enabled = autocast
        self.model_wrapped = SimpleNamespace(torch_autocast_enabled=lambda: autocast, torch_autocast_dtype=lambda: torch.bfloat16)

    def eval(self) -> None:
        pass

    def train(self) -> None:
        pass

    def data_collator(self, rows: list[list[int]]) -> dict[str, torch.Tensor]:
        labels = torch.full((len(rows), 4), -100)
        for i, row in enumerate(rows):
            labels[i, 1 : 1 + len(row)] = torch.tensor(row, dtype=torch.long)
        return {"labels": labels}

    def _prepare_inputs(self, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return batch

    def __call__(self, labels: torch.Tensor, num_items_in_batch: int) -> Any:
        self.calls += 1
        self.seen.append(torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else None)
        return SimpleNamespace(loss=labels[labels != -100].float().sum() / num_items_in_batch)

    def reduce(self, sums: torch.Tensor, reduction: str) -> torch.Tensor:
        assert reduction == "sum"
        self.sums.append(sums)
        return sums


def asked(trainer: Asked) -> dict[str, Any]:
    sets = {name: ValidationSet(rows, words=10 * len(rows)) for name, rows in SETS.items()}
    return dict(validate(trainer, sets, causal=True))  # type: ignore[arg-type]


def test_means_are_over_tokens_of_each_domain_and_of_all() -> None:
    found = asked(Asked(0, 1))
    tales, talk = [3, 1, 4, 1, 5, 9, 2, 6, 5], [3]
    assert list(found) == ["tales", "talk", ALL]  # of what asks nothing there is no mean
    assert (found["tales"].loss, found["tales"].tokens, found["tales"].words) == (sum(tales) / 9, 9, 50)
    assert (found["talk"].loss, found["talk"].tokens) == (3.0, 1)
    assert found[ALL].loss == sum(tales + talk) / 10
    assert found[ALL].bits_per_word == pytest.approx(sum(tales + talk) / math.log(2) / 70)
    assert found[ALL].perplexity == pytest.approx(math.exp(sum(tales + talk) / 10))


@pytest.mark.parametrize("processes", [2, 3, 5])
def test_processes_ask_equally_often_and_count_each_token_once(processes: int) -> None:
    trainers = [Asked(rank, processes) for rank in range(processes)]
    for trainer in trainers:
        asked(trainer)
    assert len({trainer.calls for trainer in trainers}) == 1  # sharded weights are gathered in every pass
    together = [sum(sums).tolist() for sums in zip(*(trainer.sums for trainer in trainers), strict=True)]
    assert together == [[sum(map(sum, rows)), sum(map(len, rows))] for rows in SETS.values()]


def test_deepspeeds_arithmetic_is_that_of_the_training() -> None:
    for autocast, dtype in ((False, None), (True, torch.bfloat16)):
        trainer = Asked(0, 1, autocast=autocast)
        asked(trainer)
        assert set(trainer.seen) == {dtype}
