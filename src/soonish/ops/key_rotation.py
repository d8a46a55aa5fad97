"""Rotate the encryption key, in steps that can each be repeated (docs/architecture.md#secrets).

add -> promote -> reencrypt -> drop. If the keys are in secrets.env, the steps write that file and
running processes follow it. Otherwise they check, and the environment is changed by hand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from cryptography.fernet import Fernet
from sqlalchemy import Column, Table, Text, bindparam, select, type_coerce, update

from soonish.config import Settings, is_from_file, read_secrets_file
from soonish.errors import Conflict
from soonish.infra.db import crypto, sql
from soonish.infra.db.models.installation import Installation
from soonish.infra.db.models.registry import Base
from soonish.infra.db.session import Database
from soonish.infra.db.types import Encrypted
from soonish.infra.secrets_file import replace_secret
from soonish.ops import key_watch

TARGET = "encryption_key_target"  # stores the id of the new key
BATCH = 200
PAUSE_SECONDS = 0.02  # between transactions: SQLite's writers do not take fair turns


class KeyRotation:
    """A rotation whose steps wait up to `wait` seconds for the other processes."""

    def __init__(self, db: Database, settings: Settings, wait: float = 60.0) -> None:
        self._db = db
        self._home = settings.soonish_home
        self._wait = wait
        self.by_file = is_from_file(key_watch.NAME)
        self.keys = (
            key_watch.split(read_secrets_file(self._home).get(key_watch.NAME, ""))
            if self.by_file
            else settings.encryption_keys
        )

    async def add(self) -> str:
        """Append a new key, so that it only decrypts; return it if it must be set by hand.

        During a rotation a second call changes nothing.
        """
        if len(self.keys) > 1:
            if await self._target() is None:
                await self._set_target(crypto.key_id(self.keys[-1]))
            return ""
        made = Fernet.generate_key().decode()
        if not self.by_file:
            return made
        await self._write([*self.keys, made])
        await self._set_target(crypto.key_id(made))
        return ""

    async def promote(self) -> None:
        """Put the new key first, once every process can decrypt with it.

        Raises Conflict if there is no new key, or a process does not know it.
        """
        target = await self._require_target()
        await self._wait_for_processes(lambda known: target in known, "does not know the new key")
        if self.by_file and crypto.key_id(self.keys[0]) != target:
            await self._write(sorted(self.keys, key=lambda key: crypto.key_id(key) != target))
        if self.by_file:
            await self._wait_for_processes(
                _encrypts_with(target), "does not encrypt with the new key"
            )

    async def reencrypt(self) -> int:
        """Re-encrypt values of older keys; return their number. Raises Conflict as promote."""
        await self._require_promoted()
        total = 0
        for table, column in encrypted_columns():
            total += await self._reencrypt(table, column)
        return total

    async def drop(self) -> int:
        """Drop all keys but the first; return their number. Raises Conflict if one is needed."""
        if len(self.keys) < 2:
            return 0
        await self._require_promoted()
        if left := await self.count_needing_older_keys():
            raise Conflict(f"{left} values still need an older key: run reencrypt first.")
        dropped = len(self.keys) - 1
        if self.by_file:
            await self._write(self.keys[:1])
        return dropped

    async def count_needing_older_keys(self) -> int:
        """Count the values that the first key cannot decrypt."""
        total = 0
        for table, column in encrypted_columns():
            after = 0
            while rows := await self._page(table, column, after):
                total += sum(not crypto.keyring().is_current(token) for _, token in rows)
                after = rows[-1][0]
        return total

    async def _require_target(self) -> str:
        if len(self.keys) < 2:
            raise Conflict("There is no new key: run add first.")
        return await self._target() or crypto.key_id(self.keys[-1])

    async def _require_promoted(self) -> None:
        """Wait until every process encrypts with the first key. Raises Conflict if one does not."""
        first = crypto.key_id(self.keys[0])
        target = await self._target() if self.by_file and len(self.keys) > 1 else first
        if target not in (None, first):
            raise Conflict("The new key is not the first one yet: run promote first.")
        await self._wait_for_processes(_encrypts_with(first), "does not encrypt with the new key")

    async def _reencrypt(self, table: Table, column: Column[Any]) -> int:
        total, after = 0, 0
        while rows := await self._page(table, column, after):
            old = [
                (row_id, token) for row_id, token in rows if not crypto.keyring().is_current(token)
            ]
            if old:
                total += await self._write_anew(table, column, old)
                await asyncio.sleep(PAUSE_SECONDS)
            after = rows[-1][0]
        return total

    async def _page(self, table: Table, column: Column[Any], after: int) -> list[tuple[int, str]]:
        raw = type_coerce(column, Text)
        query = select(table.c.id, raw).where(table.c.id > after, column.is_not(None))
        async with self._db.read() as session:
            rows = await session.execute(query.order_by(table.c.id).limit(BATCH))
            return [(row[0], row[1]) for row in rows]

    async def _write_anew(
        self, table: Table, column: Column[Any], rows: list[tuple[int, str]]
    ) -> int:
        """Write values that have not changed since; changed ones are encrypted with the new key."""
        ring, raw = crypto.keyring(), type_coerce(column, Text)
        query = (
            update(table)
            .where(table.c.id == bindparam("p_id"), raw == bindparam("p_old", type_=Text()))
            .values({column.name: type_coerce(bindparam("p_new", type_=Text()), Text)})
        )
        values = [
            {"p_id": row_id, "p_old": token, "p_new": ring.encrypt(ring.decrypt(token))}
            for row_id, token in rows
        ]
        async with self._db.write() as session:
            connection = await session.connection()
            done: Any = await connection.execute(query, values)
        return int(done.rowcount) if done.rowcount >= 0 else len(rows)

    async def _wait_for_processes(self, is_ready: Callable[[list[str]], bool], what: str) -> None:
        """Wait until every live process is ready. Raises Conflict that names the others."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._wait
        while late := sorted(
            name
            for name, known in (await key_watch.known_keys(self._db)).items()
            if not is_ready(known)
        ):
            if loop.time() > deadline:
                remedy = "run this again" if self.by_file else "restart it with the new setting"
                raise Conflict(f"{', '.join(late)} {what}: {remedy}.")
            await asyncio.sleep(0.2)

    async def _write(self, wanted: list[str]) -> None:
        """Write the keys to secrets.env and use them."""
        await asyncio.to_thread(replace_secret, self._home, key_watch.NAME, ",".join(wanted))
        self.keys = wanted
        crypto.replace_keys(wanted)

    async def _target(self) -> str | None:
        query = select(Installation.value).where(Installation.name == TARGET)
        known = {crypto.key_id(key) for key in self.keys}
        async with self._db.read() as session:
            found = await session.scalar(query)
        return found if found in known else None

    async def _set_target(self, target: str) -> None:
        async with self._db.write() as session:
            made = sql.insert(session, Installation).values(name=TARGET, value=target)
            await session.execute(
                made.on_conflict_do_update(index_elements=["name"], set_={"value": target})
            )


def encrypted_columns() -> list[tuple[Table, Column[Any]]]:
    """Return every encrypted column."""
    return [
        (table, column)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Encrypted)
    ]


def _encrypts_with(key: str) -> Callable[[list[str]], bool]:
    return lambda known: known[0] == key
