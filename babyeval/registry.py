"""Which tasks there are: built-in and third-party ones come through the same entry points."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from babyeval.errors import BabyevalError, UsageError
from babyeval.families import Task

ENTRY_POINT_GROUP = "babyeval.tasks"
_BUILT_IN = "babyeval"
_registered: dict[str, Task] = {}


@dataclass(frozen=True, slots=True)
class Listing:
    """One line of the list of tasks.

    Attributes:
        name: The task's name.
        origin: The distribution it comes from.
        task: The task, or None if it cannot be loaded.
        problem: Why it cannot be loaded.
    """

    name: str
    origin: str
    task: Task | None
    problem: str = ""


def register_task(task: Task) -> None:
    """Makes a task available in this process without packaging it.

    Raises:
        UsageError: Another task has its name.
    """
    name = task.card.name
    if name in _entries() or _registered.get(name, task) is not task:
        raise UsageError(f"There is already a task named '{name}'.", hint="Give yours another name in its card.")
    _registered[name] = task


def _entries() -> dict[str, list[EntryPoint]]:
    """Entry points by task name; one distribution found twice on the path counts once."""
    found: dict[str, dict[tuple[str, str], EntryPoint]] = {}
    for entry in entry_points(group=ENTRY_POINT_GROUP):
        found.setdefault(entry.name, {})[_origin(entry), entry.value] = entry
    return {name: list(entries.values()) for name, entries in sorted(found.items())}


def _origin(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist is not None else "unknown"


def _load(entry: EntryPoint) -> Task:
    task = entry.load()
    if not isinstance(task, Task):
        raise UsageError(f"{entry.value} is a {type(task).__name__}, not a task.")
    if task.card.name != entry.name:
        raise UsageError(f"The card calls the task '{task.card.name}', its entry point '{entry.name}'.")
    return task


def list_tasks() -> list[Listing]:
    """All tasks, built-in ones first; a broken plug-in is listed with its reason and stops nothing."""
    listings = [Listing(name, "this process", task) for name, task in _registered.items()]
    for name, entries in _entries().items():
        if len(entries) > 1:
            listings.append(Listing(name, ", ".join(map(_origin, entries)), None, _clash(name, entries).what))
            continue
        try:
            listings.append(Listing(name, _origin(entries[0]), _load(entries[0])))
        except (Exception, SystemExit) as error:  # a plug-in may fail in any way; the reason is shown
            listings.append(Listing(name, _origin(entries[0]), None, _reason(error)))
    return sorted(listings, key=lambda listing: (listing.origin != _BUILT_IN, listing.name))


def _reason(error: BaseException) -> str:
    return error.what if isinstance(error, BabyevalError) else f"{type(error).__name__}: {error}"


def _clash(name: str, entries: list[EntryPoint]) -> UsageError:
    origins = " and ".join(f"'{_origin(entry)}'" for entry in entries)
    return UsageError(f"The task '{name}' is defined twice, by {origins}.", hint="Uninstall one of the two or rename its task.")


def get_task(name: str) -> Task:
    """The task of that name.

    Raises:
        UsageError: No task has the name (the nearest one is suggested), two distributions
            claim it, or it cannot be loaded.
    """
    if name in _registered:
        return _registered[name]
    entries = _entries()
    if name not in entries:
        near = difflib.get_close_matches(name, task_and_group_names(), n=1)
        guess = f"Did you mean '{near[0]}'? " if near else ""
        raise UsageError(
            f"Unknown task '{name}'.",
            hint=f"{guess}'babyeval tasks list' shows all tasks and groups; a task of your own is there once its folder is installed (pip install).",
        )
    if len(entries[name]) > 1:
        raise _clash(name, entries[name])
    try:
        return _load(entries[name][0])
    except (Exception, SystemExit) as error:  # a plug-in may fail in any way; the reason is shown
        raise UsageError(
            f"The task '{name}' cannot be loaded.",
            where=f"{entries[name][0].value} of '{_origin(entries[name][0])}': {_reason(error)}",
            hint="Mend or uninstall the plug-in.",
        ) from error


def task_and_group_names() -> set[str]:
    """Everything that ``--tasks`` understands."""
    return {*_entries(), *_registered, *_groups()}


def _groups() -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for listing in list_tasks():
        for group in listing.task.card.groups if listing.task else ():
            groups.setdefault(group, []).append(listing.name)
    groups["all"] = sorted({*groups.get("zero-shot", []), *groups.get("finetune", [])})
    return groups


def resolve_tasks(names: list[str]) -> list[Task]:
    """The tasks that a list of task and group names selects, each once, in the order given.

    Raises:
        UsageError: A name is neither a task nor a group.

    Example:
        >>> [task.card.name for task in resolve_tasks(["blimp", "zero-shot"])][0]
        'blimp'
    """
    groups, entries = _groups(), _entries()
    chosen: dict[str, Task] = {}
    for name in names:
        is_task = name in entries or name in _registered  # a plug-in's group must not capture a task's name
        for task_name in [name] if is_task else groups.get(name, [name]):
            chosen.setdefault(task_name, get_task(task_name))
    return list(chosen.values())
