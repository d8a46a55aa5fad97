"""The sends of one delivery run under way: a few slow ones hold up nobody else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine, Iterable
from types import TracebackType

PATIENCE_SECONDS = 0.5
SLOW_SHARE = 10  # one in so many may be left behind
MOST = 200  # under way at once


class Sends:
    """Starts sends; on exit waits for all of them, or ends them if it is cancelled itself."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._errors: list[BaseException] = []

    async def __aenter__(self) -> Sends:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, asyncio.CancelledError):
            for task in self._tasks:
                task.cancel()
        while self._tasks:
            await asyncio.wait(self._tasks)
        if error is None:
            self._raise()

    async def mostly(self, parts: Iterable[Coroutine[None, None, None]]) -> None:
        """Start the parts; back when nine in ten have ended, or after half a second.

        Waits for as long as MOST are under way. Raises the first error of any part, also of an
        earlier call's, once the others of this call had their chance.
        """
        tasks = [asyncio.create_task(part) for part in parts]
        self._tasks.update(tasks)
        enough = asyncio.Event()
        left = len(tasks)

        def ended(task: asyncio.Task[None]) -> None:
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

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._errors.append(error)

    def _raise(self) -> None:
        if self._errors:
            raise self._errors[0]
