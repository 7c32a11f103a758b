"""How a model is named: on the command line, in records, and as a folder."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from babyeval.errors import UsageError

# Folder names that say nothing without their parent's.
_GENERIC = re.compile(r"^(checkpoint-\d+|chck_\w+|final|best|last)$", re.IGNORECASE)

_GLOB = re.compile(r"[*?\[]")

_LONGEST_NAME = 255  # bytes of one path component on common file systems


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model as the user wrote it.

    Attributes:
        name: The name given as ``NAME=``, if any.
        source: A local folder, or an id on the Hub.
        revision: The Hub revision given as ``@REV``, if any; in a sweep over a local folder its sub-folder.
    """

    name: str | None
    source: str
    revision: str | None

    @property
    def is_local(self) -> bool:
        return Path(self.source).exists()


def parse_model(text: str) -> ModelRef:
    """Splits ``[NAME=]PATH_OR_ID[@REV]``; an existing path is taken whole.

    Paths may hold "=", as names may: the name ends at the first one behind which there is an existing path, else at the first.

    Raises:
        UsageError: Nothing stands behind the name, or a local folder is given a revision (D36).

    Example:
        >>> parse_model("small=org/model@chck_10M")
        ModelRef(name='small', source='org/model', revision='chck_10M')
    """
    if text.strip() and _exists(text):
        return ModelRef(None, text, None)
    splits = [(text[:i], text[i + 1 :]) for i, letter in enumerate(text) if letter == "="]
    whole: tuple[str | None, str] = (None, text)
    name, source = next((split for split in splits if split[1].strip() and _exists(split[1])), splits[0] if splits else whole)
    if not source.strip() or name == "":
        raise UsageError(f"'{text}' names no model.", hint="Write --model PATH, --model ORG/NAME or --model NAME=PATH.")
    revision = None
    if not _exists(source):
        source, _, revision = source.partition("@")
        if revision and _exists(source):
            raise UsageError(
                f"The local folder '{source}' has no revisions, so '@{revision}' would be ignored.",
                hint=f"Evaluate its sub-folders by --model {source} --revisions '{revision}'."
                if _GLOB.search(revision)
                else f"Name the folder of that checkpoint instead, for example {source}/{revision}.",
            )
    return ModelRef(name, source, revision or None)


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except OSError:  # too long for any file
        return False


def counted(number: int, what: str) -> str:
    """A number with its noun.

    Example:
        >>> counted(1, "word"), counted(2000, "line")
        ('1 word', '2,000 lines')
    """
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def default_name(source: str, *, local: bool, condition: str | None, seed: int | None) -> str:
    """The name of a model that was given none.

    Example:
        >>> default_name("org/model", local=False, condition=None, seed=None)
        'org__model'
        >>> default_name("runs/base/checkpoint-1000", local=True, condition=None, seed=None)
        'base__checkpoint-1000'
    """
    if not local:
        return source.replace("/", "__")
    if condition is not None:
        return condition if seed is None else f"{condition}-seed_{seed}"
    path = Path(source).resolve()
    return f"{path.parent.name}__{path.name}" if _GENERIC.match(path.name) and path.parent.name else path.name


def short_count(number: int) -> str:
    """A number of words as checkpoints are named by it.

    Example:
        >>> [short_count(n) for n in (0, 512, 1_000, 10_000_000, 1_500_000)]
        ['0', '512', '1K', '10M', '1.5M']
    """
    for size, letter in ((10**9, "B"), (10**6, "M"), (10**3, "K")):
        if number >= size:
            return f"{number / size:.6g}{letter}"
    return str(number)


def folder_name(name: str) -> str:
    """A name made safe as one path component; other names give other folders.

    Raises:
        UsageError: The name is too long for a folder.

    Example:
        >>> folder_name("size: 10M/a")
        'size%3A%2010M%2Fa'
    """
    encoded = quote(name, safe="+,@=")
    if len(encoded) > _LONGEST_NAME:
        raise UsageError(
            f"The name '{name[:40]}...' is too long for a folder ({len(encoded)} bytes once encoded, at most {_LONGEST_NAME}).",
            hint="Give a shorter one: --model NAME=PATH.",
        )
    return encoded.replace(".", "%2E") if set(encoded) <= {"."} else encoded
