"""Live progress of notifications: one query a second for all watchers of the process."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncGenerator, Collection, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

import structlog
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.access import policy
from soonish.domain.notifications import queries
from soonish.errors import TooManyRequests
from soonish.infra.db.errors import DATABASE_ERRORS, error_name
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.session import Database

LOOK_SECONDS = 1.0
IDLE_SECONDS = 5.0  # after which a watcher is told that nothing changed
STREAMS_PER_USER = 20

log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Progress:
    """The progress of one notification: its deliveries by state, and whether more will come."""

    id: int
    is_expanded: bool
    is_complete: bool
    counts: dict[str, int] = field(default_factory=dict[str, int])


Snapshot = dict[int, Progress]


async def require_viewer(session: AsyncSession, event_id: int, user: User) -> None:
    """Raise as policy.require_organizer does if the user may not watch the notifications."""
    await policy.require_organizer(session, event_id, user)


async def take_snapshot(session: AsyncSession, ids: Collection[int]) -> Snapshot:
    """Return the progress of these notifications in two queries.

    Completion is read first, so that whatever is counted after it is final.
    """
    rows = list(await session.scalars(select(Notification).where(Notification.id.in_(ids))))
    return {
        found.notification.id: _progress(found)
        for found in await queries.with_counts(session, rows)
    }


def _progress(found: queries.NotificationWithCounts) -> Progress:
    row = found.notification
    return Progress(row.id, row.expanded_at is not None, row.completed_at is not None, found.counts)


class ProgressHub:
    """Shares query results among all watchers of this process."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._watched: Counter[int] = Counter()
        self._streams: Counter[int] = Counter()
        self._latest: Snapshot = {}
        self._looks = 0  # the number of looks that found a change
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    @property
    def is_closed(self) -> bool:
        return self._ending.is_set()

    @property
    def is_watched(self) -> bool:
        return bool(self._watched)

    def require_place(self, user_id: int) -> None:
        """Raise TooManyRequests if the user has STREAMS_PER_USER open streams already."""
        if self._streams[user_id] >= STREAMS_PER_USER:
            raise TooManyRequests(int(IDLE_SECONDS))

    @contextmanager
    def place_for(self, user_id: int) -> Generator[None]:
        """Count one of the user's streams for the duration of the block."""
        self._streams[user_id] += 1
        try:
            yield
        finally:
            self._streams[user_id] -= 1
            self._streams += Counter()  # drops zero counts

    async def watch(self, ids: Collection[int]) -> AsyncGenerator[Snapshot, None]:
        """Yield the current progress, then each change; `{}` while nothing changes.

        Ends when all are complete, and at shutdown.
        """
        seen = self._looks
        async with self._db.read() as session:
            known = await take_snapshot(session, ids)
        yield known
        self._watched.update(ids)
        try:
            while not self.is_closed and _is_open(known):
                await self._look_after(seen)
                found = self._latest if self._looks != seen else {}
                seen = self._looks
                new = {i: p for i, p in found.items() if i in known and p != known[i]}
                known |= new
                yield new
        finally:
            self._watched.subtract(ids)
            self._watched += Counter()

    def end(self) -> None:
        """End every stream and stop watching. Call it in the loop's thread."""
        self._ending.set()
        self._wake()

    async def close(self) -> None:
        """End every stream and wait for the query in progress."""
        self.end()
        if self._task:
            await asyncio.wait([self._task])

    async def _look_after(self, seen: int) -> None:
        """Wait until a look after number `seen` finds a change, at most IDLE_SECONDS."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep_looking())
        if self._looks == seen:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(IDLE_SECONDS):
                    await self._changed.wait()

    async def _keep_looking(self) -> None:
        while self._watched and not await self._ends_within(LOOK_SECONDS):
            try:
                async with self._db.read() as session:
                    found = await take_snapshot(session, list(self._watched))
            except DATABASE_ERRORS as error:
                log.warning("progress_look_failed", error=error_name(error))
                continue
            if found != self._latest:
                self._latest = found
                self._looks += 1
                self._wake()

    async def _ends_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        return self._ending.is_set()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _is_open(known: Snapshot) -> bool:
    return any(not one.is_complete for one in known.values())
