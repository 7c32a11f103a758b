"""Packed token files: all documents one behind the other, cut into blocks of one length, with their words counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from babyeval.errors import DataError, UsageError

from .encoding import encode
from .folders import MANIFEST_FILE, built, content_key, data_folder

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from babyeval.progress import Reporter

    from .corpus.types import Corpus, Document

SCHEMA_VERSION = 1
_BATCH_CHARACTERS = 1 << 20  # tokenized at once: enough for all cores, little in memory


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TokenFacts(_Model):
    """What training has to know about the token ids.

    Attributes:
        vocab_size: Number of ids.
        causal: Whether the model predicts the next token.
        pad: Fills the last block.
        mask: Hides a token from a masked model.
        special: Ids that are no text: never asked about, never put in another's place.
        front: Written before each document.
        back: Written behind each document.
    """

    vocab_size: int
    causal: bool
    pad: int
    mask: int | None
    special: tuple[int, ...]
    front: tuple[int, ...]
    back: tuple[int, ...]


class PartCounts(_Model):
    """How much a packed file holds.

    Attributes:
        documents: Documents.
        tokens: Tokens, special ones included.
        words: Words.
    """

    documents: int
    tokens: int
    words: int


class Manifest(_Model):
    """The account of a folder of packed files.

    Attributes:
        schema_version: Of this file.
        corpus: The corpus's digest.
        tokenizer: Digest of the tokenizer.
        length: Tokens of a block.
        facts: About the token ids.
        train: How much there is to train on.
        valid: How much there is for validation, by domain.
    """

    schema_version: int = SCHEMA_VERSION
    corpus: str
    tokenizer: str
    length: int
    facts: TokenFacts
    train: PartCounts
    valid: dict[str, PartCounts]


class Blocks:
    """A packed file, read from disk as it is needed.

    Args:
        folder: Where it lies.
        name: The files' name without endings.
        length: Tokens of a block; the last may hold fewer.
        facts: About the token ids.
    """

    def __init__(self, folder: Path, name: str, length: int, facts: TokenFacts) -> None:
        self.folder = folder
        self.name = name
        self.length = length
        self.facts = facts

    def __reduce__(self) -> tuple[Any, ...]:
        return Blocks, (self.folder, self.name, self.length, self.facts)  # a worker opens the files itself

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def words(self) -> NDArray[np.int32]:
        """Words of each block: a word counts where the token with its first character lies."""
        words: NDArray[np.int32] = np.load(self.folder / f"{self.name}.words.npy")
        return words

    @cached_property
    def n_tokens(self) -> int:
        """Tokens in all, special ones included."""
        return len(self._tokens)

    @cached_property
    def _tokens(self) -> NDArray[Any]:
        return np.memmap(self.folder / f"{self.name}.tokens", dtype=_id_type(self.facts.vocab_size), mode="r")

    @cached_property
    def _documents(self) -> NDArray[np.int64]:
        """Where documents begin, in tokens from the file's beginning."""
        starts: NDArray[np.int64] = np.load(self.folder / f"{self.name}.starts.npy", mmap_mode="r")
        return starts

    def tokens(self, block: int) -> NDArray[np.int64]:
        """The token ids of a block: `length` of them, in the last block perhaps fewer."""
        return self._tokens[block * self.length : (block + 1) * self.length].astype(np.int64)

    def starts(self, block: int) -> NDArray[np.int64]:
        """Where in a block the pieces of documents begin; the first is 0."""
        first = block * self.length
        low, high = np.searchsorted(self._documents, [first + 1, min(first + self.length, self.n_tokens)])
        inside = np.unique(self._documents[low:high]) - first  # unique: a document may have no token at all
        return np.concatenate([np.zeros(1, dtype=np.int64), inside])


@dataclass(frozen=True, slots=True)
class Shards:
    """The packed files of a corpus.

    Attributes:
        folder: Where they lie.
        manifest: Their account.
        train: Training blocks.
        valid: Validation blocks, by domain.
    """

    folder: Path
    manifest: Manifest
    train: Blocks
    valid: dict[str, Blocks]

    @property
    def facts(self) -> TokenFacts:
        """About the token ids."""
        return self.manifest.facts


def build_shards(corpus: Corpus, tokenizer_folder: Path, length: int, causal: bool, out: Path, reporter: Reporter) -> Shards:
    """Tokenizes and packs a corpus, once for a corpus, a tokenizer and a length.

    Documents stand one behind the other, each between what the tokenizer puts around a text (and an EOS, of a causal
    model whose tokenizer has one), and are cut every ``length`` tokens. Training documents come in an order that the
    corpus's digest decides, and with it the split's seed; validation documents in the corpus's own.

    Args:
        corpus: The text.
        tokenizer_folder: A fast tokenizer.
        length: Tokens of a block.
        causal: For a causal or a masked model.
        out: Where the runs lie; the files go to ``_data`` below it.
        reporter: Where progress is shown.

    Raises:
        UsageError: There is no text, the tokenizer is slow, or has no mask where a masked model needs one.
        DataError: The words do not come out as the corpus says.
        MissingError: There is no tokenizer, or the files cannot be written.
    """
    from babyeval.models.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(tokenizer_folder)
    facts = token_facts(tokenizer, causal)
    digest = _digest(tokenizer)
    folder = _place(corpus, digest, length, facts, out)
    if (folder / MANIFEST_FILE).is_file():
        reporter.note(f"Packed text: {folder} is there, and is used.")
        return open_shards(folder)
    backend, words = _backend(tokenizer), corpus.train_words + corpus.valid_words
    with built(folder, keep=not folder.exists()) as draft, reporter.bar("Packing", words, "words") as advance:

        def pack(name: str, documents: Iterable[Document]) -> PartCounts:
            packer = _Packer(draft, name, length, facts)
            for batch in _batches(documents):
                packer.add(backend, [document.text for document in batch])
                advance(sum(document.words for document in batch))
            return packer.close()

        training = list(corpus.documents("train"))
        order = np.random.default_rng(int(content_key("order", corpus.digest), 16)).permutation(len(training))
        train = pack("train", (training[i] for i in order))
        del training
        valid = {name: pack(f"{name}.valid", corpus.documents("valid", name)) for name in corpus.domains}
        _require_all(corpus, train, valid, tokenizer_folder)
        valid = {name: counts for name, counts in valid.items() if counts.tokens}
        manifest = Manifest(corpus=corpus.digest, tokenizer=digest, length=length, facts=facts, train=train, valid=valid)
        (draft / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return open_shards(folder)


def _backend(tokenizer: Any) -> Any:
    backend = tokenizer.backend_tokenizer
    backend.encode_special_tokens = True  # "</s>" in a corpus is text
    backend.no_truncation()
    backend.no_padding()
    return backend


def look_up_shards(corpus: Corpus, tokenizer_folder: Path, length: int, causal: bool, out: Path) -> Shards | None:
    """The packed files of a corpus, if they are built already; arguments and errors as of `build_shards`."""
    from babyeval.models.tokenizer import load_tokenizer

    tokenizer = load_tokenizer(tokenizer_folder)
    folder = _place(corpus, _digest(tokenizer), length, token_facts(tokenizer, causal), out)
    return open_shards(folder) if (folder / MANIFEST_FILE).is_file() else None


def _digest(tokenizer: Any) -> str:
    return content_key(tokenizer.backend_tokenizer.to_str())  # a parent's may lie in other files than tokenizer.json


def _place(corpus: Corpus, tokenizer: str, length: int, facts: TokenFacts, out: Path) -> Path:
    return data_folder(out, "shards", content_key(corpus.digest, tokenizer, length, facts.model_dump(), SCHEMA_VERSION))


def open_shards(folder: Path) -> Shards:
    """Opens packed files.

    Raises:
        UsageError: They are damaged, or written by another version.
    """
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST_FILE).read_bytes())
        parts = {"train": manifest.train} | {f"{name}.valid": counts for name, counts in manifest.valid.items()}
        blocks = {name: Blocks(folder, name, manifest.length, manifest.facts) for name in parts}
        whole = manifest.schema_version == SCHEMA_VERSION and all(
            (blocks[name].n_tokens, int(blocks[name].words.sum())) == (counts.tokens, counts.words)
            for name, counts in parts.items()
        )
    except (OSError, ValueError, ValidationError):
        whole = False
    if not whole:
        raise UsageError(
            "The packed text is damaged, or of another version.", where=str(folder), hint="Delete that folder: it is built again."
        )
    return Shards(folder, manifest, blocks["train"], {name: blocks[f"{name}.valid"] for name in manifest.valid})


def token_facts(tokenizer: Any, causal: bool) -> TokenFacts:
    """Finds out what stands around a document, and which ids are no text.

    Raises:
        UsageError: A masked model's tokenizer has no mask token.
    """
    from babyeval.models.tokenizer import tokenizer_facts

    facts = tokenizer_facts(tokenizer)
    if not causal and facts.mask is None:
        raise UsageError("The tokenizer has no mask token, which a masked model needs.", hint="Train one for this recipe.")
    special = sorted(set(tokenizer.all_special_ids))
    back = facts.suffix or ((facts.eos,) if causal and facts.eos is not None else ())
    pad = next((token for token in (tokenizer.pad_token_id, facts.eos) if token is not None), 0)
    return TokenFacts(
        vocab_size=facts.size, causal=causal, pad=pad, mask=facts.mask, special=tuple(special), front=facts.prefix, back=back
    )


def _require_all(corpus: Corpus, train: PartCounts, valid: dict[str, PartCounts], tokenizer: Path) -> None:
    if not train.tokens:
        raise UsageError("The corpus has no text to train on.", where=str(corpus.folder))
    found = (train.words, sum(counts.words for counts in valid.values()))
    if found != (corpus.train_words, corpus.valid_words):
        raise DataError(
            f"Words were lost: {found[0]:,} for training and {found[1]:,} for validation were packed, and the corpus "
            f"states {corpus.train_words:,} and {corpus.valid_words:,}.",
            where=f"{corpus.folder} with {tokenizer}",
            hint="Delete both folders, and start again.",
        )


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document.text)
        if size >= _BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


class _Packer:
    """Writes one packed file, batch by batch."""

    def __init__(self, folder: Path, name: str, length: int, facts: TokenFacts) -> None:
        self._path = folder / name
        self._length = length
        self._facts = facts
        self._file = (folder / f"{name}.tokens").open("wb")
        self._tokens = 0
        self._starts: list[NDArray[np.int64]] = []
        self._words = np.zeros(0, dtype=np.int32)

    def add(self, backend: Any, texts: list[str]) -> None:
        """Tokenizes and writes documents."""
        ids, starts, first_tokens = encode(backend, texts, self._facts)
        ids.astype(_id_type(self._facts.vocab_size)).tofile(self._file)
        self._starts.append(self._tokens + starts)
        if len(ids):
            first = self._tokens // self._length
            counts = np.bincount((self._tokens + first_tokens) // self._length - first)
            longer = np.zeros(max(len(self._words), first + len(counts)), dtype=np.int32)
            longer[: len(self._words)] = self._words
            longer[first : first + len(counts)] += counts.astype(np.int32)
            self._words = longer
        self._tokens += len(ids)

    def close(self) -> PartCounts:
        """Writes where documents begin and how many words each block has."""
        blocks = -(-self._tokens // self._length)
        starts = np.concatenate(self._starts) if self._starts else np.zeros(0, dtype=np.int64)
        words = np.pad(self._words, (0, blocks - len(self._words)))
        if blocks > 1 and self._tokens % self._length == 1:  # one token alone gives nothing to predict
            self._tokens -= 1
            words[-2] += words[-1]
            words = words[:-1]
            self._file.truncate(self._tokens * _id_type(self._facts.vocab_size).itemsize)
        self._file.close()
        np.save(f"{self._path}.starts.npy", starts)
        np.save(f"{self._path}.words.npy", words)
        return PartCounts(documents=len(starts), tokens=self._tokens, words=int(words.sum()))


def _id_type(vocab_size: int) -> np.dtype[Any]:
    return np.dtype("<u2" if vocab_size <= 1 << 16 else "<u4")
