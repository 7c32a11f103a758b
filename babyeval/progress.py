"""Showing progress: a bar with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Protocol

Advance = Callable[[int], None]
Share = Callable[[], float]
_LINE_EVERY_SECONDS = 10.0


class Reporter(Protocol):
    """Where a run says what it is doing."""

    def bar(
        self, label: str, total: int, unit: str = "rows", share: Share | None = None
    ) -> contextlib.AbstractContextManager[Advance]:
        """Opens a progress bar; the returned function moves it on.

        Args:
            label: What is being done.
            total: How many units there are.
            unit: What is counted.
            share: Says how much of the work is done, where units differ in what they cost; the time left follows it.
        """

    def note(self, text: str) -> None:
        """Says one sentence."""


class Quiet:
    """Says nothing."""

    def bar(
        self, label: str, total: int, unit: str = "rows", share: Share | None = None
    ) -> contextlib.AbstractContextManager[Advance]:
        return contextlib.nullcontext(lambda _: None)

    def note(self, text: str) -> None:
        return None


class Lines:
    """Plain lines on stderr, one every few seconds."""

    @contextlib.contextmanager
    def bar(self, label: str, total: int, unit: str = "rows", share: Share | None = None) -> Iterator[Advance]:
        start = last = time.monotonic()
        done = 0
        self.note(f"{label}: {total:,} {unit}")

        def advance(count: int) -> None:
            nonlocal done, last
            done += count
            now = time.monotonic()
            if now - last >= _LINE_EVERY_SECONDS and done < total:
                last = now
                elapsed = now - start
                left = _left(elapsed, share() if share else done / total)
                self.note(f"{label}: {done:,} of {total:,} {unit}, {done / elapsed:,.0f} {unit}/s, {left:,.0f} s left")

        yield advance
        self.note(f"{label}: done, {done:,} {unit} in {time.monotonic() - start:.1f} s")

    def note(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)


class Bars:
    """Moving bars on a terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True)

    @contextlib.contextmanager
    def bar(self, label: str, total: int, unit: str = "rows", share: Share | None = None) -> Iterator[Advance]:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        remaining = TextColumn("{task.fields[left]}", style="progress.remaining") if share else TimeRemainingColumn()

        columns = (
            *(TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()),
            *(TextColumn("{task.fields[rate]}"), TimeElapsedColumn(), TextColumn("left"), remaining),
        )
        with Progress(*columns, console=self._console) as progress:
            task = progress.add_task(label, total=total, rate="", left="-:--:--")

            def advance(count: int) -> None:
                speed, elapsed = progress.tasks[0].speed, progress.tasks[0].elapsed
                left = str(timedelta(seconds=round(_left(elapsed, share())))) if share and elapsed else "-:--:--"
                progress.update(task, advance=count, rate=f"{speed:,.0f} {unit}/s" if speed else "", left=left)

            yield advance

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)


def _left(elapsed: float, share: float) -> float:
    """Seconds left, of work of which a share is done."""
    return elapsed * (1 - share) / share if share else 0.0


def reporter() -> Reporter:
    """Bars on a terminal, lines elsewhere."""
    return Bars() if sys.stderr.isatty() else Lines()
