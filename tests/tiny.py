"""Factories for tiny random checkpoints: six architectures, eight kinds of tokenizer, seconds to make."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertForMaskedLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.utils import logging

# none: nothing is added, and neither BOS nor EOS exists; eos: nothing is added, but EOS exists (as GPT-2's);
# the others add what their name says around every text.
KINDS = ("none", "eos", "bos", "bos_eos", "cls_sep", "sentencepiece")
CAUSAL = ("gpt2", "llama")
MASKED = ("bert", "roberta")
# For encoder-decoders: t5 adds </s> behind a text and has sentinels, but neither BOS nor mask;
# bart's <s> and </s> are BOS and EOS, and CLS and SEP as well.
SEQ2SEQ_KINDS = (*KINDS, "t5", "bart")
SEQ2SEQ = ("t5", "bart")

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
_BART_SIZES = {"layers": 2, "attention_heads": 4, "ffn_dim": 48}


def make_tokenizer(kind: str) -> PreTrainedTokenizerFast:
    """A tokenizer, with a mask token but for t5; byte-level kinds have 330 ids, the others a hundred or so."""
    if kind == "cls_sep":
        return _wordpiece()
    if kind in ("sentencepiece", "t5"):
        return _unigram(kind)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    named = {"eos": ("eos",), "bos": ("bos",), "bos_eos": ("bos", "eos"), "bart": ("bos", "eos")}.get(kind, ())
    texts = {"bos": "<s>", "eos": "</s>"}
    more = {"cls": "<s>", "sep": "</s>"} if kind == "bart" else {}
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
    return _wrapped(tokenizer, pad="<pad>", mask="<mask>", **{name: texts[name] for name in named}, **more)


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


def _unigram(kind: str) -> PreTrainedTokenizerFast:
    pieces = ["\u2581The", "\u2581dog", "\u2581bark", "\u2581un", "\u2581the", "able", "\u2581house", "\u2581sing", "ed", "s."]
    sentinels = ["<extra_id_0>", "<extra_id_1>"]
    special = ["<pad>", "</s>", "<unk>"] if kind == "t5" else ["<unk>", "<s>", "</s>", "<pad>", "<mask>"]
    tokens = [*special, "\u2581", *_letters(" ".join(SENTENCES)), *pieces, *(reversed(sentinels) if kind == "t5" else ())]
    scores = [(token, -10.0 if len(token) == 1 else -2.0 * len(token)) for token in tokens]
    tokenizer = Tokenizer(models.Unigram(scores, unk_id=special.index("<unk>"), byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="always")
    if kind == "t5":
        tokenizer.post_processor = _template(tokenizer, "$A </s>", "</s>")
        return _wrapped(tokenizer, sentinels, pad="<pad>", unk="<unk>", eos="</s>")
    tokenizer.post_processor = _template(tokenizer, "<s> $A", "<s>")
    return _wrapped(tokenizer, pad="<pad>", unk="<unk>", bos="<s>", eos="</s>", mask="<mask>")


def _letters(text: str) -> list[str]:
    return sorted(set(text) - {" "})


def _wrapped(tokenizer: Tokenizer, extra: Sequence[str] = (), **names: str) -> PreTrainedTokenizerFast:
    named: dict[str, Any] = {f"{name}_token": text for name, text in names.items()}
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, extra_special_tokens=list(extra), **named)


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
    if architecture == "t5":  # distances only, so that its inputs have no limit; begins to decode with its padding id
        small = {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "initializer_factor": 1.5}
        return T5ForConditionalGeneration(T5Config(**small, **common, decoder_start_token_id=tokenizer.pad_token_id)).eval()
    if architecture == "bart":  # begins to decode with EOS; where there is none it states no beginning
        small = {f"{side}_{what}": size for side in ("encoder", "decoder") for what, size in _BART_SIZES.items()}
        start = {"decoder_start_token_id": tokenizer.eos_token_id, "init_std": 0.2, "forced_eos_token_id": None}
        config = BartConfig(d_model=32, max_position_embeddings=positions, **small, **common, **start)
        return BartForConditionalGeneration(config).eval()
    raise ValueError(architecture)


def save_checkpoint(folder: Path, architecture: str, kind: str, *, positions: int = 64, seed: int = 0) -> Path:
    """Writes model and tokenizer as an ordinary Hugging Face folder."""
    logging.disable_progress_bar()
    tokenizer = make_tokenizer(kind)
    make_model(architecture, tokenizer, positions=positions, seed=seed).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
