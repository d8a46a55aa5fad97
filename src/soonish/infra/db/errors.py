"""Tell transient database errors from errors of the statement."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# Raised while the database is away; asyncpg passes on the socket's own errors.
DATABASE_ERRORS = (SQLAlchemyError, OSError)

# SQLSTATE classes: connection, transaction state and rollback (deadlock), resources (a full
# disk), locks, operator (shutdown, timeout), system, internal.
_PASSING_CLASSES = frozenset(("08", "25", "40", "53", "55", "57", "58", "XX"))


def is_transient(error: BaseException) -> bool:
    """Return True if a retry may succeed: after locks, a lost connection, a full disk.

    asyncpg reports most of them as plain DBAPIError, so the SQLSTATE decides there.
    """
    if isinstance(error, (OSError, PoolTimeoutError)):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return str(state)[:2] in _PASSING_CLASSES
    return error.connection_invalidated or isinstance(error, OperationalError)


def error_name(error: BaseException) -> str:
    """Return the error's class for a log line, the driver's own if there is one."""
    return type(getattr(error, "orig", None) or error).__name__
