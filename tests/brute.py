"""The reference: one sentence, one plain forward pass at a time, after protocol.md, section 1. Imports no babyeval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoTokenizer


@dataclass
class Answer:
    """Log-probability of each scored token, and how many tokens have none."""

    logprobs: list[float]
    unscored: int


@dataclass
class Text:
    """A tokenised sentence: parallel lists."""

    ids: list[int]
    ends: list[int]
    special: list[int]
    words: list[int | None]
    first_start: int


def tokenized(tokenizer: Any, text: str) -> Text:
    encoded = tokenizer(text, return_offsets_mapping=True, return_special_tokens_mask=True)
    offsets = encoded["offset_mapping"]
    return Text(
        list(encoded["input_ids"]),
        [end for _, end in offsets],
        list(encoded["special_tokens_mask"]),
        encoded.word_ids(),
        offsets[0][0],
    )


def scored_official(text: Text, start: int, *, causal: bool) -> list[int]:
    """Every token that ends behind the cut, whatever it is; the causal scorer moves the cut by the first offset."""
    cut = start + (text.first_start if causal else 0)
    return [i for i, end in enumerate(text.ends) if end > cut]


def scored_robust(text: Text, start: int) -> list[int]:
    """Every token of the text that ends behind the cut; of a whole text also those of no width."""
    return [i for i, end in enumerate(text.ends) if not text.special[i] and (start == 0 or end > start)]


def with_front(text: Text, token: int | None) -> Text:
    if token is None or text.special[0]:
        return text
    return Text([token, *text.ids], [0, *text.ends], [1, *text.special], [None, *text.words], 0)


class Brute:
    """Scores spans of text with a checkpoint, without batches, caches, windows or sharing."""

    def __init__(self, folder: Path, *, masked: bool) -> None:
        auto = AutoModelForMaskedLM if masked else AutoModelForCausalLM
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = auto.from_pretrained(folder, dtype=torch.float32).eval()
        self._tables: dict[tuple[int, ...], torch.Tensor] = {}

    @torch.inference_mode()
    def logprobs(self, ids: Sequence[int]) -> torch.Tensor:
        """Log-probabilities of all words at all positions, shape (positions, vocabulary), in float64."""
        key = tuple(ids)
        if key not in self._tables:
            logits = self.model(input_ids=torch.tensor([key])).logits[0]
            self._tables[key] = torch.log_softmax(logits.double(), -1)
        return self._tables[key]

    def causal(self, string: str, start: int = 0, *, robust: bool) -> Answer:
        text = tokenized(self.tokenizer, string)
        if robust:
            bos = self.tokenizer.bos_token_id
            text = with_front(text, bos if bos is not None else self.tokenizer.eos_token_id)
        scored = scored_robust(text, start) if robust else scored_official(text, start, causal=True)
        if not [i for i in scored if i > 0]:
            return Answer([], len(scored))
        table = self.logprobs(text.ids[:-1])
        return Answer([float(table[i - 1, text.ids[i]]) for i in scored if i > 0], sum(i == 0 for i in scored))

    def masked(self, string: str, start: int = 0, *, robust: bool, early: bool = False, words: bool = False) -> Answer:
        """Pseudo-log-likelihood: ``early`` reads one position before (mntp), ``words`` hides the rest of the word too."""
        text = tokenized(self.tokenizer, string)
        if robust and early:
            bos = self.tokenizer.bos_token_id
            text = with_front(text, bos if bos is not None else self.tokenizer.cls_token_id)
        scored = scored_robust(text, start) if robust else scored_official(text, start, causal=False)
        answer = Answer([], 0)
        for i in scored:
            if early and i == 0:
                answer.unscored += 1
                continue
            ids = list(text.ids)
            hidden = [j for j in range(i, len(ids)) if words and text.words[j] == text.words[i]] if words else [i]
            for j in hidden:
                ids[j] = self.tokenizer.mask_token_id
            answer.logprobs.append(float(self.logprobs(ids)[i - early, text.ids[i]]))
        return answer
