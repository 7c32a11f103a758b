"""A tiny checkpoint of random weights, made on the spot, for trying things out where nothing has to be learnt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from babyeval.data.jsonl import read_jsonl
from babyeval.data.lookup import find_data
from babyeval.registry import list_tasks

_SEED = 0
_VOCABULARY = 512


def make_tiny_model(folder: Path) -> Path:
    """Writes a Llama of random weights with a tokenizer trained on the bundled sentences.

    Args:
        folder: Where to write it; a checkpoint that is there already is taken as it is.
    """
    if (folder / "model.safetensors").is_file():
        return folder
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    from transformers.utils import logging

    tokenizer = _train_tokenizer()
    torch.manual_seed(_SEED)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=128, bos_token_id=0, eos_token_id=1, pad_token_id=1, tie_word_embeddings=True,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    tokenizer.save_pretrained(folder)
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    logging.enable_progress_bar()
    return folder


def _train_tokenizer() -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=_VOCABULARY, special_tokens=["<s>", "</s>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(_bundled_sentences(), trainer)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 0)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def _bundled_sentences() -> Iterator[str]:
    for listing in list_tasks():
        if listing.task and listing.task.card.family != "fit" and "mini" in listing.task.card.data:
            source = find_data(listing.task.card, listing.task.home, "mini", None)
            for file in source.files:
                for record in read_jsonl(file) if file.path.suffix == ".jsonl" else ():
                    yield from (value for value in record.values() if isinstance(value, str) and " " in value)
