"""Building a corpus: reading, cleaning, removing duplicates, sampling, splitting, writing; once for the same content."""

from __future__ import annotations

import contextlib
import hashlib
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from babyeval.errors import MissingError, UsageError, unreadable
from babyeval.progress import Advance, Quiet, Reporter

from ..folders import MANIFEST_FILE, built, content_key, data_folder, file_digest
from ..recipe import Data
from ..validate import ALL
from . import choose, clean, forms, read
from .types import SCHEMA_VERSION, Corpus, DomainCounts, Manifest, Part, SourceFile, Tally, part_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT_VERSION = 1  # raised where the same settings would give another text
_BATCH_CHARACTERS = 1 << 22


@dataclass(slots=True)
class _Domain:
    """A domain while it is read: of each document only numbers and a digest are in memory."""

    name: str
    sources: dict[Path, SourceFile] = field(default_factory=dict)
    tally: Tally = field(default_factory=Tally)
    words: array[int] = field(default_factory=lambda: array("q"))
    documents: array[int] = field(default_factory=lambda: array("q"))
    digests: bytearray = field(default_factory=bytearray)  # 16 bytes each

    @property
    def draft_file(self) -> str:
        return f".{self.name}.parquet"


def build_corpus(data: Data, out: Path, reporter: Reporter) -> Corpus:
    """Makes the corpus of a recipe, or takes the one that is there.

    Args:
        data: The recipe's section.
        out: Folder of all runs; the corpus comes to ``<out>/_data/corpus-<key>``.
        reporter: Is told what is left out, reused and noteworthy.

    Raises:
        UsageError: The corpus holds more words than the budget, nothing is left of it, or nothing is left for validation.
        DataError: A file is empty, binary, damaged or no UTF-8.
        MissingError: The folder is not there, or the disk is full.
    """
    if data.corpus is None:
        raise UsageError(
            "The recipe names no corpus.", hint="Say where it lies: --corpus FOLDER, or corpus = '...' in the section [data]."
        )
    paths, left_out = read.find_files(data.corpus, data.include)
    if left_out:
        shown = [f"{name} ({reason})" for name, reason in left_out.items()]
        more = f" and {len(shown) - 10} more" if len(shown) > 10 else ""
        reporter.note(f"Left out: {', '.join(shown[:10])}{more}.")
    domains = _find_domains(data.corpus, paths)
    for name in data.forms:
        if name not in domains:
            raise UsageError(
                f"data.forms names a domain that the corpus has not: '{name}'.", hint=f"Its domains: {', '.join(domains)}."
            )
    settings, folder = _place(data, domains, out)
    corpus = find_corpus(folder, reporter)
    if corpus is not None:
        reporter.note(f"The corpus is there already, and is used: {folder}.")
    else:
        with built(folder, keep=not folder.exists()) as draft:  # a damaged one is replaced
            _read_all(data, domains, draft, reporter)
            manifest = _write_all(data, domains, draft, left_out, settings)
            (draft / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
        corpus = Corpus(folder, manifest)
    for note in corpus.manifest.notes:
        reporter.note(note)
    return corpus


def look_up_corpus(data: Data, out: Path) -> Corpus | None:
    """The corpus of a recipe, if it is built already; nothing is.

    Raises:
        UsageError: The recipe's folder holds no text, or a domain's name is none.
        MissingError: The recipe's folder is not there.
    """
    if data.corpus is None:
        return None
    paths, _ = read.find_files(data.corpus, data.include)
    return find_corpus(_place(data, _find_domains(data.corpus, paths), out)[1], Quiet())


def same_text(data: Data, out: Path, digest: str) -> bool | None:
    """Whether a corpus of this digest, built before, is what the recipe's folder holds now, whatever the folder is called.

    Nothing is built: where the recipe's corpus has not been, the files are compared with those that the other was read from.

    Args:
        data: The recipe's section.
        out: Folder of all runs.
        digest: Of the corpus that was built before.

    Returns:
        Whether it is; None if no text is there, or nothing of the other is left to compare with.
    """
    if data.corpus is None:
        return None
    try:
        domains = _find_domains(data.corpus, read.find_files(data.corpus, data.include)[0])
    except (MissingError, UsageError):
        return None
    if (made := find_corpus(_place(data, domains, out)[1], Quiet())) is not None:
        return made.digest == digest
    now = {source.name: source.sha256 for domain in domains.values() for source in domain.sources.values()}
    then = []
    for path in (out / "_data").glob(f"corpus-*/{MANIFEST_FILE}"):
        with contextlib.suppress(OSError, ValidationError):  # damaged: it tells nothing
            manifest = Manifest.model_validate_json(path.read_bytes())
            if manifest.digest == digest:
                then.append({file.name: file.sha256 for counts in manifest.domains.values() for file in counts.files})
    return now in then if then else None


def _place(data: Data, domains: dict[str, _Domain], out: Path) -> tuple[dict[str, Any], Path]:
    """The settings that count, and the folder that they and the files' content decide."""
    digests = {source.name: source.sha256 for domain in domains.values() for source in domain.sources.values()}
    settings = data.model_dump(mode="json", exclude={"corpus", "include"})
    return settings, data_folder(out, "corpus", content_key(FORMAT_VERSION, digests, settings))


def _find_domains(folder: Path, paths: list[Path]) -> dict[str, _Domain]:
    domains: dict[str, _Domain] = {}
    try:
        for path in paths:
            name = read.domain_name(path)
            source = SourceFile(
                name=path.relative_to(folder).as_posix(), sha256=file_digest(path), bytes=path.stat().st_size, form="", words=0
            )
            domains.setdefault(name, _Domain(name)).sources[path] = source
    except OSError as error:
        raise unreadable(error) from error
    if ALL in domains and len(domains) > 1:
        raise UsageError(
            f"A domain cannot be called '{ALL}' beside others: under that name losses stand for all domains together.",
            where=", ".join(str(path) for path in domains[ALL].sources),
            hint="Give its file another name, or leave it out (data.include).",
        )
    return dict(sorted(domains.items()))


def find_corpus(folder: Path, reporter: Reporter) -> Corpus | None:
    """The corpus in a folder, if it is there and whole."""
    path = folder / MANIFEST_FILE
    if not path.is_file():
        return None
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
        whole = manifest.schema_version == SCHEMA_VERSION and all(
            file_digest(folder / name) == digest for name, digest in manifest.outputs.items()
        )
    except (OSError, ValidationError):
        whole = False
    if not whole:
        reporter.note(f"The corpus in {folder} is damaged, and is built again.")
        return None
    return Corpus(folder, manifest)


def _read_all(data: Data, domains: dict[str, _Domain], draft: Path, reporter: Reporter) -> None:
    """Reads all files, and writes each domain's documents, cleaned and without duplicates, into a file of its own."""
    seen: set[bytes] = set()
    total = sum(source.bytes for domain in domains.values() for source in domain.sources.values())
    with reporter.bar("Reading the corpus", total, "bytes") as advance:
        for domain in domains.values():
            with _Writer(draft / domain.draft_file) as writer:
                for path in domain.sources:
                    for section in _unseen(_sections(data, domain, path, advance), data, domain, seen):
                        writer.add(section)


def _sections(data: Data, domain: _Domain, path: Path, advance: Advance) -> Iterator[forms.Section]:
    """Reads one file to sections; notes the file when it ends."""
    rules, tally = data.clean, domain.tally
    titles = tally.entries("marks")
    chunks = read.read_text(path, advance)
    first = next(chunks)
    asked = data.forms.get(domain.name, "auto")
    form: forms.Form = forms.looks_like(first) if asked == "auto" else asked
    counted = _Counted(forms.blocks(_chain(first, chunks), str(path)))
    text: Iterable[str] = clean.clean_blocks(counted, tally) if rules.special_characters else counted
    marked = forms.events(text, form, rules.licence)
    if rules.licence and form != "turns":
        marked = clean.cut_licences(marked, tally)
    wrapped = forms.is_wrapped(first)
    entries = forms.turns(marked) if form == "turns" else forms.lines(marked, wrapped, data.section_words)
    yield from forms.sections(clean.keep(entries, rules, tally), data.section_words, tally)
    if form == "titled" and tally.entries("marks") == titles:
        form = "lines"  # as it turned out
    domain.sources[path] = domain.sources[path].model_copy(update={"form": form, "words": counted.words})


def _chain(first: str, others: Iterable[str]) -> Iterator[str]:
    yield first
    yield from others


class _Counted:
    """Blocks of text, and the words in those that were taken."""

    def __init__(self, blocks: Iterable[str]) -> None:
        self._blocks = blocks
        self.words = 0

    def __iter__(self) -> Iterator[str]:
        for block in self._blocks:
            self.words += len(block.split())
            yield block


def _unseen(found: Iterable[forms.Section], data: Data, domain: _Domain, seen: set[bytes]) -> Iterator[forms.Section]:
    """Leaves out texts that were there before, in whatever domain, and keeps the account of the others."""
    # The number of a document in its file becomes one in its domain.
    base = domain.documents[-1] + 1 if domain.documents else 0
    for section in found:
        digest = hashlib.blake2b(section.text.encode(), digest_size=16).digest()
        if data.clean.duplicates:
            if digest in seen:
                domain.tally.add("duplicates", section.words)
                continue
            seen.add(digest)
        domain.words.append(section.words)
        domain.documents.append(base + section.document)
        domain.digests += digest
        yield section


class _Writer:
    """Writes documents to a Parquet file, some hundred at a time."""

    def __init__(self, path: Path) -> None:
        import pyarrow
        import pyarrow.parquet

        self._schema = pyarrow.schema(
            [("text", pyarrow.large_string()), ("words", pyarrow.int32()), ("document", pyarrow.int32())]
        )
        self._file = pyarrow.parquet.ParquetWriter(path, self._schema, compression="zstd")
        self._rows: list[forms.Section] = []
        self._characters = 0

    def __enter__(self) -> _Writer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._flush()
        self._file.close()

    def add(self, section: forms.Section) -> None:
        self._rows.append(section)
        self._characters += len(section.text)
        if self._characters > _BATCH_CHARACTERS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow

        if self._rows:
            documents, texts, words = (list(column) for column in zip(*self._rows, strict=True))
            self._file.write_batch(pyarrow.record_batch([texts, words, documents], schema=self._schema))
            self._rows, self._characters = [], 0


def _write_all(
    data: Data, domains: dict[str, _Domain], draft: Path, left_out: dict[str, str], settings: dict[str, Any]
) -> Manifest:
    """Chooses among the documents and writes the parts."""
    import numpy as np

    notes: list[str] = []
    taken = _within_budget(data, domains, notes)
    digest, counts, outputs = hashlib.sha256(), {}, {}
    for name, domain in domains.items():
        words, documents = np.array(domain.words, dtype=np.int64), np.array(domain.documents, dtype=np.int64)
        kept = taken[name]
        if dropped := int((~kept).sum()):
            domain.tally.add("budget", int(words[~kept].sum()), dropped)
        valid = np.zeros(len(words), dtype=np.bool_)
        valid[kept] = choose.split(words[kept], documents[kept], data.valid_share, data.split_seed, name)
        if not kept.any():
            notes.append(f"Nothing is taken of '{name}': {_where_it_went(domain)}.")
        elif not valid.any():
            notes.append(f"'{name}' has one document only, which goes to training: there is no validation for it.")
        masks: dict[Part, NDArray[np.bool_]] = {"train": kept & ~valid, "valid": valid}
        for part, mask in masks.items():
            _write_part(draft / domain.draft_file, draft / part_file(name, part), mask)
            outputs[part_file(name, part)] = file_digest(draft / part_file(name, part))
            texts = np.frombuffer(bytes(domain.digests), dtype="V16")[mask].tobytes()
            digest.update(f"{name}/{part}/{len(texts)}/".encode() + texts)
        (draft / domain.draft_file).unlink()
        counts[name] = DomainCounts(
            train_words=int(words[masks["train"]].sum()),
            valid_words=int(words[valid].sum()),
            train_documents=int(masks["train"].sum()),
            valid_documents=int(valid.sum()),
            files=tuple(domain.sources.values()),
            removed=domain.tally.removed(),
        )
    if not any(domain.valid_words for domain in counts.values()):
        raise UsageError(
            "Nothing is left for validation: no domain has two documents.",
            where=str(data.corpus),
            hint="Cut documents into sections (data.section_words), or give more text.",
        )
    return Manifest(
        digest=digest.hexdigest(),
        domains=counts,
        budget=data.words,
        left_out=left_out,
        notes=tuple(notes),
        settings=settings,
        outputs=outputs,
    )


def _within_budget(data: Data, domains: dict[str, _Domain], notes: list[str]) -> dict[str, NDArray[np.bool_]]:
    """Which documents of each domain are taken: all of them, unless they are more than the budget."""
    import numpy as np

    words = {name: sum(domain.words) for name, domain in domains.items()}
    total, budget = sum(words.values()), data.words
    if budget is None or total <= budget:
        if budget is not None and total < budget:
            notes.append(f"The corpus holds {total:,} words after cleaning, fewer than the budget of {budget:,}: all are taken.")
        return {name: np.ones(len(domain.words), dtype=np.bool_) for name, domain in domains.items()}
    if data.over == "refuse":
        raise UsageError(
            f"The corpus holds {total:,} words after cleaning, more than the budget of {budget:,} (data.words).",
            where=str(data.corpus),
            hint='over = "sample" in the section [data] (or --set data.over=sample) takes documents of each domain in '
            "proportion, up to the budget.",
        )
    quotas = choose.quotas(words, budget)
    taken = {
        name: choose.sample(np.array(domain.words, dtype=np.int64), quotas[name], data.split_seed, name)
        for name, domain in domains.items()
    }
    if not any(mask.any() for mask in taken.values()):
        raise UsageError(
            f"The budget of {budget:,} words (data.words) is less than one document of any domain's share.",
            where=str(data.corpus),
            hint="Raise it, or cut documents into shorter sections (data.section_words).",
        )
    kept = sum(int(np.array(domain.words)[taken[name]].sum()) for name, domain in domains.items())
    notes.append(f"Of {total:,} words after cleaning, {kept:,} are taken: a sample within the budget of {budget:,}.")
    return taken


def _where_it_went(domain: _Domain) -> str:
    """The rules that removed words, as a list."""
    removed = sorted(domain.tally.removed().items(), key=lambda item: -item[1].words)
    return ", ".join(f"{rule} removed {count.words:,} words" for rule, count in removed) or "there was no text"


def _write_part(draft: Path, path: Path, mask: NDArray[np.bool_]) -> None:
    """Copies those documents that the mask says."""
    import pyarrow
    import pyarrow.parquet

    start = 0
    with (
        pyarrow.parquet.ParquetFile(draft) as file,
        pyarrow.parquet.ParquetWriter(path, file.schema_arrow, compression="zstd") as writer,
    ):
        for batch in file.iter_batches(batch_size=4096):
            chosen = mask[start : start + len(batch)]
            start += len(batch)
            if chosen.any():
                writer.write_batch(batch.filter(pyarrow.array(chosen)))
