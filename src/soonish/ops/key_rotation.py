"""Rotation of the encryption key, in steps that can each be repeated.

add -> promote -> reencrypt -> drop. Where the keys are in secrets.env the steps write that file,
and running processes follow it. Elsewhere they check, and say what to change in the environment.

See docs/architecture.md#secrets.
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

TARGET = "encryption_key_target"  # the id of the key that a rotation leads to
BATCH = 200
PAUSE_SECONDS = 0.02  # between transactions: SQLite's writers do not take fair turns


class Rotation:
    """`wait` is for how many seconds a step waits for the other processes."""

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
        """A new key, last, so that it only decrypts. Returns it where it must be set by hand,
        else nothing. A second time while a rotation is under way it changes nothing."""
        if len(self.keys) > 1:
            if await self._target() is None:
                await self._aim_at(crypto.key_id(self.keys[-1]))
            return ""
        made = Fernet.generate_key().decode()
        if not self.by_file:
            return made
        await self._write([*self.keys, made])
        await self._aim_at(crypto.key_id(made))
        return ""

    async def promote(self) -> None:
        """The new key first, once every process can read with it.

        Raises Conflict: there is no new key, or these processes do not know it.
        """
        target = await self._require_target()
        await self._until(lambda known: target in known, "does not know the new key")
        if self.by_file and crypto.key_id(self.keys[0]) != target:
            await self._write(sorted(self.keys, key=lambda key: crypto.key_id(key) != target))
        if self.by_file:
            await self._until(_encrypts_with(target), "does not encrypt with the new key")

    async def reencrypt(self) -> int:
        """Write anew what an older key encrypted; how many values. Raises Conflict as promote."""
        await self._require_promoted()
        total = 0
        for table, column in encrypted_columns():
            total += await self._reencrypt(table, column)
        return total

    async def drop(self) -> int:
        """Forget all keys but the first; how many. Raises Conflict while a row needs another."""
        if len(self.keys) < 2:
            return 0
        await self._require_promoted()
        if left := await self.needing_older_keys():
            raise Conflict(f"{left} values still need an older key: run reencrypt first.")
        dropped = len(self.keys) - 1
        if self.by_file:
            await self._write(self.keys[:1])
        return dropped

    async def needing_older_keys(self) -> int:
        """How many values the first key cannot read."""
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
        """Every process writes with the first key, so that nothing older comes after this."""
        first = crypto.key_id(self.keys[0])
        target = await self._target() if self.by_file and len(self.keys) > 1 else first
        if target not in (None, first):
            raise Conflict("The new key is not the first one yet: run promote first.")
        await self._until(_encrypts_with(first), "does not encrypt with the new key")

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
        """Only where it is still what was read: whoever changed it meanwhile used the new key."""
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

    async def _until(self, is_ready: Callable[[list[str]], bool], what: str) -> None:
        """Wait until every living process is ready. Raises Conflict, which names the others."""
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
        """The whole file at once, or as it was."""
        await asyncio.to_thread(replace_secret, self._home, key_watch.NAME, ",".join(wanted))
        self.keys = wanted
        crypto.replace_keys(wanted)

    async def _target(self) -> str | None:
        query = select(Installation.value).where(Installation.name == TARGET)
        known = {crypto.key_id(key) for key in self.keys}
        async with self._db.read() as session:
            found = await session.scalar(query)
        return found if found in known else None

    async def _aim_at(self, target: str) -> None:
        async with self._db.write() as session:
            made = sql.insert(session, Installation).values(name=TARGET, value=target)
            await session.execute(
                made.on_conflict_do_update(index_elements=["name"], set_={"value": target})
            )


def encrypted_columns() -> list[tuple[Table, Column[Any]]]:
    """Every column that holds what the keys encrypted."""
    return [
        (table, column)
        for table in Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, Encrypted)
    ]


def _encrypts_with(key: str) -> Callable[[list[str]], bool]:
    return lambda known: known[0] == key
