"""From a model reference to a local folder: a path as it is, or a snapshot from the Hub."""

from __future__ import annotations

from pathlib import Path

from babyeval.data.hub import quiet_hub
from babyeval.errors import BabyevalError, MissingError, UsageError, raise_interrupt
from babyeval.models.naming import ModelRef
from babyeval.progress import Lines

_WANTED = ["*.json", "*.txt", "*.model", "*.safetensors"]


def locate(ref: ModelRef, *, offline: bool, trust_remote_code: bool, allow_pickle: bool) -> tuple[Path, str | None]:
    """The folder that holds the checkpoint, and the commit it was taken from.

    Args:
        ref: What the user asked for.
        offline: Look only into the local cache of the Hub.
        trust_remote_code: Fetch code files too.
        allow_pickle: Fetch PyTorch's own weight files too.

    Raises:
        MissingError: Neither a folder nor a model that the Hub would give.
        UsageError: A file was named where a folder is needed.
    """
    path = Path(ref.source)
    if path.is_dir():
        return (path / ref.revision if ref.revision else path), None
    if path.exists():
        raise UsageError(f"'{path}' is a file.", hint="Name the checkpoint's folder, the one that holds config.json.")
    require_hub_id(ref)
    return _snapshot(ref, offline, _WANTED + ["*.py"] * trust_remote_code + ["*.bin"] * allow_pickle)


def require_hub_id(ref: ModelRef) -> None:
    """Refuses a path of a folder that is not there, for which the Hub need not be asked.

    Raises:
        MissingError: It is no id of the Hub.
    """
    looks_like_path = ref.source.startswith((".", "/", "~")) or ref.source.count("/") > 1
    if looks_like_path:
        raise MissingError(f"The model folder '{ref.source}' does not exist.", hint=_nearby(Path(ref.source)))


def _snapshot(ref: ModelRef, offline: bool, patterns: list[str]) -> tuple[Path, str | None]:
    from huggingface_hub import snapshot_download

    try:
        with quiet_hub(Lines().note):
            folder = Path(snapshot_download(ref.source, revision=ref.revision, allow_patterns=patterns, local_files_only=offline))
    except Exception as error:  # no network, proxy trouble, interrupted download: told apart by their kind
        raise_interrupt(error)
        raise refused(ref, offline, error) from error
    return folder, folder.name


def refused(ref: ModelRef, offline: bool, error: Exception) -> BabyevalError:
    """Why the Hub did not give a model, as an error a user can act on."""
    from huggingface_hub.errors import GatedRepoError, HFValidationError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return MissingError(
            f"The model '{ref.source}' is gated.",
            hint="Ask for access on its page, then log in with 'hf auth login' or set HF_TOKEN.",
        )
    if isinstance(error, RevisionNotFoundError):
        return MissingError(f"The model '{ref.source}' has no revision '{ref.revision}'.", hint="Look at its branches.")
    if isinstance(error, RepositoryNotFoundError | HFValidationError):
        return MissingError(f"'{ref.source}' is neither a local folder nor a model on the Hub.", hint=_nearby(Path(ref.source)))
    return _unreachable(ref, offline, error)


def _unreachable(ref: ModelRef, offline: bool, error: Exception) -> BabyevalError:
    if offline:
        return MissingError(
            f"'{ref.source}' is no local folder, and the Hub's local cache does not hold it.",
            hint="Leave out --offline to download it, or name a folder that exists.",
        )
    reason = str(error).strip().splitlines()
    return MissingError(
        f"'{ref.source}' is no local folder, and the Hub did not give it.",
        where=f"{type(error).__name__}: {reason[0] if reason else ''}",
        hint="Check the spelling, the network and HF_ENDPOINT; a download that broke off is resumed.",
    )


def _nearby(path: Path) -> str:
    parent = path.expanduser().parent
    if path.parts and path.parts[0] == "~":
        return "Your shell did not expand '~': write the path out."
    if not parent.is_dir():
        return f"The folder '{parent}' does not exist either: check the spelling."
    folders = sorted(child.name for child in parent.iterdir() if (child / "config.json").is_file())
    return f"Checkpoints in '{parent}': {', '.join(folders[:8]) or 'none'}."
