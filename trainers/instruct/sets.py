"""Builds sets of instruction and preference rows once, accounts for every row, and divides them into two parts."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from babyeval.errors import DataError, MissingError, UsageError
from babyeval.progress import Reporter

from ..corpus.clean import clean_text
from ..corpus.read import find_files, read_text
from ..corpus.types import Part
from ..folders import MANIFEST_FILE, built, content_key, data_folder, file_digest
from ..recipe import Clean
from . import wiki_template
from .articles import Article, articles
from .languages import language_identifier
from .readers import read_set
from .rows import Candidate, Row, read_rows, rows_digest, write_rows
from .spec import SetSpec
from .switchboard import switchboard_pairs
from .wiki_model import write_pairs, written_key

SCHEMA_VERSION = 1
_RULES = 2  # raised when a rule changes, so that sets of the old rules are not taken for new ones
_FILE_OF_KIND = {"switchboard_pairs": "switchboard", "wiki_qa": "simple_wiki"}
SUBSTITUTE = (
    "The questions and answers were made from the articles' first sentences by rules (writer = template). They are a "
    "substitute for the texts that the paper had an instruct model write, and results with them are not the paper's."
)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PartCounts(_Model):
    """The account of one part.

    Attributes:
        rows: Rows.
        words: Words of all their texts, a row's own counted once each (`Row.words`).
        prompt_words: Words of the prompts.
        reply_words: Words of the replies, preferred ones only.
        languages: Rows by language.
        digest: SHA-256 of the rows' content in their order.
    """

    rows: int
    words: int
    prompt_words: int
    reply_words: int
    languages: dict[str, int]
    digest: str


class SetManifest(_Model):
    """The account of a set.

    Attributes:
        schema_version: Of this file.
        name: The set's name in the recipe.
        kind: What it is made of.
        writer: ``template`` or the model that wrote it; empty where nothing was written.
        preference: Whether each row has a reply that was not preferred.
        digest: Of the rows and their division; what is trained on the set depends on nothing else.
        source: The name of the file that it was read from.
        source_sha256: Digest of that file as it lies on disk.
        parts: ``train`` and ``valid``.
        rejects: What was left out, by reason.
        notes: What a reader should know of this set, in sentences.
        settings: The set's section of the recipe.
    """

    schema_version: int = SCHEMA_VERSION
    name: str
    kind: str
    writer: str
    preference: bool
    digest: str
    source: str
    source_sha256: str
    parts: dict[Part, PartCounts]
    rejects: dict[str, int]
    notes: tuple[str, ...] = ()
    settings: dict[str, Any]


@dataclass(frozen=True, slots=True)
class InstructionSet:
    """A set that was built.

    Attributes:
        folder: Where it lies.
        manifest: Its account.
    """

    folder: Path
    manifest: SetManifest

    @property
    def digest(self) -> str:
        """Of the rows and their division."""
        return self.manifest.digest

    def rows(self, part: Part) -> Iterator[Row]:
        """Yields the rows of one part, in the order of the file that they come from."""
        return read_rows(self.folder / f"{part}.parquet")


def build_set(
    name: str, spec: SetSpec, corpus_folder: Path | None, out: Path, reporter: Reporter, clean: Clean | None = None
) -> InstructionSet:
    """Builds a set, or takes the one that was built of the same file by the same settings.

    Args:
        name: The set's name in the recipe.
        spec: What it is.
        corpus_folder: Where raw text lies, and rows with a relative path.
        out: The folder of all runs; the set lies in ``_data`` there.
        reporter: Is told what is reused and counted.
        clean: The corpus's cleaning rules, which dialogue and articles go through too.

    Raises:
        DataError: The file is damaged, of no known form, or no row is left.
        MissingError: A file, a library or disk space is missing.
        ModelError: The model that is to write writes nothing valid.
        UsageError: The file cannot be told, or its rows cannot be divided.

    Example:
        >>> import tempfile
        >>> from babyeval.progress import Quiet
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     lines = ''.join(f'{{"prompt": "Is {n} odd?", "completion": "No."}}\\n' for n in range(0, 20, 2))
        ...     _ = Path(folder, "odd.jsonl").write_text(lines)
        ...     made = build_set("odd", SetSpec(kind="file", file="odd.jsonl"), Path(folder), Path(folder), Quiet())
        ...     {part: counts.rows for part, counts in made.manifest.parts.items()}
        {'train': 9, 'valid': 1}
    """
    path = _source(name, spec, corpus_folder)
    writer = _writer_digest(spec)
    rules = clean or Clean()
    folder, digest, settings = _folder(name, spec, path, out, rules)
    if (manifest := _manifest(folder)) is not None:
        reporter.note(f"set {name}: reused, {_counted(manifest)}: {folder}")
        return InstructionSet(folder, manifest)
    rejects: Counter[str] = Counter()
    taken = _take(_candidates(path, spec, rules, out, writer, reporter), spec, rejects)
    parts = _divide(taken, spec, rejects)
    _require_rows(name, parts, rejects, path)
    facts = {"name": name, "kind": spec.kind, "source": path.name, "source_sha256": digest, "settings": settings}
    manifest = _account(facts, parts, rejects, spec)
    with built(folder) as draft:
        for part, rows in parts.items():
            write_rows(draft / f"{part}.parquet", rows)
        (draft / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=1) + "\n", encoding="utf-8")
    reporter.note(f"set {name}: {_counted(manifest)}: {folder}")
    return InstructionSet(folder, manifest)


def look_up_set(name: str, spec: SetSpec, corpus_folder: Path | None, out: Path, clean: Clean) -> InstructionSet | None:
    """The set if it has been built; None if not, or if what it is made of is not there."""
    try:
        folder, _, _ = _folder(name, spec, _source(name, spec, corpus_folder), out, clean)
    except (MissingError, UsageError):
        return None
    manifest = _manifest(folder)
    return None if manifest is None else InstructionSet(folder, manifest)


def same_rows(name: str, spec: SetSpec, corpus_folder: Path | None, out: Path, clean: Clean, digest: str) -> bool | None:
    """Whether a set of this digest, built before, is what the recipe describes now; None if nothing tells.

    Nothing is built: where the recipe's set has not been, its file is compared with the one that the other was read from.
    """
    if (made := look_up_set(name, spec, corpus_folder, out, clean)) is not None:
        return made.digest == digest
    found = [_manifest(path.parent) for path in (out / "_data").glob(f"set-*/{MANIFEST_FILE}")]
    then = [manifest.source_sha256 for manifest in found if manifest is not None and manifest.digest == digest]
    try:
        changed = bool(then) and file_digest(_source(name, spec, corpus_folder)) not in then
    except (MissingError, UsageError):
        return None
    return False if changed else None


def _folder(name: str, spec: SetSpec, path: Path, out: Path, clean: Clean) -> tuple[Path, str, dict[str, Any]]:
    """Where a set lies, the digest of its source, and its settings."""
    digest, settings = file_digest(path), spec.model_dump(mode="json", exclude={"file"})
    key = content_key(_RULES, name, settings, path.name, digest, _writer_digest(spec), clean.model_dump())
    return data_folder(out, "set", key), digest, settings


def _source(name: str, spec: SetSpec, corpus_folder: Path | None) -> Path:
    if spec.file is None:
        start = _FILE_OF_KIND[spec.kind]
        if corpus_folder is None:
            raise UsageError(
                f"The set '{name}' is made of the corpus, and none is named.", hint="data.corpus, or the set's file."
            )
        found = [path for path in find_files(corpus_folder, ())[0] if path.name.startswith(start)]
        if len(found) != 1:
            names = ", ".join(path.name for path in found) or "none"
            raise UsageError(
                f"The set '{name}' is made of the one file of the corpus that begins with '{start}': {names}.",
                where=str(corpus_folder),
                hint="Name it by the set's key file.",
            )
        return found[0]
    places = [corpus_folder / spec.file] if corpus_folder is not None else []
    for path in (*places, spec.file):
        if path.is_file():
            return path
    raise MissingError(
        f"There is no file '{spec.file}', which the set '{name}' is made of.",
        where=", ".join(str(path.absolute()) for path in (*places, spec.file)),
        hint="Its path is relative to the corpus folder, or else to the folder in which the command runs.",
    )


def _writer_digest(spec: SetSpec) -> str:
    """What tells writers apart: a local model by its content, one on the Hub by its name and revision."""
    if spec.model is None or spec.writer != "model":
        return ""
    if Path(spec.model).is_dir():
        from babyeval.models.digest import folder_digest, generation_digest

        folder = Path(spec.model)
        return written_key(spec, folder_digest(folder) + generation_digest(folder))
    return written_key(spec, f"{spec.model}@{spec.revision or 'main'}")


def _manifest(folder: Path) -> SetManifest | None:
    """The account of a folder that is whole; None if it has to be built."""
    try:
        manifest = SetManifest.model_validate_json((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    except (OSError, ValidationError, UnicodeDecodeError):
        return None
    return manifest if all((folder / f"{part}.parquet").is_file() for part in manifest.parts) else None


def _candidates(path: Path, spec: SetSpec, clean: Clean, out: Path, writer: str, reporter: Reporter) -> Iterable[Candidate]:
    """What the source offers, in the order in which a budget takes it."""
    if spec.kind == "file":
        return _shuffled(read_set(path, spec.format, spec.language), spec.split_seed)
    text = "".join(read_text(path))
    if spec.kind == "switchboard_pairs":
        return _shuffled(switchboard_pairs(text.splitlines(), clean), spec.split_seed)
    tidy: Callable[[str], str] = clean_text if clean.special_characters else str
    found = list({article.title: Article(article.title, tidy(article.text)) for article in articles(text)}.values())
    # In an order drawn before anything is written, so that a model writes no more than the budget asks for.
    ordered = sorted(enumerate(found), key=lambda placed: _rank(spec.split_seed, "budget", placed[1].title))
    return _from_template(ordered, spec) if spec.writer == "template" else _from_model(ordered, spec, out, writer, reporter)


def _from_template(ordered: list[tuple[int, Article]], spec: SetSpec) -> Iterator[Candidate]:
    for place, article in ordered:
        pair = wiki_template.question_and_answer(article, spec.answer_sentences)
        if isinstance(pair, str):
            yield Candidate((article.title,), reason=f"template: {pair}")
        else:
            yield Candidate((article.title,), Row(*pair, "simple_wiki", "en", wiki_template.WRITER), place=place)


def _from_model(
    ordered: list[tuple[int, Article]], spec: SetSpec, out: Path, writer: str, reporter: Reporter
) -> Iterator[Candidate]:
    unit, total = ("words", spec.words) if spec.words is not None else ("articles", len(ordered))
    with reporter.bar(f"writing by {spec.model}", total, unit) as advance:
        for written in write_pairs([article for _, article in ordered], spec, data_folder(out, "written", writer), reporter):
            place, article = ordered[written.article]
            for reason in written.rejects:
                yield Candidate((article.title,), reason=f"model: {reason}")
            for question, answer in written.pairs:
                row = Row(question, answer, "simple_wiki", spec.language, spec.model or "")
                advance(row.words if unit == "words" else 0)
                yield Candidate((article.title,), row, place=place)
            advance(1 if unit == "articles" else 0)


def _rank(seed: int, use: str, group: str) -> bytes:
    return hashlib.sha256(f"{seed} {use} {group}".encode("utf-8", "surrogatepass")).digest()


def _shuffled(candidates: Iterable[Candidate], seed: int) -> list[Candidate]:
    """Groups in an order drawn from the seed, each whole and in its own order; reasons first, as all of them count."""
    placed = [replace(one, place=place) for place, one in enumerate(candidates)]
    return sorted(placed, key=lambda one: _rank(seed, "budget", one.groups[0]) if one.groups else b"")


def _take(candidates: Iterable[Candidate], spec: SetSpec, rejects: Counter[str]) -> list[Candidate]:
    """Applies filters, and takes rows until one is beyond the budget; has nothing more written then.

    Returns:
        What is taken, in the order of the source.
    """
    identify = language_identifier() if spec.languages else None
    taken: list[Candidate] = []
    seen: set[tuple[object, ...]] = set()
    words, spent = 0, False
    for candidate in candidates:
        row = candidate.row
        if row is None:
            rejects[candidate.reason] += 1
            continue
        if not row.storable:
            rejects["text that is no Unicode (half of a surrogate pair)"] += 1
            continue
        key = (row.prompt, row.reply, row.rejected, row.history)
        language = identify(f"{row.prompt}\n{row.reply}") if identify else None
        length = len(row.reply.split())
        if key in seen:
            rejects["duplicate"] += 1
        elif length < spec.min_words or (spec.max_words is not None and length > spec.max_words):
            rejects["reply too short" if length < spec.min_words else "reply too long"] += 1
        elif language is not None and language not in spec.languages:
            rejects["other language"] += 1
        elif spent or (spec.words is not None and words + row.words > spec.words) or len(taken) == spec.rows:
            if spec.kind == "wiki_qa":
                break
            rejects["beyond the budget"] += 1
            spent = True
        else:
            seen.add(key)
            words += row.words
            taken.append(candidate if language is None else replace(candidate, row=replace(row, language=language)))
    return sorted(taken, key=lambda candidate: candidate.place)


def _divide(taken: list[Candidate], spec: SetSpec, rejects: Counter[str]) -> dict[Part, list[Row]]:
    """Keeps whole groups for validation until they have their share of the words; what lies in both parts goes."""
    words: Counter[str] = Counter()
    for candidate in taken:
        words[candidate.groups[0]] += candidate.row.words if candidate.row else 0
    kept, valid = 0, set[str]()
    for group in sorted(words, key=lambda group: _rank(spec.split_seed, "valid", group)):
        if kept >= spec.valid_share * words.total() or len(valid) + 1 >= len(words):
            break
        valid.add(group)
        kept += words[group]
    parts: dict[Part, list[Row]] = {"train": [], "valid": []}
    for candidate in taken:
        held = {group in valid for group in candidate.groups}
        if len(held) > 1:
            rejects["at the border of training and validation"] += 1
        elif candidate.row is not None:
            parts["valid" if held.pop() else "train"].append(candidate.row)
    return parts


def _require_rows(name: str, parts: dict[Part, list[Row]], rejects: Counter[str], path: Path) -> None:
    counts = ", ".join(f"{reason}: {count:,}" for reason, count in rejects.most_common()) or "nothing was rejected"
    if not any(parts.values()):
        raise DataError(f"No row of the set '{name}' can be used ({counts}).", where=str(path))
    if not all(parts.values()):
        raise UsageError(
            f"The set '{name}' is too small to be divided into training and validation ({counts}).",
            where=str(path),
            hint="Take more rows or words, or loosen the filters.",
        )


def _account(facts: dict[str, Any], parts: dict[Part, list[Row]], rejects: Counter[str], spec: SetSpec) -> SetManifest:
    counts: dict[Part, PartCounts] = {}
    for part, rows in parts.items():
        counts[part] = PartCounts(
            rows=len(rows),
            words=sum(row.words for row in rows),
            prompt_words=sum(len(row.prompt.split()) for row in rows),
            reply_words=sum(len(row.reply.split()) for row in rows),
            languages=dict(sorted(Counter(row.language for row in rows).items())),
            digest=rows_digest(rows),
        )
    return SetManifest(
        **facts,
        writer=(spec.model or "" if spec.writer == "model" else spec.writer) or "",
        preference=parts["train"][0].rejected is not None,
        digest=content_key(*(counts[part].digest for part in ("train", "valid"))),
        parts=counts,
        rejects=dict(sorted(rejects.items())),
        notes=(SUBSTITUTE,) if spec.writer == "template" else (),
    )


def _counted(manifest: SetManifest) -> str:
    parts = "; ".join(f"{part} {counts.rows:,} rows, {counts.words:,} words" for part, counts in manifest.parts.items())
    left_out = ", ".join(f"{reason} {count:,}" for reason, count in manifest.rejects.items())
    return f"{parts}; left out: {left_out or 'nothing'}" + ("; a substitute, not the paper's data" if manifest.notes else "")
