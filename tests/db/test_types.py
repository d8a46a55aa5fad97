"""Instants and secrets in columns, and the keys that belong to a database."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import select, text
from sqlalchemy.exc import StatementError

from soonish.config import Settings
from soonish.errors import ConfigurationError
from soonish.infra.db import crypto
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.installation import Lease
from soonish.infra.db.session import Database
from soonish.ops import installation
from tests.support.settings import make_settings
from tests.support.world import World


async def test_an_instant_comes_back_in_utc(database: Database) -> None:
    at = datetime(2026, 11, 23, 1, 2, 3, 456_789, timezone(timedelta(hours=2)))
    async with database.write() as session:
        session.add(Lease(name="a", holder="h", until=at))
    async with database.read() as session:
        found = (await session.scalars(select(Lease.until).where(Lease.until == at))).one()
    assert found == at
    assert found.tzinfo is UTC


async def test_a_time_without_its_zone_is_refused(database: Database) -> None:
    naive = datetime(2026, 11, 23)  # noqa: DTZ001 (what is refused)
    with pytest.raises(StatementError, match="without its timezone"):
        async with database.write() as session:
            session.add(Lease(name="a", holder="h", until=naive))


async def test_instants_are_in_order_whatever_their_fraction(database: Database) -> None:
    whole = datetime(2026, 1, 1, tzinfo=UTC)
    times = [whole, whole + timedelta(microseconds=1), whole + timedelta(seconds=1)]
    async with database.write() as session:
        session.add_all(Lease(name=str(n), holder="h", until=t) for n, t in enumerate(times))
    async with database.read() as session:
        assert list(await session.scalars(select(Lease.until).order_by(Lease.until))) == times
        later = select(Lease.name).where(Lease.until > whole).order_by(Lease.name)
        assert list(await session.scalars(later)) == ["1", "2"]


async def stored(database: Database) -> list[str]:
    async with database.read() as session:
        return list(await session.scalars(text("SELECT email FROM users ORDER BY id")))


async def test_an_address_is_encrypted_differently_each_time(world: World) -> None:
    first = await world.user("ada@example.com")
    await world.change(User, first.id, email_fingerprint="other")
    await world.user("ada@example.com")
    one, two = await stored(world.db)
    assert one != two
    assert "@" not in one + two, "no letter of an address is sure not to be in base64, its @ is"
    assert [user.email for user in await world.rows(User)] == ["ada@example.com"] * 2


async def test_nothing_stays_nothing(world: World) -> None:
    user = await world.user("ada@example.com")
    await world.change(User, user.id, email=None)
    assert await stored(world.db) == [None]
    assert (await world.one(User)).email is None


async def test_a_new_key_encrypts_and_the_old_one_still_reads(
    world: World, settings: Settings
) -> None:
    await world.user("ada@example.com")
    keys = f"{Fernet.generate_key().decode()},{settings.encryption_key}"
    crypto.configure(make_settings(settings.soonish_home, encryption_key=keys))
    await world.user("bob@example.com")
    assert [u.email for u in await world.rows(User)] == ["ada@example.com", "bob@example.com"]
    crypto.configure(settings)
    with pytest.raises(ConfigurationError, match="ENCRYPTION_KEY"):
        await world.rows(User)


def test_fingerprints_differ_by_purpose_and_key() -> None:
    key = base64.urlsafe_b64encode(b"k" * 32).decode()
    ring, other = crypto.Keyring([key], "f" * 32), crypto.Keyring([key], "g" * 32)
    assert len(ring.fingerprint("email", "a")) == 64
    assert ring.fingerprint("email", "a") == ring.fingerprint("email", "a")
    assert len({ring.fingerprint("email", "a"), ring.fingerprint("url", "a"),
                other.fingerprint("email", "a"), ring.fingerprint("email", "b")}) == 4  # fmt: skip


async def test_another_fingerprint_key_is_refused(database: Database, settings: Settings) -> None:
    await installation.check_fingerprint_key(database)
    await installation.check_fingerprint_key(database)
    crypto.configure(make_settings(settings.soonish_home, fingerprint_key="another-key-" * 4))
    try:
        with pytest.raises(ConfigurationError, match="FINGERPRINT_KEY"):
            await installation.check_fingerprint_key(database)
    finally:
        crypto.configure(settings)
    await installation.check_fingerprint_key(database)
