"""A tiny Llama that is really trained, on made-up sentences, and saved at six ages: frequent words come first."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from tiny import make_model, make_tokenizer

# Each thing has a colour of its own, which gives it away; the first is met some thirty times as often as the last.
COLOURS = ("red", "blue", "green", "white", "black", "brown", "pink", "grey", "gold", "plain", "pale", "dark")
THINGS = ("dog", "cup", "ball", "shoe", "hat", "duck", "tree", "book", "door", "fish", "lamp", "moon")
PLACES = ("box", "bag", "room")
AGES = {"chck_1K": 1_000, "chck_3K": 3_000, "chck_6K": 6_000, "chck_12K": 12_000, "chck_25K": 25_000, "chck_50K": 50_000}
_SENTENCES_PER_STEP = 16


def context(colour: str, place: str) -> str:
    """What stands before the thing."""
    return f"The {colour} {place} holds a"


def train_checkpoints(root: Path) -> Path:
    """Trains on 50,000 words and writes a sub-folder per age; some ten seconds."""
    tokenizer = make_tokenizer("bos")
    model = make_model("llama", tokenizer)
    draw = random.Random(0)  # noqa: S311 - no secret
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    weights = [1 / (1 + rank) ** 1.4 for rank in range(len(THINGS))]
    seen, ages = 0, dict(AGES)
    model.train()
    while ages:
        picked = draw.choices(range(len(THINGS)), weights, k=_SENTENCES_PER_STEP)
        texts = [f"{context(COLOURS[i], draw.choice(PLACES))} {THINGS[i]}." for i in picked]
        batch = tokenizer(texts, return_tensors="pt", padding=True)
        labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, -100)
        optimizer.zero_grad()
        model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        seen += sum(len(text.split()) for text in texts)
        for name in [name for name, words in ages.items() if seen >= words]:
            del ages[name]
            model.save_pretrained(root / name)
            tokenizer.save_pretrained(root / name)
    return root
