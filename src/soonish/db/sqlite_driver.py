"""SQLAlchemy's aiosqlite driver with one hop to the connection's thread for each statement.

The stock one takes four (make a cursor, execute, fetch, close), three more for BEGIN, and one for
the rollback of what has been committed. A hop costs about as much as a small statement.
"""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from typing import Any, cast

import aiosqlite
from sqlalchemy.dialects.sqlite.aiosqlite import (
    AsyncAdapt_aiosqlite_connection,
    AsyncAdapt_aiosqlite_cursor,
    AsyncAdapt_aiosqlite_dbapi,
)

ASK_AGAIN_SECONDS = 0.002

# aiosqlite has no public way to run a function in a connection's thread.
# pyright: reportPrivateUsage=false


class Cursor(AsyncAdapt_aiosqlite_cursor):
    """Runs a statement, and reads all its rows, in one hop."""

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
        """Closed already, in its own thread."""

    def close(self) -> None:
        self._rows.clear()


class SqliteConnection(AsyncAdapt_aiosqlite_connection):
    """BEGIN goes with the transaction's first statement; what did not begin is not rolled back."""

    __slots__ = ("_begin", "_is_used")
    _cursor_cls = Cursor

    def __init__(self, dbapi: Any, connection: Any) -> None:
        super().__init__(dbapi, connection)
        self._begin: str | None = None
        self._is_used = False  # something was handed to the thread since the last end

    def begin_with(self, statement: str) -> None:
        """Have the transaction begin by this statement when it is first used."""
        self._begin = statement

    async def run(
        self, method: str, operation: str, parameters: Any
    ) -> tuple[sqlite3.Cursor, list[Any]]:
        """The statement's closed cursor (it still knows rowcount and columns), and its rows."""
        connection = cast(aiosqlite.Connection, self._connection)
        self._is_used = True
        try:
            return await connection._execute(
                _in_thread, connection._conn, self._begin, method, operation, parameters
            )
        finally:
            # After a cancellation BEGIN may still be on its way: whatever comes next asks again.
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
    """What `create_async_engine(module=...)` takes in place of aiosqlite."""

    def __init__(self) -> None:
        super().__init__(cast(Any, aiosqlite), cast(Any, sqlite3))

    def connect(self, *arg: Any, **kw: Any) -> SqliteConnection:
        stock = super().connect(*arg, **kw)
        return SqliteConnection(self, stock._connection)


def _in_thread(
    connection: sqlite3.Connection,
    begin: str | None,
    method: str,
    operation: str,
    parameters: Any,
) -> tuple[sqlite3.Cursor, list[Any]]:
    if begin and not connection.in_transaction:
        _begin(connection, begin)
    cursor = connection.cursor()
    try:
        getattr(cursor, method)(operation, parameters)
        return cursor, cursor.fetchall() if cursor.description else []
    finally:
        cursor.close()


def _begin(connection: sqlite3.Connection, statement: str) -> None:
    """Wait for the lock of another process as long as the connection's busy_timeout says.

    SQLite's own waiting grows to 100 ms between two tries, and a process that writes all the time
    then keeps another one out for seconds (https://sqlite.org/c3ref/busy_timeout.html).
    """
    patience = connection.execute("PRAGMA busy_timeout").fetchone()[0]
    until = time.monotonic() + patience / 1000
    connection.execute("PRAGMA busy_timeout=0")
    try:
        while not _has_begun(connection, statement, time.monotonic() < until):
            time.sleep(ASK_AGAIN_SECONDS)
    finally:
        connection.execute(f"PRAGMA busy_timeout={int(patience)}")


def _has_begun(connection: sqlite3.Connection, statement: str, patient: bool) -> bool:
    """False where another process holds the lock, and that is no error yet."""
    try:
        connection.execute(statement)
    except sqlite3.OperationalError as error:
        if patient and error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY:
            return False
        raise
    return True
