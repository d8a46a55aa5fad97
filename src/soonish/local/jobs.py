"""What `soonish up` does with heavy libraries before its parts run, in processes that then end.

The supervisor stays for as long as the system runs; with SQLAlchemy, Alembic and Temporal's SDK
loaded it would hold 60 MB for nothing. `python -m soonish.local.jobs database|temporal` exits
with 0 when it is done, with NOT_YET when it may be asked again, else with one line on stdout.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from typing import Final

from soonish.config import Settings, load_settings
from soonish.errors import ConfigurationError

NOT_YET: Final = 75  # EX_TEMPFAIL of sysexits.h
PATIENCE_SECONDS: Final = 3.0
PROBE_SECONDS: Final = 2.0


def prepare_database(settings: Settings) -> int:
    """Migrate, and check what a part that ends over it would be started again and again for.

    Raises ConfigurationError.
    """
    from soonish.infra.db.migrate import upgrade
    from soonish.ops.installation import check_installation

    try:
        upgrade(settings)
        asyncio.run(check_installation(settings))
    except ConfigurationError:
        raise
    except Exception as error:
        raise ConfigurationError(f"The database cannot be prepared: {_one_line(error)}") from error
    return 0


def await_temporal(settings: Settings) -> int:
    """0 once Temporal serves our namespace, NOT_YET if it does not within PATIENCE_SECONDS."""
    return asyncio.run(_await_temporal(settings))


async def _await_temporal(settings: Settings) -> int:
    """Look at the port first: the SDK would wait and retry by itself."""
    from soonish.local.temporal_server import answers

    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        if await _answers_tcp(settings.temporal_address) and await answers(settings):
            return 0
        await asyncio.sleep(0.05)
    return NOT_YET


async def _answers_tcp(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _one_line(error: Exception) -> str:
    text = str(getattr(error, "orig", None) or error)
    return " ".join(text.split())[:300] or type(error).__name__


JOBS: Final[dict[str, Callable[[Settings], int]]] = {
    "database": prepare_database,
    "temporal": await_temporal,
}


def main(job: str) -> int:
    """The exit code of one of JOBS."""
    try:
        return JOBS[job](load_settings())
    except ConfigurationError as error:
        print(error.detail)  # noqa: T201, the supervisor reads it
        return 1


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stdout.flush()
    os._exit(code)  # Temporal's SDK may abort a process that ends in the ordinary way
