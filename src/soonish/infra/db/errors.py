"""Which errors of a database pass by themselves, and which are the fault of what was asked."""

from __future__ import annotations

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

# What a session raises while the database is away; asyncpg lets the socket's own errors through.
DATABASE_ERRORS = (SQLAlchemyError, OSError)

# SQLSTATE classes: connection, transaction state and rollback (deadlock), resources (a full
# disk), locks, operator (shutdown, timeout), system, internal.
_PASSING_CLASSES = frozenset(("08", "25", "40", "53", "55", "57", "58", "XX"))


def is_passing(error: BaseException) -> bool:
    """Whether the same statements may succeed later: locks, a lost connection, a full disk.

    asyncpg's driver reports most of them as plain DBAPIError, so there the SQLSTATE decides.
    """
    if isinstance(error, (OSError, PoolTimeoutError)):
        return True
    if not isinstance(error, DBAPIError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if state:
        return str(state)[:2] in _PASSING_CLASSES
    return error.connection_invalidated or isinstance(error, OperationalError)


def name_of(error: BaseException) -> str:
    """The error's class for a log line, the driver's own where there is one."""
    return type(getattr(error, "orig", None) or error).__name__
