"""Follow the encryption keys in secrets.env, and publish those that the process knows.

They are published in a lease, so that a rotation can wait for every process
(docs/architecture.md#secrets).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncGenerator
from datetime import timedelta

import structlog
from sqlalchemy import delete, select

from soonish.config import Settings, is_from_file, read_secrets_file
from soonish.infra.db import crypto, sql
from soonish.infra.db.errors import DATABASE_ERRORS, error_name
from soonish.infra.db.models.installation import Lease
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now

NAME = "ENCRYPTION_KEY"
PREFIX = "keys:"
LEASE = timedelta(seconds=30)
LOOK_SECONDS = 2.0
_PUBLISH_EVERY = 5  # looks
log = structlog.get_logger()


def split(value: str) -> list[str]:
    return [key.strip() for key in value.split(",") if key.strip()]


class KeyWatch:
    """Watches the keys of one long-lived process: the API or a worker."""

    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._home = settings.soonish_home
        self._name = f"{PREFIX}{socket.gethostname()}:{os.getpid()}"[:64]
        self._published: list[str] = []

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Publish the keys before the block, and follow them during it."""
        if is_from_file(NAME):
            crypto.on_unknown_key = self.follow
        await self._look(publish=True)
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            crypto.on_unknown_key = None
            with contextlib.suppress(*DATABASE_ERRORS):  # then the lease ends by itself
                await self._release_lease()

    def follow(self) -> bool:
        """Load the keys of the file if they changed; return whether they did."""
        if not is_from_file(NAME):
            return False
        try:
            keys = split(read_secrets_file(self._home).get(NAME, ""))
            if not keys or [crypto.key_id(key) for key in keys] == crypto.keyring().key_ids:
                return False
            crypto.replace_keys(keys)
        except (OSError, ValueError) as error:
            log.error("the encryption keys in secrets.env cannot be used", error=error_name(error))
            return False
        log.info("encryption keys changed", keys=crypto.keyring().key_ids)
        return True

    async def _run(self) -> None:
        turn = 0
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            turn += 1
            await self._look(publish=turn % _PUBLISH_EVERY == 0)

    async def _look(self, *, publish: bool) -> None:
        self.follow()
        known = crypto.keyring().key_ids
        if not publish and known == self._published:
            return
        try:
            await self._publish(known)
        except DATABASE_ERRORS as error:
            log.warning("the known keys were not published", error=error_name(error))

    async def _publish(self, known: list[str]) -> None:
        values = {"holder": ",".join(known)[:120], "until": utc_now() + LEASE}
        async with self._db.write() as session:
            statement = sql.insert(session, Lease).values(name=self._name, **values)
            await session.execute(
                statement.on_conflict_do_update(index_elements=["name"], set_=values)
            )
            stale = utc_now() - timedelta(days=1)
            await session.execute(
                delete(Lease).where(Lease.name.startswith(PREFIX), Lease.until < stale)
            )
        self._published = known

    async def _release_lease(self) -> None:
        async with self._db.write() as session:
            await session.execute(delete(Lease).where(Lease.name == self._name))


async def known_keys(db: Database) -> dict[str, list[str]]:
    """Return the ids of each live process's keys, starting with the one that encrypts."""
    live = select(Lease.name, Lease.holder).where(
        Lease.name.startswith(PREFIX), Lease.until > utc_now()
    )
    async with db.read() as session:
        rows = (await session.execute(live)).all()
    return {name.removeprefix(PREFIX): holder.split(",") for name, holder in rows}
