"""The relay: pokes the workflow of each stream that has undone rows (docs/architecture.md#outbox).

Lost and repeated pokes are harmless, since the workflow's `advance_event` reads the rows itself.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import structlog
from sqlalchemy import BindParameter, ColumnElement, Row, Select, bindparam, or_, select, update
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.service import RPCError, RPCStatusCode

from soonish.config import Settings
from soonish.infra.db import sql
from soonish.infra.db.errors import DATABASE_ERRORS, error_name
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.session import Database
from soonish.infra.db.types import UtcDateTime, utc_now
from soonish.infra.outbox.service import TAKE
from soonish.infra.outbox.streams import WAKE, workflow_of
from soonish.infra.temporal import RPC_TIMEOUT, Temporal

POLL_SECONDS = 1.0
AGAIN_AFTER = timedelta(seconds=30)
GAP_SECONDS = 0.05  # between two pokes of one stream, so that a burst shares them
MAX_BACKOFF_SECONDS = 30.0
STREAMS_AT_ONCE = 200
POKES_AT_ONCE = 8  # more would take database connections from the requests
log = structlog.get_logger()


class Relay:
    """One per process. `nudge` is called after this process's own commits; `run` polls."""

    def __init__(
        self,
        db: Database,
        temporal: Temporal,
        settings: Settings,
        poll_seconds: float = POLL_SECONDS,
    ) -> None:
        self._db = db
        self._poll_seconds = poll_seconds
        self._temporal = temporal
        self._queue = settings.workflow_queue
        self._poking: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._poked: list[int] = []
        self._noting = asyncio.Lock()
        self._few = asyncio.Semaphore(POKES_AT_ONCE)
        self._failures = 0

    def nudge(self, streams: Iterable[str]) -> None:
        """Poke these streams now; streams being poked already share the next poke."""
        for stream in streams:
            if stream in self._poking:
                self._again.add(stream)
            else:
                self._poking[stream] = asyncio.create_task(self._poke_until_quiet(stream))

    async def run(self) -> None:
        """Poll until cancelled, and poke streams that were not poked within 30 s."""
        while True:
            try:
                self.nudge(await self._waiting_streams())
            except DATABASE_ERRORS as error:
                log.warning("the relay cannot read the outbox", error=error_name(error))
            await asyncio.sleep(self._pause())

    async def close(self, patience: float = 2.0) -> None:
        """Wait for pokes in flight for `patience` seconds; a lost one is harmless."""
        pending = list(self._poking.values())
        if pending:
            _, late = await asyncio.wait(pending, timeout=patience)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _pause(self) -> float:
        return min(self._poll_seconds * 2 ** min(self._failures, 5), MAX_BACKOFF_SECONDS)

    async def _waiting_streams(self) -> Sequence[str]:
        async with self._db.read() as session:
            query = (
                select(OutboxRow.stream)
                .where(OutboxRow.done_at.is_(None), _not_poked_since(utc_now() - AGAIN_AFTER))
                .group_by(OutboxRow.stream)
                .limit(STREAMS_AT_ONCE)
            )
            streams = list(await session.scalars(query))
        random.shuffle(streams)  # processes that poll together should not poke the same ones
        return streams

    async def _poke_until_quiet(self, stream: str) -> None:
        try:
            while True:
                async with self._few:
                    self._again.discard(stream)
                    poked = await self._poke(stream)
                await self._note_poked(poked)
                if stream not in self._again:
                    return
                await asyncio.sleep(GAP_SECONDS)
        except DATABASE_ERRORS as error:
            log.warning("the relay cannot use the outbox", error=error_name(error))
        finally:
            del self._poking[stream]

    async def _poke(self, stream: str) -> list[int]:
        """Signal the stream's workflow; return the ids of the rows in the signal."""
        rows = await self._first_rows(stream)
        if not rows:
            return []
        items = [{**payload, "outbox_id": row_id} for row_id, _, payload in rows]
        ids = [row_id for row_id, _, _ in rows]
        try:
            await self.signal(stream, rows[0][1], items)
        except (RPCError, RuntimeError, ValueError) as error:
            await self._note_failure(ids, stream, error)
            return []
        self._failures = 0
        return ids

    async def _first_rows(self, stream: str) -> list[Row[int, str, dict[str, Any]]]:
        """Return (id, kind, payload) of up to 500 undone rows of the first one's kind.

        Rows that were poked lately are left out.
        """
        these = {"p_stream": stream, "p_before": utc_now() - AGAIN_AFTER}
        async with self._db.connect() as connection:
            rows = (await connection.execute(_waiting_rows(), these)).all()
        return [row for row in rows if row[1] == rows[0][1]]

    async def signal(self, stream: str, kind: str, items: Any) -> None:
        """Signal the stream's workflow, and start it if it is not running."""
        name, argument = workflow_of(stream)
        client = await self._temporal.client()
        await client.start_workflow(
            name,
            argument,
            id=stream,
            task_queue=self._queue,
            start_signal=kind,
            start_signal_args=[items],
            id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            rpc_timeout=RPC_TIMEOUT,
        )

    async def wake(self, stream: str) -> None:
        """Make the workflow read the database; start it if it is not running."""
        await self.signal(stream, WAKE, {})

    async def _note_poked(self, ids: Sequence[int]) -> None:
        """Record poked rows; calls during a write share the next one."""
        if not ids:
            return
        self._poked += ids
        async with self._noting:
            taken, self._poked = self._poked, []
            if taken:
                await self._write_poked(taken)

    async def _write_poked(self, ids: Sequence[int]) -> None:
        async with self._db.write() as session:
            await session.execute(
                update(OutboxRow)
                .where(OutboxRow.id.in_(sql.id_list(session, ids)), OutboxRow.done_at.is_(None))
                .values(poked_at=utc_now(), error=None)
                .execution_options(synchronize_session=False)
            )

    async def _note_failure(
        self, ids: Sequence[int], stream: str, error: RPCError | RuntimeError | ValueError
    ) -> None:
        """Store the error in the undone row; log errors that no retry mends as such."""
        self._failures += 1
        refused = isinstance(error, ValueError) or (
            isinstance(error, RPCError) and error.status is RPCStatusCode.INVALID_ARGUMENT
        )
        (log.error if refused else log.warning)(
            "a workflow could not be told", stream=stream, error=type(error).__name__
        )
        async with self._db.write() as session:
            await session.execute(
                update(OutboxRow)
                .where(OutboxRow.id.in_(sql.id_list(session, ids[:1])), OutboxRow.done_at.is_(None))
                .values(error=str(error)[:500])
            )


@cache
def _waiting_rows() -> Select[int, str, dict[str, Any]]:
    """Build the query once. Parameters: p_stream and p_before."""
    return (
        select(OutboxRow.id, OutboxRow.kind, OutboxRow.payload)
        .where(
            OutboxRow.stream == bindparam("p_stream"),
            OutboxRow.done_at.is_(None),
            _not_poked_since(bindparam("p_before", type_=UtcDateTime())),
        )
        .order_by(OutboxRow.id)
        .limit(TAKE)
    )


def _not_poked_since(instant: datetime | BindParameter[datetime]) -> ColumnElement[bool]:
    return or_(OutboxRow.poked_at.is_(None), OutboxRow.poked_at < instant)
