"""Ctrl-C and SIGTERM while training: the update is finished and the state saved, so that nothing is lost."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from typing import Any

from transformers import TrainerCallback

_SIGNALS = (signal.SIGINT, signal.SIGTERM)  # batch systems send SIGTERM some time before they kill


class Stop(TrainerCallback):  # type: ignore[misc]
    """Asks for a state after the update in which a signal came; the trainer then saves it and stops.

    Of several processes each would hear of it at another update, and they must save together: there a signal ends
    the process as usual.

    Attributes:
        asked: A signal has come.
    """

    def __init__(self) -> None:
        self.asked = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.asked:
            control.should_log = control.should_save = True

    @contextlib.contextmanager
    def listening(self, processes: int) -> Iterator[None]:
        """Hears signals; the second one stops at once."""
        if processes > 1 or threading.current_thread() is not threading.main_thread():
            yield
            return

        def hear(*_: Any) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        before = {number: signal.signal(number, hear) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
