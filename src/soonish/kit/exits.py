"""Exit codes of commands: 0 done, 1 failed with one clear line on stderr, 2 wrong usage."""

from __future__ import annotations

import re
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager

MIGRATE = "`soonish db upgrade` prepares it; `soonish doctor` says more."
_CLASS = re.compile(r"^<class '[^']*'>: ")  # SQLAlchemy puts it before asyncpg's words


@contextmanager
def exiting_clearly() -> Generator[None]:
    """Turn expected errors of a command into one line on stderr and exit code 1.

    Unexpected errors are raised as they are, with a traceback.
    """
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except Exception as error:
        line = explain(error)
        if line is None:
            raise
        print(line, file=sys.stderr)  # noqa: T201
        raise SystemExit(1) from error


def explain(error: Exception) -> str | None:
    """Return one line that explains this error; None for a bug of ours."""
    from pydantic import ValidationError
    from sqlalchemy.exc import DBAPIError

    from soonish.errors import SoonishError

    if isinstance(error, SoonishError):
        return single_line(error.detail)
    if isinstance(error, ValidationError):
        return "; ".join(_field(one["loc"], one["msg"]) for one in error.errors())
    if isinstance(error, DBAPIError):
        return f"The database cannot be used: {_cause(error.orig)}. {MIGRATE}"
    return _about_system(error)


def single_line(text: object) -> str:
    """Return the text as one line, shortened to 1,000 characters."""
    return " ".join(str(text).split())[:1000]


def _field(place: tuple[int | str, ...], message: str) -> str:
    name = str(place[0]) if place else "input"
    return f"{name}: {message.removeprefix('Value error, ')}"


def _cause(error: BaseException | None) -> str:
    """Return the first line of a driver's error: the others may quote data."""
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return single_line(_CLASS.sub("", first)).rstrip(".")


def _about_system(error: Exception) -> str | None:
    from temporalio.service import RPCError

    if isinstance(error, RPCError):
        return f"Temporal does not answer: {_cause(error)}."
    if isinstance(error, ConnectionError | TimeoutError | socket.gaierror):
        return f"The database does not answer: {_cause(error)}. Check DATABASE_URL."
    if isinstance(error, OSError):
        return ": ".join(part for part in (error.filename, error.strerror or str(error)) if part)
    return None
