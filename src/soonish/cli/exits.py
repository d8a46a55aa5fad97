"""How a command ends: 0 done, 1 failed with one clear line on stderr, 2 wrong usage."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

MIGRATE = "`soonish db upgrade` makes or updates it; `soonish doctor` says more."


@contextmanager
def exiting_clearly() -> Generator[None]:
    """Turn what may go wrong in a command into one line on stderr and exit code 1.

    Anything unforeseen is raised as it is, with its traceback.
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
    """One line for a person about this error; None for one that is a mistake of ours."""
    from pydantic import ValidationError
    from sqlalchemy.exc import DBAPIError

    from soonish.errors import SoonishError

    if isinstance(error, SoonishError):
        return one_line(error.detail)
    if isinstance(error, ValidationError):
        return "; ".join(_field(one["loc"], one["msg"]) for one in error.errors())
    if isinstance(error, DBAPIError):
        return f"The database cannot be used: {one_line(error.orig)}. {MIGRATE}"
    if _is_from_driver(error):
        return f"The database does not let us in: {one_line(error)}."
    return _about_network(error)


def _field(place: tuple[int | str, ...], message: str) -> str:
    name = str(place[0]) if place else "input"
    return f"{name}: {message.removeprefix('Value error, ')}"


def _is_from_driver(error: Exception) -> bool:
    """asyncpg's own errors come as they are while connecting."""
    return type(error).__module__.startswith("asyncpg.")


def _about_network(error: Exception) -> str | None:
    from temporalio.service import RPCError

    if isinstance(error, RPCError):
        return f"Temporal does not answer: {one_line(error)}."
    if isinstance(error, OSError):
        return f"{one_line(error.strerror or error)}{f': {error.filename}' * bool(error.filename)}."
    return None


def one_line(value: object) -> str:
    """The first line of a text that came from elsewhere, without its full stop."""
    lines = str(value).strip().splitlines() or [type(value).__name__]
    return lines[0].strip().rstrip(".")[:300] if not isinstance(value, str) else _joined(lines)


def _joined(lines: list[str]) -> str:
    return " ".join(line.strip() for line in lines)[:1000]
