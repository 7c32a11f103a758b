"""The reference: one sentence, one plain forward pass at a time, after protocol.md, section 1. Imports no babyeval."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer


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


class BruteSeq2Seq:
    """The same for encoder-decoders, whose official scorers crash (D8): what they were meant to compute."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32).eval()

    @torch.inference_mode()
    def logprobs(self, encoder: Sequence[int], decoder: Sequence[int]) -> torch.Tensor:
        """Log-probabilities of all words at all decoder positions, shape (positions, vocabulary), in float64."""
        logits = self.model(input_ids=torch.tensor([encoder]), decoder_input_ids=torch.tensor([decoder])).logits[0]
        return torch.log_softmax(logits.double(), -1)

    @property
    def sentinel(self) -> int | None:
        extra = self.tokenizer.extra_special_tokens
        return self.tokenizer.convert_tokens_to_ids(extra[0]) if extra else None

    @property
    def mask(self) -> int:
        mask = self.tokenizer.mask_token_id
        return self.sentinel if mask is None else mask

    def start(self, *, robust: bool) -> list[int]:
        """BOS; under robust, where there is none, what the model says that its decoder begins with."""
        bos = self.tokenizer.bos_token_id
        if bos is None and robust:
            bos = self.model.config.decoder_start_token_id
        return [] if bos is None else [bos]

    def masked(self, string: str, start: int = 0, *, robust: bool) -> Answer:
        """One token hidden from the encoder at a time; the decoder's last position says which it was."""
        text = tokenized(self.tokenizer, string)
        scored = scored_robust(text, start) if robust else scored_official(text, start, causal=False)
        no_bos = self.tokenizer.bos_token_id is None
        decoder = [*self.start(robust=robust), self.sentinel if no_bos and self.sentinel is not None else self.mask]
        answer = Answer([], 0)
        for i in scored:
            encoder = list(text.ids)
            encoder[i] = self.mask
            answer.logprobs.append(float(self.logprobs(encoder, decoder)[-1, text.ids[i]]))
        return answer

    def split(self, string: str, start: int, *, robust: bool) -> tuple[list[int], list[int]]:
        """Prefix and completion: two texts for the official code, two parts of one text for robust."""
        if not robust:
            parts = (self.tokenizer(part, add_special_tokens=False)["input_ids"] for part in (string[:start], string[start:]))
            prefix, completion = parts
            return list(prefix), list(completion)
        text = tokenized(self.tokenizer, string)
        scored = scored_robust(text, start)
        return [text.ids[i] for i in range(scored[0]) if not text.special[i]], [text.ids[i] for i in scored]

    def prefixed(self, string: str, start: int = 0, *, robust: bool) -> Answer:
        """The encoder reads the prefix, the decoder is scored on the completion; its mask predicts the first id."""
        prefix, completion = self.split(string, start, robust=robust)
        before, behind = ([] if i is None else [i] for i in (self.tokenizer.cls_token_id, self.tokenizer.eos_token_id))
        encoder = [*before, *prefix, self.mask, *behind]
        decoder = [*self.start(robust=robust), self.mask, *completion[:-1]]
        table = self.logprobs(encoder, decoder)[-len(completion) :]
        return Answer([float(row[token]) for row, token in zip(table, completion, strict=True)], 0)
