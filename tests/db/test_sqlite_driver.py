"""SQLite with one hop a statement: what begins late, is refused or cancelled still ends well."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.config import Settings
from soonish.infra.db import sqlite_driver
from soonish.infra.db.models.installation import Lease
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from tests.support.wait import eventually

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SLOW_INSERT = text(
    "INSERT INTO leases (name, holder, until) SELECT 'slow', max(x), '2030-01-01' FROM"
    " (WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 1500000)"
    " SELECT x FROM c)"
)


def lease(name: str) -> Lease:
    return Lease(name=name, holder="h", until=utc_now())


async def names(db: Database) -> list[str]:
    async with db.read() as session:
        return list(await session.scalars(select(Lease.name).order_by(Lease.name)))


async def is_open(session: AsyncSession) -> bool:
    connection: Any = (await (await session.connection()).get_raw_connection()).driver_connection
    return bool(connection.in_transaction)


async def test_a_transaction_begins_with_its_first_statement(database: Database) -> None:
    async with database.write() as session:
        assert not await is_open(session)
        await session.execute(select(Lease.name))
        assert await is_open(session)
        session.add(lease("a"))
    async with database.read() as session:
        assert not await is_open(session)
    assert await names(database) == ["a"]


async def test_a_statement_that_is_cancelled_under_way_leaves_nothing(database: Database) -> None:
    async def write() -> None:
        async with database.write() as session:
            await session.execute(SLOW_INSERT)

    started = asyncio.Event()
    event.listen(database.engine.sync_engine, "before_cursor_execute", lambda *_: started.set())
    task = asyncio.create_task(write())
    await started.wait()
    await asyncio.sleep(0)  # the statement is handed to its thread
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.write() as session:
        session.add(lease("next"))
    assert await names(database) == ["next"]


@pytest.mark.parametrize(
    ("is_patient", "pause"),
    [(False, sqlite_driver.EAGER_SECONDS), (True, sqlite_driver.PATIENT_SECONDS)],
)
async def test_who_waits_for_another_process_asks_again_soon_and_who_answers_sooner(
    settings: Settings,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    is_patient: bool,
    pause: float,
) -> None:
    waits: list[float] = []
    sleep = time.sleep

    def noted(seconds: float) -> None:
        waits.append(seconds)
        sleep(seconds)

    async def write() -> int:
        async with other.write() as session:
            session.add(lease("waited"))
            await session.flush()
            return int((await session.execute(text("PRAGMA busy_timeout"))).scalar_one())

    monkeypatch.setattr(
        sqlite_driver, "time", SimpleNamespace(sleep=noted, monotonic=time.monotonic)
    )
    other = Database(settings, is_patient=is_patient)  # with its own lock, like another process
    async with database.write() as holder:
        await holder.execute(select(Lease.name))
        waiting = asyncio.create_task(write())
        await eventually(lambda: len(waits) > 20)
    assert await waiting == 30_000  # as before
    assert set(waits) == {pause}
    await other.close()
    assert await names(database) == ["waited"]


async def test_after_a_refused_begin_nothing_is_written_outside(
    settings: Settings, database: Database
) -> None:
    """Whoever catches "database is locked" and goes on is in a transaction, or refused again."""
    other = Database(settings)
    event.listen(other.engine.sync_engine, "connect", _do_not_wait)
    with pytest.raises(RuntimeError):  # noqa: PT012 (the block is what is tested)
        async with other.write() as session:
            async with database.write() as holder:
                await holder.execute(select(Lease.name))
                with pytest.raises(OperationalError):
                    await session.execute(select(Lease.name))
            await session.execute(text("INSERT INTO leases VALUES ('late', 'h', '2030-01-01')"))
            assert await is_open(session)
            raise RuntimeError
    await other.close()
    assert await names(database) == []


def _do_not_wait(connection: Any, _record: Any) -> None:
    connection.cursor().execute("PRAGMA busy_timeout=0")
