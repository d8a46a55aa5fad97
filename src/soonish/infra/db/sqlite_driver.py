"""SQLAlchemy's aiosqlite driver with one hop to the connection's thread for each statement.

The stock one takes four (make a cursor, execute, fetch, close), three more for BEGIN, and one for
the rollback of what has been committed. A hop costs about as much as a small statement.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import aiosqlite
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
)

EAGER_SECONDS = 0.0005  # between two tries for the lock of another process
PATIENT_SECONDS = 0.004

# aiosqlite has no public way to run a function in a connection's thread.
# pyright: reportPrivateUsage=false


class Cursor(AsyncAdapt_aiosqlite_cursor):
    """A cursor that runs a statement and reads all its rows in one hop."""

    __slots__ = ()

    def __init__(self, adapt_connection: SqliteConnection) -> None:
        self._adapt_connection = adapt_connection
        self._connection = adapt_connection._connection
        self._soft_closed_memoized = {}  # pyright: ignore[reportAttributeAccessIssue]
        self._rows = deque()

    async def _execute_async(self, operation: Any, parameters: Any) -> Any:
        await self._run("execute", operation, () if parameters is None else parameters)

    async def _executemany_async(self, operation: Any, seq_of_parameters: Any) -> Any:
        await self._run("executemany", operation, seq_of_parameters)

    async def _run(self, method: str, operation: str, parameters: Any) -> None:
        connection = cast(SqliteConnection, self._adapt_connection)
        async with connection._execute_mutex:
            cursor, rows = await connection.run(method, operation, parameters)
        self._cursor = cast(Any, cursor)
        self._rows = deque(rows)

    async def _async_soft_close(self) -> None:
        """Do nothing: the cursor was closed in its own thread."""

    def close(self) -> None:
        self._rows.clear()


class SqliteConnection(AsyncAdapt_aiosqlite_connection):
    """A connection that sends BEGIN with the first statement, and rolls back only after one."""

    __slots__ = ("_ask_again", "_begin", "_is_used")
    _cursor_cls = Cursor

    def __init__(self, dbapi: SqliteDriver, connection: Any) -> None:
        super().__init__(dbapi, connection)
        self._ask_again = dbapi.ask_again
        self._begin: str | None = None
        self._is_used = False  # a statement was sent to the thread since the last commit

    def begin_with(self, statement: str) -> None:
        """Begin the transaction with this statement when it is first used."""
        self._begin = statement

    async def run(
        self, method: str, operation: str, parameters: Any
    ) -> tuple[sqlite3.Cursor, list[Any]]:
        """Run a statement; return its closed cursor (which keeps rowcount and columns) and rows."""
        connection = cast(aiosqlite.Connection, self._connection)
        self._is_used = True
        begin = self._begin and partial(_begin, connection._conn, self._begin, self._ask_again)
        try:
            return await connection._execute(
                _in_thread, connection._conn, begin, method, operation, parameters
            )
        finally:
            # After a cancellation BEGIN may still be pending: the next statement checks again.
            if self._begin and connection._connection and connection.in_transaction:
                self._begin = None

    def rollback(self) -> None:
        if self._is_used:
            super().rollback()
        self._end()

    def commit(self) -> None:
        if self._is_used:
            super().commit()
        self._end()

    def _end(self) -> None:
        self._begin, self._is_used = None, False


class SqliteDriver(AsyncAdapt_aiosqlite_dbapi):
    """The driver for `create_async_engine(module=...)`, in place of aiosqlite.

    `ask_again`: the seconds between two tries for the lock of another process. Of several waiting
    processes the one with the shortest interval nearly always gets it.
    """

    def __init__(self, ask_again: float = EAGER_SECONDS) -> None:
        super().__init__(cast(Any, aiosqlite), cast(Any, sqlite3))
        self.ask_again = ask_again

    def connect(self, *arg: Any, **kw: Any) -> SqliteConnection:
        stock = super().connect(*arg, **kw)
        return SqliteConnection(self, stock._connection)


def _in_thread(
    connection: sqlite3.Connection,
    begin: Callable[[], None] | None,
    method: str,
    operation: str,
    parameters: Any,
) -> tuple[sqlite3.Cursor, list[Any]]:
    if begin and not connection.in_transaction:
        begin()
    cursor = connection.cursor()
    try:
        getattr(cursor, method)(operation, parameters)
        return cursor, cursor.fetchall() if cursor.description else []
    finally:
        cursor.close()


def _begin(connection: Any, statement: str, ask_again: float) -> None:
    """Begin, waiting for the lock of another process up to the connection's busy_timeout.

    SQLite's own waits grow to 100 ms, so that a process that writes all the time keeps another
    one out for seconds (https://sqlite.org/c3ref/busy_timeout.html).
    """
    if statement == "BEGIN DEFERRED":  # takes no lock
        connection.execute(statement)
        return
    patience = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    until = time.monotonic() + patience / 1000
    connection.execute("PRAGMA busy_timeout=0")
    try:
        while not _has_begun(connection, statement, time.monotonic() < until):
            time.sleep(ask_again)
    finally:
        connection.execute(f"PRAGMA busy_timeout={int(patience)}")


def _has_begun(connection: Any, statement: str, patient: bool) -> bool:
    """Try to begin; return False if another process holds the lock and we may still wait."""
    try:
        connection.execute(statement)
    except sqlite3.OperationalError as error:
        if patient and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            return False
        raise
    return True
