"""Training a tokenizer on a corpus: byte-level BPE, WordPiece or Unigram, saved as an ordinary fast tokenizer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babyeval.errors import MissingError, UsageError, raise_interrupt

from .folders import built, content_key, data_folder

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from babyeval.progress import Reporter

    from .corpus.types import Corpus
    from .recipe import TokenizerSpec

_WORD_MARK = "##"  # WordPiece's sign of a piece that begins no word
_TEMPLATE_TOKEN = re.compile(r"<\|[^|<>\s]+\|>")
_CONVERSATION = (
    {"role": "user", "content": "What do cats drink?"},
    {"role": "assistant", "content": "Milk, they say."},
)
_CODE_POINTS = 0x110000


def train_tokenizer(corpus: Corpus, spec: TokenizerSpec, causal: bool, out: Path, max_length: int, reporter: Reporter) -> Path:
    """Trains a tokenizer, once for a corpus and a specification.

    Byte-level BPE and WordPiece come out the same from the same text each time. The library's Unigram trainer sums in
    an order drawn by chance: its probabilities differ in the fourth digit, so that the first tokenizer is kept and used.

    Args:
        corpus: The text.
        spec: What is trained.
        causal: For a causal model (BOS and EOS as `spec` says) or a masked one (``[CLS]`` text ``[SEP]``).
        out: Where the runs lie; the tokenizer goes to ``_data`` below it.
        max_length: The most tokens that the model takes at once.
        reporter: Where progress is shown.

    Returns:
        The folder, which ``transformers.AutoTokenizer`` opens.

    Raises:
        UsageError: The text supports fewer tokens than asked for, or the special tokens and single characters
            alone are more; the chat template is no template, or the prompt it gives does not begin the conversation.
        MissingError: The chat template's file is not there, or the folder cannot be written.
    """
    template = read_template(spec.chat_template) if causal else None  # a masked model does not reply
    folder = tokenizer_folder(corpus, spec, causal, out, max_length)
    if folder.is_dir():
        reporter.note(f"Tokenizer: {folder} is there, and is used.")
        return folder
    named = _named_tokens(spec, causal)
    more = template_marks(template or "")
    backend = _TRAINERS[spec.kind](_Texts(corpus, spec, reporter), spec, [*named.values(), *more])
    _require_size(backend.get_vocab_size(), spec)
    tokenizer = _finished(backend, named, more, max_length)
    if template is not None:
        tokenizer.chat_template = template
        _require_prefix(tokenizer, spec.chat_template)
    with built(folder, keep=True) as draft:
        tokenizer.save_pretrained(draft)
    return folder


def tokenizer_folder(corpus: Corpus, spec: TokenizerSpec, causal: bool, out: Path, max_length: int) -> Path:
    """Where a tokenizer lies once it is trained; arguments and errors as of `train_tokenizer`."""
    template = read_template(spec.chat_template) if causal else None
    return data_folder(out, "tokenizer", content_key(corpus.digest, spec.model_dump(mode="json"), causal, max_length, template))


def read_template(name: str) -> str:
    """The text of a chat template.

    Args:
        name: A shipped template's name, or the path of a Jinja file.

    Raises:
        MissingError: There is no such file or template.
        UsageError: The file cannot be read as text.
    """
    shipped = resources.files("babyeval.trainers") / "templates"
    path = Path(name)
    try:
        if path.is_file():
            return path.read_text(encoding="utf-8")
        if re.fullmatch(r"\w+", name) and (shipped / f"{name}.jinja").is_file():
            return (shipped / f"{name}.jinja").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"The chat template cannot be read: {error}.", where=name) from error
    known = sorted(Path(str(file)).stem for file in shipped.iterdir())
    raise MissingError(
        f"There is no chat template '{name}', neither as a file nor among those that come with babyeval.",
        hint=f"Shipped: {', '.join(known)}.",
    )


def template_marks(template: str) -> list[str]:
    """The marks ``<|...|>`` of a chat template, which are to be tokens of their own."""
    return sorted(set(_TEMPLATE_TOKEN.findall(template)))


def require_marks(tokenizer: Any, name: str) -> str:
    """Looks whether the marks of a tokenizer's chat template are tokens of its vocabulary.

    Args:
        tokenizer: With the template, which was written for another one.
        name: The template's, for messages.

    Returns:
        What has to be said of marks that are none; empty if all are.

    Raises:
        UsageError: One of them is unknown even in pieces.
    """
    known = tokenizer.get_vocab()
    absent = [mark for mark in template_marks(tokenizer.chat_template) if mark not in known]
    pieces = {mark: tokenizer(mark, add_special_tokens=False)["input_ids"] for mark in absent}
    lost = [mark for mark, ids in pieces.items() if not ids or tokenizer.unk_token_id in ids]
    if lost:
        raise UsageError(
            f"The vocabulary has no tokens for the marks of the chat template: {', '.join(lost)}.",
            where=f"chat_template: {name}",
            hint="Take a template without them, such as plain, or set tokenizer.chat_template before pre-training.",
        )
    if not absent:
        return ""
    counts = ", ".join(f"{mark} ({len(ids)} tokens)" for mark, ids in pieces.items())
    return f"Marks of the chat template that are no tokens of the vocabulary are read as plain text: {counts}."


class _Texts:
    """The documents' texts, which some kinds of tokenizer read more than once."""

    def __init__(self, corpus: Corpus, spec: TokenizerSpec, reporter: Reporter) -> None:
        self._corpus = corpus
        self._all = spec.on == "all"
        self._reporter = reporter

    def read(self, what: str) -> Iterator[str]:
        words = self._corpus.train_words + (self._corpus.valid_words if self._all else 0)
        with self._reporter.bar(f"Tokenizer, {what}", words, "words") as advance:
            for document in chain(self._corpus.documents("train"), self._corpus.documents("valid") if self._all else ()):
                yield document.text
                advance(document.words)


def _named_tokens(spec: TokenizerSpec, causal: bool) -> dict[str, str]:
    """The special tokens by role; padding comes first, so that a RoBERTa counts positions from 1."""
    if not causal:
        return {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
    named = {"pad": "<pad>"}
    if spec.bos:
        named["bos"] = "<s>"
    if spec.eos:
        named["eos"] = "</s>"
    if spec.kind != "bpe":  # bytes are never unknown
        named["unk"] = "<unk>"
    return named


def _train_bpe(texts: _Texts, spec: TokenizerSpec, special: list[str]) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=spec.vocab_size,
        min_frequency=spec.min_frequency,
        special_tokens=special,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts.read("merges"), trainer)
    return tokenizer


def _train_wordpiece(texts: _Texts, spec: TokenizerSpec, special: list[str]) -> Any:
    """Trains in two passes: the library numbers letters in an order of chance unless they are there before it begins."""
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    def empty(vocabulary: dict[str, int]) -> Any:
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown))
        tokenizer.normalizer = normalizers.BertNormalizer(lowercase=spec.lowercase, strip_accents=False)
        tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        tokenizer.decoder = decoders.WordPiece(prefix=_WORD_MARK, cleanup=False)
        return tokenizer

    unknown = next(token for token in special if "unk" in token.lower())
    letters = _frequent_letters(texts, empty({}).normalizer, spec.vocab_size // 4)
    common: dict[str, Any] = {"initial_alphabet": letters, "limit_alphabet": len(letters), "show_progress": False}
    tokenizer = empty({})
    tokenizer.train_from_iterator(texts.read("letters"), trainers.WordPieceTrainer(vocab_size=1, **common))
    seeds = [*special, *sorted(tokenizer.get_vocab())]
    trainer = trainers.WordPieceTrainer(
        vocab_size=spec.vocab_size, min_frequency=spec.min_frequency, special_tokens=seeds, **common
    )
    tokenizer = empty({})
    tokenizer.train_from_iterator(texts.read("pieces"), trainer)
    whole = empty(tokenizer.get_vocab())
    whole.add_special_tokens(special)
    return whole


def _frequent_letters(texts: _Texts, normalizer: Any, most: int) -> list[str]:
    """The characters that are most frequent in normalized text; of equals, the first by code point."""
    import numpy as np

    counts = np.zeros(_CODE_POINTS, dtype=np.int64)
    for text in texts.read("characters"):
        normal = normalizer.normalize_str(text)
        found, times = np.unique(np.frombuffer(normal.encode("utf-32-le", "replace"), dtype=np.uint32), return_counts=True)
        counts[found] += times
    order = np.argsort(-counts, kind="stable")
    letters = (chr(code) for code in order[: np.count_nonzero(counts)])
    return [letter for letter in letters if not letter.isspace()][:most]


def _train_unigram(texts: _Texts, spec: TokenizerSpec, special: list[str]) -> Any:
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.Unigram())
    case = [normalizers.Lowercase()] if spec.lowercase else []
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *case, normalizers.Replace(Regex(r"\s+"), " ")])
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=spec.vocab_size,
        special_tokens=special,
        unk_token=next(token for token in special if "unk" in token.lower()),
        show_progress=False,
    )
    try:
        tokenizer.train_from_iterator(texts.read("pieces"), trainer)
    except Exception as error:  # the library raises a bare Exception where the characters alone are too many
        raise_interrupt(error)
        raise UsageError(
            f"No Unigram tokenizer of {spec.vocab_size:,} tokens can be trained on this text: {error}.",
            where="tokenizer.vocab_size",
            hint="Set tokenizer.vocab_size higher, or use kind = 'bpe', which never lacks a character.",
        ) from error
    return tokenizer


_TRAINERS = {"bpe": _train_bpe, "wordpiece": _train_wordpiece, "unigram": _train_unigram}


def _require_size(size: int, spec: TokenizerSpec) -> None:
    if size == spec.vocab_size:
        return
    if size < spec.vocab_size:
        what = f"The text supports only {size:,} tokens, and tokenizer.vocab_size asks for {spec.vocab_size:,}."
        hint = f"Set tokenizer.vocab_size to {size} or less, or train on more text."
    else:
        what = f"The special tokens and single characters alone are {size:,} tokens, and vocab_size is {spec.vocab_size:,}."
        hint = f"Set tokenizer.vocab_size to more than {size}."
    raise UsageError(what, where="tokenizer.vocab_size", hint=hint)


def _finished(backend: Any, named: dict[str, str], more: list[str], max_length: int) -> PreTrainedTokenizerFast:
    """Puts the special tokens around a text as the kind of model wants it, but never EOS (D10)."""
    from tokenizers import processors
    from transformers import PreTrainedTokenizerFast

    around = [token for token in (named.get("bos"), named.get("cls"), named.get("sep")) if token]
    if around:
        first, last = around[:1], around[1:]
        backend.post_processor = processors.TemplateProcessing(
            single=[*first, "$A", *last],
            pair=[*first, "$A", *last, "$B", *last],
            special_tokens=[(token, backend.token_to_id(token)) for token in around],
        )
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        model_max_length=max_length,
        model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
        padding_side="right",
        extra_special_tokens=more,
        **{f"{role}_token": token for role, token in named.items()},
    )


def _require_prefix(tokenizer: PreTrainedTokenizerFast, name: str) -> None:
    """Tries the template: a reply must come right behind its prompt, else training and use differ."""
    conversation = list(_CONVERSATION)
    try:
        prompt = str(tokenizer.apply_chat_template(conversation[:1], tokenize=False, add_generation_prompt=True))
        whole = str(tokenizer.apply_chat_template(conversation, tokenize=False))
    except Exception as error:  # a template fails in any way
        raise_interrupt(error)
        raise UsageError(f"The chat template cannot be rendered: {error}.", where=name) from error
    if not whole.startswith(prompt) or _CONVERSATION[1]["content"] not in whole[len(prompt) :]:
        raise UsageError(
            "The chat template's prompt is no beginning of the conversation with its reply.",
            where=f"{name}: prompt {prompt!r}, conversation {whole!r}",
            hint="What add_generation_prompt appends must be what stands before a reply.",
        )
