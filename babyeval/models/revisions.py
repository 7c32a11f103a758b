"""The checkpoints of one training run: branches on the Hub or sub-folders, and whether their weights differ (D36)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

from babyeval.data.hub import quiet_hub
from babyeval.errors import MissingError, UsageError, raise_interrupt
from babyeval.models.checkpoint import Checkpoint, words_in_name
from babyeval.models.locate import locate, refused, require_hub_id
from babyeval.models.naming import ModelRef
from babyeval.progress import Lines

_LISTED = 40


def matching_revisions(ref: ModelRef, pattern: str, *, offline: bool = False) -> list[ModelRef]:
    """The revisions of a model that match a glob, ordered by the words that their names state, then by name.

    Args:
        ref: A folder that holds checkpoints as sub-folders, or a Hub id.
        pattern: A glob over the names of sub-folders or branches, such as ``chck_*``.
        offline: Take what the local cache of the Hub holds.

    Returns:
        One reference per revision, to be opened by `babyeval.models.checkpoint.open_checkpoint`.

    Raises:
        UsageError: The reference names a revision itself.
        MissingError: No revision matches (those there are are listed), or the model is not there.
    """
    if ref.revision is not None:
        raise UsageError(
            f"'@{ref.revision}' names one revision, and --revisions '{pattern}' asks for several.",
            hint=f"Leave one of the two out: --model {ref.source} --revisions '{pattern}'.",
        )
    if ref.is_local:
        folder, _ = locate(ref, offline=True, trust_remote_code=False, allow_pickle=False)
        names, kind = _sub_folders(folder), "sub-folder with a config.json"
        empty = (child.name for child in folder.iterdir() if child.is_dir() and child.name not in names)
        for name in sorted(name for name in empty if fnmatchcase(name, pattern) and not name.startswith(".")):
            Lines().note(f"{folder / name} matches '{pattern}' and has no config.json: it is left out.")
    else:
        require_hub_id(ref)
        names, kind = _branches(ref, offline), "branch in the Hub's local cache" if offline else "branch"
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        listed = ", ".join(sorted(names, key=_by_name)[:_LISTED]) + (" ..." if len(names) > _LISTED else "")
        raise MissingError(
            f"'{ref.source}' has no {kind} that matches '{pattern}'.",
            where=f"there is {listed}" if names else "there is none at all",
            hint="Choose a glob that fits, in quotes: --revisions 'chck_*'." if names else "Is it the right model?",
        )
    return [replace(ref, revision=name) for name in sorted(found, key=_by_name)]


def by_words(words: int | None, name: str) -> tuple[bool, int, str]:
    """Sorts checkpoints in the order of training; those of unknown age, such as ``main``, come last."""
    return words is None, words or 0, name


def equal_weights(models: Iterable[tuple[str, str | None]]) -> list[tuple[str, ...]]:
    """Names that share their weights.

    Args:
        models: Pairs of a name and the digest of the weights, None where unknown.

    Example:
        >>> equal_weights([("chck_1M", "a"), ("chck_2M", "b"), ("main", "b"), ("other", None)])
        [('chck_2M', 'main')]
    """
    groups: dict[str, list[str]] = {}
    for name, digest in models:
        if digest is not None:
            groups.setdefault(digest, []).append(name)
    return [tuple(names) for names in groups.values() if len(names) > 1]


def require_different_weights(checkpoints: Sequence[Checkpoint]) -> None:
    """Refuses revisions of one model that are all the same: their curve would be flat, and look like a finding (D36).

    Raises:
        UsageError: There are several, and all have equal weights.
    """
    equal = equal_weights((checkpoint.revision, checkpoint.weights) for checkpoint in checkpoints)
    if len(checkpoints) > 1 and equal and len(equal[0]) == len(checkpoints):
        raise UsageError(
            f"All {len(checkpoints)} revisions of '{checkpoints[0].name}' have the same weights.",
            where=f"{checkpoints[0].source}: {', '.join(equal[0])}",
            hint="Were the checkpoints saved or uploaded as they were at each step? "
            f"If they are one model, evaluate it once: leave out --revisions, or choose one: --revisions {equal[0][-1]}.",
        )


def _by_name(name: str) -> tuple[bool, int, str]:
    return by_words(words_in_name(name), name)


def _sub_folders(folder: Path) -> list[str]:
    return [child.name for child in folder.iterdir() if (child / "config.json").is_file()]


def _branches(ref: ModelRef, offline: bool) -> list[str]:
    from huggingface_hub import HfApi, constants

    if offline or constants.HF_HUB_OFFLINE:
        return _cached_branches(ref.source)

    try:
        with quiet_hub(Lines().note):
            return [branch.name for branch in HfApi().list_repo_refs(ref.source).branches]
    except Exception as error:  # no network, no such model, gated: told apart by their kind
        raise_interrupt(error)
        raise refused(ref, offline, error) from error


def _cached_branches(repository: str) -> list[str]:
    """Branches whose files were fetched before."""
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    home = Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")
    names = []
    for path in (home / "refs").rglob("*"):
        if path.is_file() and (home / "snapshots" / path.read_text(encoding="utf-8").strip()).is_dir():
            names.append(path.relative_to(home / "refs").as_posix())
    return names
