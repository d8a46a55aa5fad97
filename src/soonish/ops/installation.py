"""Check that all processes share the fingerprint key, and keep the leases of live workers."""

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
from soonish.infra.db.errors import DATABASE_ERRORS, error_name
from soonish.infra.db.models.installation import Installation, Lease
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now

WORKER_LEASE = timedelta(seconds=30)
_RENEW_SECONDS = 10.0
log = structlog.get_logger()


async def check_installation(settings: Settings) -> None:
    """Open the database and call `check_fingerprint_key`."""
    crypto.configure(settings)
    db = Database(settings)
    try:
        await check_fingerprint_key(db)
    finally:
        await db.close()


async def check_fingerprint_key(db: Database) -> None:
    """Raise ConfigurationError if FINGERPRINT_KEY is not the one this database was made with."""
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
    """Store the check value, unless another process did so first."""
    async with db.write() as session:
        made = sql.insert(session, Installation).values(name="fingerprint_check", value=value)
        await session.execute(made.on_conflict_do_nothing())


def worker_name() -> str:
    return f"worker:{socket.gethostname()}:{os.getpid()}"[:64]


async def keep_worker_lease(db: Database) -> None:
    """Renew this worker's lease until cancelled: health counts the valid leases."""
    while True:
        try:
            await _renew_lease(db)
        except DATABASE_ERRORS as error:
            log.warning("the worker's lease was not renewed", error=error_name(error))
        await asyncio.sleep(_RENEW_SECONDS)


async def _renew_lease(db: Database) -> None:
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


async def release_worker_lease(db: Database) -> None:
    """Release this worker's lease, so that health no longer counts it."""
    async with db.write() as session:
        await session.execute(delete(Lease).where(Lease.name == worker_name()))
