"""Sends that their activity did not wait for: targets that hang hold up nobody else (DESIGN 8)."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack

import structlog

from soonish.notifications.sends import Sends

log = structlog.get_logger(__name__)


class Stragglers:
    """Keeps slow sends until they have ended and are marked; one for the process."""

    def __init__(self) -> None:
        self._kept: dict[asyncio.Task[None], Sends] = {}

    def keep(self, sends: Sends, ending: AsyncExitStack) -> None:
        """Have the stack closed in the background: it waits for the sends and writes marks."""
        task = asyncio.create_task(ending.aclose())
        self._kept[task] = sends
        task.add_done_callback(self._forget)

    async def close(self, patience: float) -> None:
        """Let them end for at most `patience` seconds, then cut them off.

        The rows of those that are cut off stay claimed until their lease ends.
        """
        until = time.monotonic() + patience
        while self._kept:
            left = until - time.monotonic()
            if left <= 0:
                for sends in self._kept.values():
                    sends.cut_off()
            await asyncio.wait(self._kept, timeout=left if left > 0 else None)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._kept.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("slow_sends_not_marked", error=type(error).__name__)
