"""The sends of one delivery run under way: a few slow ones hold up nobody else."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any

import structlog

PATIENCE_SECONDS = 0.5
SLOW_SHARE = 10  # one in so many may be left behind
MOST = 200  # under way at once
STRAGGLER_SECONDS = 3.5  # by then a send has begun, or was given back (MAX_CHECK_AGE_SECONDS)


class InFlight:
    """Sends under way; on exit waits for all of them, or ends them if it is cancelled itself."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Future[Any], float] = {}  # when it was started
        self._errors: list[BaseException] = []

    async def __aenter__(self) -> InFlight:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            self.cut_off()
        try:
            await self._ended()
        except asyncio.CancelledError:
            self.cut_off()
            await self._ended()
            raise
        if error is None:
            self._raise()

    async def are_slow(self) -> bool:
        """Back as soon as all sends have ended, or those that have not are stragglers (True).

        Raises the first error of any of them.
        """
        while self._tasks:
            patience = max(self._tasks.values()) + STRAGGLER_SECONDS - time.monotonic()
            if patience <= 0:
                return True
            await asyncio.wait(self._tasks, timeout=patience)
        self._raise()
        return False

    def add(self, part: Coroutine[None, None, None]) -> None:
        """Start something that is to have ended on exit as well."""
        task = asyncio.create_task(part)
        self._tasks[task] = time.monotonic()
        task.add_done_callback(self._forget)

    async def mostly(self, parts: Iterable[asyncio.Future[Any]]) -> None:
        """Back when nine in ten of these sends have ended, or after half a second.

        Waits for as long as MOST are under way. Raises the first error of any part, also of an
        earlier call's, once the others of this call had their chance.
        """
        tasks = list(parts)
        self._tasks.update(dict.fromkeys(tasks, time.monotonic()))
        enough = asyncio.Event()
        left = len(tasks)

        def ended(task: asyncio.Future[Any]) -> None:
            nonlocal left
            left -= 1
            if left <= len(tasks) // SLOW_SHARE:
                enough.set()
            self._forget(task)

        for task in tasks:
            task.add_done_callback(ended)
        if tasks:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), PATIENCE_SECONDS)
        while len(self._tasks) >= MOST:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        self._raise()

    def cut_off(self) -> None:
        """Wait for none of them any more; what has started may still arrive."""
        for task in self._tasks:
            task.cancel()

    async def _ended(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _forget(self, task: asyncio.Future[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._errors.append(error)

    def _raise(self) -> None:
        if self._errors:
            raise self._errors[0]


log = structlog.get_logger(__name__)


class SlowSends:
    """Keeps slow sends until they have ended and are marked; one for the process."""

    def __init__(self) -> None:
        self._kept: dict[asyncio.Task[None], InFlight] = {}

    def keep(self, sends: InFlight, ending: AsyncExitStack) -> None:
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
