"""The two kinds of session, on both databases."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError

from soonish.config import Settings
from soonish.infra.db import session as session_module
from soonish.infra.db.errors import is_transient
from soonish.infra.db.models.installation import Lease
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from tests.support.settings import make_settings


async def streams(db: Database) -> list[str]:
    async with db.read() as session:
        return list(await session.scalars(select(OutboxRow.stream).order_by(OutboxRow.id)))


async def test_a_write_commits_when_its_block_ends_well(database: Database) -> None:
    told: list[set[str]] = []
    database.on_commit = told.append
    async with database.write() as session:
        outbox.add(session, "event-1-x", "wake", {})
        outbox.add(session, "event-1-x", "wake", {})
        outbox.add(session, "event-2-x", "wake", {})
        await session.flush()
        assert told == []
    assert told == [{"event-1-x", "event-2-x"}]
    assert await streams(database) == ["event-1-x", "event-1-x", "event-2-x"]


async def test_the_commit_comes_before_the_nudge(database: Database) -> None:
    seen: list[asyncio.Task[list[str]]] = []
    database.on_commit = lambda _: seen.append(asyncio.create_task(streams(database)))
    async with database.write() as session:
        outbox.add(session, "event-1-x", "wake", {})
    assert await seen[0] == ["event-1-x"]


async def test_an_error_rolls_back_and_nudges_nobody(database: Database) -> None:
    told: list[set[str]] = []
    database.on_commit = told.append
    with pytest.raises(RuntimeError):  # noqa: PT012 (the block is what is tested)
        async with database.write() as session:
            outbox.add(session, "event-1-x", "wake", {})
            await session.flush()
            raise RuntimeError
    assert (told, await streams(database)) == ([], [])
    async with database.write() as session:  # the lock of the one before is gone
        session.add(Lease(name="a", holder="h", until=utc_now()))
    assert told == []


async def test_a_commit_that_fails_nudges_nobody(database: Database) -> None:
    told: list[set[str]] = []
    database.on_commit = told.append
    async with database.write() as session:
        session.add(Lease(name="a", holder="h", until=utc_now()))
    with pytest.raises(IntegrityError) as raised:  # noqa: PT012 (the block is what is tested)
        async with database.write() as session:
            outbox.add(session, "event-1-x", "wake", {})
            session.add(Lease(name="a", holder="h", until=utc_now()))
    assert not is_transient(raised.value)
    assert (told, await streams(database)) == ([], [])


async def test_a_cancelled_write_leaves_nothing(database: Database) -> None:
    inside = asyncio.Event()

    async def write() -> None:
        async with database.write() as session:
            outbox.add(session, "event-1-x", "wake", {})
            await session.flush()
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    async with database.write() as session:
        outbox.add(session, "event-2-x", "wake", {})
    assert await streams(database) == ["event-2-x"]


async def test_a_read_sees_what_is_committed_and_writes_nothing(database: Database) -> None:
    async with database.read() as session:
        session.add(Lease(name="a", holder="h", until=utc_now()))
        await session.flush()
    async with database.read() as session:
        assert list(await session.scalars(select(Lease))) == []


async def test_concurrent_writers_all_succeed(settings: Settings, database: Database) -> None:
    """Of two processes: two Database objects share no lock but the database's own."""
    other = Database(settings)

    async def count(db: Database, name: str) -> None:
        for number in range(15):
            async with db.write() as session:
                query = select(Lease).where(Lease.name == "shared").with_for_update()
                row = (await session.scalars(query)).one()
                row.holder = str(int(row.holder) + 1)
                outbox.add(session, f"event-{number}-{name}", "wake", {})

    async with database.write() as session:
        session.add(Lease(name="shared", holder="0", until=utc_now()))
    try:
        writers = [count(db, f"{n}") for n, db in enumerate((database, other) * 3)]
        await asyncio.gather(*writers)
    finally:
        await other.close()
    async with database.read() as session:
        assert (await session.scalars(select(Lease.holder))).one() == "90"
    assert len(await streams(database)) == 90


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_sqlite_is_set_up_to_lose_nothing_and_wait(database: Database) -> None:
    async with database.read() as session:
        found = {
            name: (await session.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout", "foreign_keys")
        }
    assert found == {
        "journal_mode": "wal", "synchronous": 2, "busy_timeout": 30_000, "foreign_keys": 1,
    }  # fmt: skip


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_sqlite_searches_without_regard_to_case_in_every_script(database: Database) -> None:
    async with database.read() as session:
        assert (await session.execute(text("SELECT lower('ÜBER')"))).scalar() == "über"


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_postgresql_errors_are_told_apart_by_their_code(database: Database) -> None:
    async def error_of(statement: str) -> BaseException:
        with pytest.raises(Exception) as raised:  # noqa: PT011 (which one is what is asked)
            async with database.write() as session:
                await session.execute(text(statement))
        return raised.value

    assert not is_transient(await error_of("SELECT 1/0"))
    assert not is_transient(await error_of("SELECT nothing"))
    for code in ("40P01", "55P03", "57014", "53100", "08006"):
        raising = f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$"
        assert is_transient(await error_of(raising)), code


async def _cut(database: Database, other: Database) -> int:
    """Have the server end the connection that `database` keeps; its process id."""
    async with database.read() as session:
        pid: int = await session.scalar(text("SELECT pg_backend_pid()"))
    async with other.read() as session:
        await session.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
    return pid


async def test_a_connection_lost_while_it_was_idle_is_replaced(
    migrated_postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(session_module, "_PING_IDLE_SECONDS", 0.0)
    settings = make_settings(tmp_path, database_url=migrated_postgres)
    database, other = Database(settings), Database(settings)
    try:
        lost = await _cut(database, other)
        async with database.read() as session:
            assert await session.scalar(text("SELECT pg_backend_pid()")) != lost
    finally:
        await database.close()
        await other.close()
