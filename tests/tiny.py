"""Factories for tiny random checkpoints: four architectures, six kinds of tokenizer, seconds to make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
)
from transformers.utils import logging

# none: nothing is added, and neither BOS nor EOS exists; eos: nothing is added, but EOS exists (as GPT-2's);
# the others add what their name says around every text.
KINDS = ("none", "eos", "bos", "bos_eos", "cls_sep", "sentencepiece")
CAUSAL = ("gpt2", "llama")
MASKED = ("bert", "roberta")

# Our own sentences; the byte-level tokenizers are trained on them (the trainers of the other kinds
# number their pieces differently each time), tests score them.
SENTENCES = (
    "The dog barks.",
    "The dogs bark.",
    "The dogs barks at the unbelievable moon.",
    "The dog near the old houses barks at the moon.",
    "She put the cup on the table.",
    "She puts the cups on the table.",
    "No child who sings has ever been unhappy.",
    "Every child who sings has ever been unhappy.",
    "What did you say that he bought?",
    "Café, naïve, déjà vu: they said it twice!",
    "a",
    "Because it rained, nobody walked to the unlikeliest of places.",
)
VOCABULARY = 330


def make_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer with a mask token; byte-level kinds have 330 ids, the others a hundred or so."""
    if kind == "cls_sep":
        return _wordpiece()
    if kind == "sentencepiece":
        return _unigram()
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    named = {"eos": ("eos",), "bos": ("bos",), "bos_eos": ("bos", "eos")}.get(kind, ())
    texts = {"bos": "<s>", "eos": "</s>"}
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<mask>", "<pad>", *(texts[name] for name in named)],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(SENTENCES, trainer)
    if kind in ("none", "eos"):
        tokenizer.post_processor = processors.ByteLevel(add_prefix_space=False, trim_offsets=kind == "none")
    else:
        single = " ".join(["<s>", "$A", "</s>"][: 1 + len(named)])
        tokenizer.post_processor = _template(tokenizer, single, *(texts[name] for name in named))
    return _wrapped(tokenizer, pad="<pad>", mask="<mask>", **{name: texts[name] for name in named})


def _template(tokenizer: Tokenizer, single: str, *tokens: str) -> Any:
    return processors.TemplateProcessing(single=single, special_tokens=[(t, tokenizer.token_to_id(t)) for t in tokens])


def _wordpiece() -> PreTrainedTokenizerFast:
    letters = _letters(" ".join(SENTENCES).lower())
    pieces = ["the", "dog", "bark", "un", "house", "old", "that", "put", "she", "sing", "##s", "##able", "##est", "##app"]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters), *pieces]
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = _template(tokenizer, "[CLS] $A [SEP]", "[CLS]", "[SEP]")
    return _wrapped(tokenizer, pad="[PAD]", unk="[UNK]", cls="[CLS]", sep="[SEP]", mask="[MASK]")


def _unigram() -> PreTrainedTokenizerFast:
    pieces = ["\u2581The", "\u2581dog", "\u2581bark", "\u2581un", "\u2581the", "able", "\u2581house", "\u2581sing", "ed", "s."]
    tokens = ["<unk>", "<s>", "</s>", "<pad>", "<mask>", "\u2581", *_letters(" ".join(SENTENCES)), *pieces]
    scores = [(token, -10.0 if len(token) == 1 else -2.0 * len(token)) for token in tokens]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=0, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    tokenizer.post_processor = _template(tokenizer, "<s> $A", "<s>")
    return _wrapped(tokenizer, pad="<pad>", unk="<unk>", bos="<s>", eos="</s>", mask="<mask>")


def _letters(text: str) -> list[str]:
    return sorted(set(text) - {" "})


def _wrapped(tokenizer: Tokenizer, **names: str) -> PreTrainedTokenizerFast:
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, **{f"{name}_token": text for name, text in names.items()})


def make_model(architecture: str, tokenizer: Any, *, positions: int = 64, seed: int = 0) -> Any:
    """A model of hidden size 32 whose weights are large enough that a wrong mask or position shows at once."""
    torch.manual_seed(seed)
    common = {
        "vocab_size": len(tokenizer),
        "initializer_range": 0.2,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4}
    if architecture == "gpt2":
        return GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=positions, **common)).eval()
    if architecture == "llama":
        return LlamaForCausalLM(LlamaConfig(max_position_embeddings=positions, **sizes, **common)).eval()
    if architecture == "bert":
        return BertForMaskedLM(BertConfig(max_position_embeddings=positions, **sizes, **common)).eval()
    if architecture == "roberta":  # positions start behind the padding id
        offset = tokenizer.pad_token_id + 1
        return RobertaForMaskedLM(
            RobertaConfig(max_position_embeddings=positions + offset, type_vocab_size=1, **sizes, **common)
        ).eval()
    raise ValueError(architecture)


def save_checkpoint(folder: Path, architecture: str, kind: str, *, positions: int = 64, seed: int = 0) -> Path:
    """Writes model and tokenizer as an ordinary Hugging Face folder."""
    logging.disable_progress_bar()
    tokenizer = make_tokenizer(kind)
    make_model(architecture, tokenizer, positions=positions, seed=seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
