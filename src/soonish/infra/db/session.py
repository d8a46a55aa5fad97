"""The database of one process: the engine and two kinds of sessions.

`async with db.read() as session` never writes. `async with db.write() as session` is one
transaction that commits at the end of the block, so before its caller answers; the streams of
`outbox.add` are then passed to `on_commit`. On SQLite writers take turns within the process and
begin IMMEDIATE, because SQLite is not fair to them (docs/architecture.md#sqlite).
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from sqlalchemy import Connection, Dialect, event
from sqlalchemy.exc import InvalidatePoolError
from sqlalchemy.ext.asyncio import (
    AsyncConnection,
    AsyncEngine,
    AsyncSession,
    create_async_engine,
)
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from soonish.config import Settings
from soonish.infra.db.sqlite_driver import (
    EAGER_SECONDS,
    PATIENT_SECONDS,
    SqliteConnection,
    SqliteDriver,
)

Session = AsyncSession  # for callers that only pass one on
ANNOUNCED_STREAMS = "outbox_streams"
_BUSY_TIMEOUT_MS = 30_000
_PING_IDLE_SECONDS = 1.0


class Database:
    """Engine and sessions; calls `on_commit(streams)` after a commit with outbox rows.

    `is_patient`: other processes that wait for SQLite's lock come first.
    """

    def __init__(self, settings: Settings, *, is_patient: bool = False) -> None:
        self.engine = _create_engine(settings, is_patient)
        self.is_sqlite = settings.is_sqlite
        self.on_commit: Callable[[set[str]], None] | None = None
        self._writing = asyncio.Lock()

    @asynccontextmanager
    async def read(self) -> AsyncGenerator[AsyncSession, None]:
        async with AsyncSession(self.engine, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def connect(self) -> AsyncGenerator[AsyncConnection, None]:
        """Open a read connection without the ORM, for queries that are cheaper than a session."""
        async with self.engine.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncGenerator[AsyncSession, None]:
        if not self.is_sqlite:
            async with AsyncSession(self.engine, expire_on_commit=False) as session:
                yield session
                await session.commit()
        else:
            async with self._writing, AsyncSession(self.engine, expire_on_commit=False) as session:
                await session.connection(execution_options={"sqlite_begin": "IMMEDIATE"})
                yield session
                await session.commit()
        self._announce(session)

    def _announce(self, session: AsyncSession) -> None:
        streams: set[str] = session.info.pop(ANNOUNCED_STREAMS, set())
        if streams and self.on_commit:
            self.on_commit(streams)

    async def close(self) -> None:
        await self.engine.dispose()


def _create_engine(settings: Settings, is_patient: bool) -> AsyncEngine:
    if settings.is_sqlite:
        return _create_sqlite_engine(settings, is_patient)
    engine = create_async_engine(
        settings.database_url,
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
        pool_recycle=settings.db_pool_recycle,
        connect_args={
            "server_settings": {
                "statement_timeout": str(int(settings.db_statement_timeout * 1000)),
                "timezone": "UTC",
            }
        },
    )
    event.listen(engine.sync_engine, "checkin", _note_use)
    event.listen(engine.sync_engine, "checkout", partial(_ping_idle, engine.sync_engine.dialect))
    return engine


def _note_use(connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


def _ping_idle(
    dialect: Dialect, connection: Any, record: ConnectionPoolEntry, proxy: PoolProxiedConnection
) -> None:
    """Ping as SQLAlchemy's `pool_pre_ping`, but only connections that have been idle.

    That takes three round trips, which a connection in constant use does not need.
    """
    used_at: float | None = record.info.get("used_at")
    if used_at is None or time.monotonic() - used_at < _PING_IDLE_SECONDS:
        return
    try:
        dialect.do_ping(connection)
    except dialect.loaded_dbapi.Error as error:
        if not dialect.is_disconnect(error, connection, None):
            raise
        raise InvalidatePoolError("the connection was lost while it was idle") from error


def _create_sqlite_engine(settings: Settings, is_patient: bool) -> AsyncEngine:
    path = settings.database_url.partition(":///")[2]
    if path and path != ":memory:":
        Path(path).parent.mkdir(parents=True, exist_ok=True)
    engine = create_async_engine(
        settings.database_url,
        module=SqliteDriver(PATIENT_SECONDS if is_patient else EAGER_SECONDS),
        pool_size=settings.db_pool_size,
        max_overflow=settings.db_max_overflow,
    )
    event.listen(engine.sync_engine, "connect", _prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: Any, record: Any) -> None:
    connection.isolation_level = None  # _begin_sqlite sends BEGIN
    cursor: sqlite3.Cursor = connection.cursor()
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()
    # SQLite's own lower() only covers ASCII: a search for "über" would miss "Über".
    connection.create_function("lower", 1, _lower, deterministic=True)


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin", "DEFERRED")
    adapter = cast(SqliteConnection, connection.connection.dbapi_connection)
    adapter.begin_with(f"BEGIN {mode}")
