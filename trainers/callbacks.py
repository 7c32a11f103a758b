"""What happens between updates: progress, the log, and the call for whatever is due."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerState

from babyeval.errors import MissingError, UsageError, raise_interrupt

from .history import append_line


@dataclass(frozen=True, slots=True)
class Exposure:
    """What a training has seen after an update, a pure function of the update's number.

    Attributes:
        words: Words of this training after so many updates.
        tokens: Tokens of this training.
        epochs: Passes over the training part.
        before: Words that were seen before this training, by the parent as far as known, or in earlier stages.
        updates_before: Updates of earlier stages.
        tuned_from: Of a tuning, the words that the parent has seen.
        stage: Of a tuning, the name of the stage that an update belongs to.
        known: Whether it is known how many words the parent has seen; if not, only those of this training count.
    """

    words: Callable[[int], int]
    tokens: Callable[[int], int]
    epochs: Callable[[int], float]
    before: int = 0
    updates_before: int = 0
    tuned_from: int | None = None
    stage: Callable[[int], str] | None = None
    known: bool = True

    def words_seen(self, step: int) -> int:
        """Words of all training so far, of which a parent's may be unknown (`known`)."""
        return self.before + self.words(step)

    def words_tuned(self, step: int) -> int | None:
        """Words of the tuning so far, all its stages; None if this is none."""
        return None if self.tuned_from is None else self.words_seen(step) - self.tuned_from

    def place(self, step: int) -> dict[str, Any]:
        """Where a line of the log stands."""
        stage = {} if self.stage is None else {"stage": self.stage(step)}
        return {"step": self.updates_before + step, "words": self.words_seen(step), **stage}


class Due(TrainerCallback):  # type: ignore[misc]
    """Asks for a log line and a call of `LanguageTrainer.milestone` after the updates where anything is due.

    The line is written first: a training that goes on from a state then writes the same lines as one that never stopped.

    Args:
        due: Whether anything is, after an update.
    """

    def __init__(self, due: Callable[[int], bool]) -> None:
        self._due = due

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._due(state.global_step):
            control.should_log = control.should_save = True


class Before(TrainerCallback):  # type: ignore[misc]
    """Does something when all is ready for the first update.

    Args:
        act: Does it.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._act()


class Progress(TrainerCallback):  # type: ignore[misc]
    """Moves the bar on by words, and writes the log.

    Args:
        exposure: What has been seen.
        advance: Moves the bar.
        log: The log's file.
        more: What the library measures besides, by its name, and the name that it gets.
    """

    def __init__(
        self, exposure: Exposure, advance: Callable[[int], None], log: Path, more: Mapping[str, str] | None = None
    ) -> None:
        self._exposure, self._advance, self._log, self._more = exposure, advance, log, more or {}
        self._shown = self._rated = 0
        self._since = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._shown = self._rated = state.global_step
        self._since = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        step = state.global_step
        self._advance(self._exposure.words(step) - self._exposure.words(self._shown))
        self._shown = step

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if "loss" not in logs:
            return
        step, now = state.global_step, time.monotonic()
        seconds = max(now - self._since, 1e-9)
        before, self._rated, self._since = self._rated, step, now
        line = {
            **self._exposure.place(step),
            "tokens": self._exposure.tokens(step),
            "epoch": round(self._exposure.epochs(step), 6),
            "loss": logs["loss"],
            "learning_rate": logs["learning_rate"],
            "gradient_norm": logs.get("grad_norm"),
            "words_per_second": round((self._exposure.words(step) - self._exposure.words(before)) / seconds, 1),
            "tokens_per_second": round((self._exposure.tokens(step) - self._exposure.tokens(before)) / seconds, 1),
            "flops": state.total_flos,
            **{name: logs[key] for key, name in self._more.items() if key in logs},
        }
        logs["words"] = line["words"]  # for the reports that follow
        append_line(self._log, line)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._since = time.monotonic()  # validating and saving is no training


@contextlib.contextmanager
def no_bars_of_the_library() -> Iterator[None]:
    """Within the block ``transformers`` shows no bars of its own, such as one for each file it writes."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def report_callbacks(names: tuple[str, ...], folder: Path, step: int, before: int = 0) -> list[Any]:
    """The library's callbacks that report elsewhere.

    Args:
        names: As ``transformers`` calls them.
        folder: The run's folder; TensorBoard's files lie below it.
        step: Update from which the training goes on, earlier stages counted; what TensorBoard shows after it is dropped.
        before: Updates of earlier stages, so that all stages stand on one axis.

    Raises:
        UsageError: The library knows no such name.
        MissingError: What a name needs is not installed.
    """
    from transformers.integrations import TensorBoardCallback, get_reporting_integration_callbacks

    callbacks = []
    for name in names:
        try:
            if name == "tensorboard":
                from torch.utils.tensorboard import SummaryWriter

                writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)
                callbacks.append(TensorBoardCallback(tb_writer=writer))
            else:
                callbacks += [kind() for kind in get_reporting_integration_callbacks([name])]
        except (ValueError, TypeError) as error:
            raise UsageError(f"Nothing can report to '{name}': {str(error).rstrip('.')}.", where="logging.report_to") from error
        except (ImportError, RuntimeError) as error:
            raise_interrupt(error)
            raise MissingError(
                f"Reporting to '{name}' needs a library that is not installed.",
                where="logging.report_to",
                hint=f"pip install {name}, or report nowhere: --set 'logging.report_to=[]'",
            ) from error
    for callback in callbacks if before else []:
        callback.on_log = _later(callback.on_log, before)
    return callbacks


def _later(report: Callable[..., Any], before: int) -> Callable[..., Any]:
    """Reports as if so many updates had come before the library's first one."""

    def on_log(args: Any, state: TrainerState, control: Any, **more: Any) -> Any:
        moved = copy.copy(state)
        moved.global_step += before
        return report(args, moved, control, **more)

    return on_log
