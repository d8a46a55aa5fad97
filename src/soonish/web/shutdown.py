"""Detect shutdown before the server waits for its open requests."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_ENDING = (signal.SIGTERM, signal.SIGINT)


@contextmanager
def on_signal(told: Callable[[], object]) -> Generator[None]:
    """Within the block, also call `told` when a signal asks the process to end.

    An ASGI server waits for open responses before it ends the lifespan, and a stream never ends by
    itself. Outside the main thread there are no signals.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _ENDING}

    def handle(number: int, frame: FrameType | None) -> None:
        told()
        if callable(before[number]):
            before[number](number, frame)
        elif before[number] == signal.SIG_DFL:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    for number in _ENDING:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number in _ENDING:
            if signal.getsignal(number) is handle:
                signal.signal(number, before[number])
