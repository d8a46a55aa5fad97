"""Run a command with the parts of one process: settings, database, relay, sender."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from soonish.cli.output import warn
from soonish.kit.exits import MIGRATE, exiting_clearly

if TYPE_CHECKING:
    from soonish.config import Settings
    from soonish.infra.db.session import Database
    from soonish.runtime import Runtime

T = TypeVar("T")
WAITS = (
    "Temporal does not answer; the work is kept in the outbox and is done when it is there again."
)


def run(work: Callable[[Runtime], Awaitable[T]]) -> T:
    """Run `work` with open parts, and tell Temporal about its commits before returning.

    If Temporal is down, one line on stderr says so, and the work stays in the outbox. Exit with 1
    and one line for errors that people can act on.
    """
    from soonish.infra.audit import origin

    with exiting_clearly(), origin.recorded_as_from(origin.Origin(source=origin.CLI)):
        return asyncio.run(_run(work))


def settings_for_command() -> Settings:
    """Return the settings, with logs on stderr only for DEBUG or for serious problems."""
    from soonish.config import load_settings
    from soonish.ops.logging import configure_logging

    settings = load_settings()
    quiet = settings if settings.debug else settings.model_copy(update={"log_level": "CRITICAL"})
    configure_logging(quiet, "cli")
    return settings


def require_database(settings: Settings) -> None:
    """Raise ConfigurationError if SQLite's file is missing: connecting would create an empty
    one."""
    from soonish.errors import ConfigurationError

    path = sqlite_path(settings)
    if path and not path.exists():
        raise ConfigurationError(f"There is no database at {path}. {MIGRATE}")


def make_missing_secrets(settings: Settings) -> None:
    """Generate missing secrets in development, as `soonish up` does, and report it on stderr."""
    from soonish.config import SECRET_NAMES
    from soonish.infra.secrets_file import ensure_secrets

    if settings.production:
        return
    present = frozenset(name for name in SECRET_NAMES if getattr(settings, name.lower()))
    if made := ensure_secrets(settings.soonish_home, present):
        place = settings.soonish_home / "secrets.env"
        warn(f"Made {', '.join(made)} in {place}; keep that file.")


def sqlite_path(settings: Settings) -> Path | None:
    """Return SQLite's database file; None for PostgreSQL and for a database in memory."""
    name = settings.database_url.partition(":///")[2] if settings.is_sqlite else ""
    return Path(name) if name and name != ":memory:" else None


async def _run(work: Callable[[Runtime], Awaitable[T]]) -> T:
    from soonish.ops.installation import check_fingerprint_key
    from soonish.runtime import make_runtime

    settings = settings_for_command()
    require_database(settings)
    runtime = make_runtime(settings)
    announced: set[str] = set()
    runtime.db.on_commit = _noting(announced, runtime.relay.nudge)
    try:
        await check_fingerprint_key(runtime.db)
        result = await work(runtime)
        await runtime.relay.close()
        if announced and await _still_waiting(runtime.db, announced):
            warn(WAITS)
        return result
    finally:
        await runtime.close()


def _noting(
    announced: set[str], nudge: Callable[[Iterable[str]], None]
) -> Callable[[set[str]], None]:
    def note(streams: set[str]) -> None:
        announced.update(streams)
        nudge(streams)

    return note


async def _still_waiting(db: Database, announced: set[str]) -> bool:
    from soonish.infra.outbox import operations

    async with db.read() as session:
        return await operations.has_unpoked(session, announced)
