"""Sends in flight of one delivery run, so that a few slow ones hold up no others."""

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
SLOW_SHARE = 10  # wait_for_most leaves one in ten behind
MAX_IN_FLIGHT = 200
STRAGGLER_SECONDS = 3.5  # by then a send has started or was dropped (MAX_CHECK_AGE_SECONDS)


class InFlight:
    """Sends in flight; waits for all of them on exit, or cancels them if it is cancelled."""

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
            self.cancel()
        try:
            await self._wait_for_all()
        except asyncio.CancelledError:
            self.cancel()
            await self._wait_for_all()
            raise
        if error is None:
            self._raise()

    async def has_stragglers(self) -> bool:
        """Wait until all sends have ended (False) or only stragglers are left (True).

        Raises the first error of any send.
        """
        while self._tasks:
            patience = max(self._tasks.values()) + STRAGGLER_SECONDS - time.monotonic()
            if patience <= 0:
                return True
            await asyncio.wait(self._tasks, timeout=patience)
        self._raise()
        return False

    def add(self, part: Coroutine[None, None, None]) -> None:
        """Start a coroutine that must also end before exit."""
        task = asyncio.create_task(part)
        self._tasks[task] = time.monotonic()
        task.add_done_callback(self._discard)

    async def wait_for_most(self, parts: Iterable[asyncio.Future[Any]]) -> None:
        """Wait until nine in ten of these sends have ended, for half a second at most.

        Then wait until fewer than MAX_IN_FLIGHT are left. Raises the first error of any send so
        far, after this call's sends had their chance.
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
            self._discard(task)

        for task in tasks:
            task.add_done_callback(ended)
        if tasks:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(enough.wait(), PATIENCE_SECONDS)
        while len(self._tasks) >= MAX_IN_FLIGHT:
            await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        self._raise()

    def cancel(self) -> None:
        """Stop waiting for sends; those that have started may still arrive."""
        for task in self._tasks:
            task.cancel()

    async def _wait_for_all(self) -> None:
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _discard(self, task: asyncio.Future[Any]) -> None:
        self._tasks.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._errors.append(error)

    def _raise(self) -> None:
        if self._errors:
            raise self._errors[0]


log = structlog.get_logger(__name__)


class SlowSends:
    """Slow sends of the whole process, kept until they have ended and are marked."""

    def __init__(self) -> None:
        self._kept: dict[asyncio.Task[None], InFlight] = {}

    def keep(self, sends: InFlight, ending: AsyncExitStack) -> None:
        """Close the stack in the background: it waits for the sends and writes their results."""
        task = asyncio.create_task(ending.aclose())
        self._kept[task] = sends
        task.add_done_callback(self._discard)

    async def close(self, patience: float) -> None:
        """Wait for the sends for at most `patience` seconds, then cancel them.

        The rows of cancelled sends stay claimed until their lease ends.
        """
        until = time.monotonic() + patience
        while self._kept:
            left = until - time.monotonic()
            if left <= 0:
                for sends in self._kept.values():
                    sends.cancel()
            await asyncio.wait(self._kept, timeout=left if left > 0 else None)

    def _discard(self, task: asyncio.Task[None]) -> None:
        self._kept.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("slow_sends_not_marked", error=type(error).__name__)
