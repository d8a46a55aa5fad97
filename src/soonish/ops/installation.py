"""What every process of an installation must agree on, and which workers are alive."""

from __future__ import annotations

import asyncio
import os
import socket
from datetime import timedelta

import structlog
from sqlalchemy import delete, select

from soonish.config import Settings
from soonish.errors import ConfigurationError
from soonish.infra.db import crypto, sql
from soonish.infra.db.errors import DATABASE_ERRORS, name_of
from soonish.infra.db.models.installation import Installation, Lease
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now

WORKER_LEASE = timedelta(seconds=30)
_BEAT_SECONDS = 10.0
log = structlog.get_logger()


async def check_installation(settings: Settings) -> None:
    """As `check_fingerprint_key`, for who has no open database yet."""
    crypto.configure(settings)
    db = Database(settings)
    try:
        await check_fingerprint_key(db)
    finally:
        await db.close()


async def check_fingerprint_key(db: Database) -> None:
    """Raise ConfigurationError where FINGERPRINT_KEY is not the one this database was made with."""
    expected = crypto.fingerprint("check", "soonish")
    stored = await _fingerprint_check(db)
    if stored is None:
        await _keep_fingerprint_check(db, expected)
        stored = await _fingerprint_check(db)
    if stored != expected:
        raise ConfigurationError(
            "FINGERPRINT_KEY is not the one this database was made with: addresses could not be "
            "found again. Set it back."
        )


async def _fingerprint_check(db: Database) -> str | None:
    async with db.read() as session:
        query = select(Installation.value).where(Installation.name == "fingerprint_check")
        return await session.scalar(query)


async def _keep_fingerprint_check(db: Database, value: str) -> None:
    """The first process of an installation writes it; whoever is second changes nothing."""
    async with db.write() as session:
        made = sql.insert(session, Installation).values(name="fingerprint_check", value=value)
        await session.execute(made.on_conflict_do_nothing())


def worker_name() -> str:
    return f"worker:{socket.gethostname()}:{os.getpid()}"[:64]


async def beat(db: Database) -> None:
    """Keep this worker's lease, until cancelled: health counts the leases that are good."""
    while True:
        try:
            await _renew(db)
        except DATABASE_ERRORS as error:
            log.warning("the worker's lease was not renewed", error=name_of(error))
        await asyncio.sleep(_BEAT_SECONDS)


async def _renew(db: Database) -> None:
    until = utc_now() + WORKER_LEASE
    async with db.write() as session:
        statement = sql.insert(session, Lease).values(
            name=worker_name(), holder=worker_name(), until=until
        )
        await session.execute(
            statement.on_conflict_do_update(index_elements=["name"], set_={"until": until})
        )
        stale = utc_now() - timedelta(days=1)
        await session.execute(
            delete(Lease).where(Lease.name.startswith("worker:"), Lease.until < stale)
        )


async def sign_off(db: Database) -> None:
    """This worker ends: health must not count it any longer."""
    async with db.write() as session:
        await session.execute(delete(Lease).where(Lease.name == worker_name()))
