"""The steps of a key rotation, each broken off and run again, on both databases."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from soonish.config import FROM_FILE, Settings, load_secrets_file, read_secrets_file
from soonish.errors import Conflict
from soonish.infra.db import crypto
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.installation import Lease
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.types import utc_now
from soonish.ops import key_rotation, key_watch
from soonish.ops.key_rotation import KeyRotation
from soonish.ops.key_watch import KeyWatch
from tests.support.database import (
    database,
    database_url,
    migrated_postgres,
    migrated_sqlite,
    settings,
)
from tests.support.settings import make_settings
from tests.support.wait import eventually
from tests.support.world import World, world

__all__ = [
    "database", "database_url", "migrated_postgres", "migrated_sqlite", "settings", "world",
]  # fmt: skip


class Stop(Exception):
    """Where the step is killed."""


@pytest.fixture
def home(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home whose secrets.env the process follows, as after `soonish up`."""
    path = settings.soonish_home / "secrets.env"
    path.write_text(f"SECRET_KEY=x\nENCRYPTION_KEY={settings.encryption_key}\nFINGERPRINT_KEY=y\n")
    monkeypatch.setenv(FROM_FILE, key_watch.NAME)
    return settings.soonish_home


def keys_in(home: Path) -> list[str]:
    return key_watch.split(read_secrets_file(home)[key_watch.NAME])


def start(world: World, wait: float = 0.0) -> KeyRotation:
    """As a command begins: with the keys of the file."""
    made = KeyRotation(world.db, world.settings, wait)
    crypto.replace_keys(made.keys)
    return made


async def plant(world: World, people: int = 3) -> None:
    for _ in range(people):
        user = await world.user()
        await world.channel(user.id, f"json://127.0.0.1/{user.id}")


async def all_readable(world: World) -> bool:
    """With the first key alone."""
    crypto.replace_keys(crypto_first(world))
    users, channels = await world.rows(User), await world.rows(Integration)
    return all(user.email for user in users) and all(one.apprise_url for one in channels)


def crypto_first(world: World) -> list[str]:
    return keys_in(world.settings.soonish_home)[:1]


async def test_all_steps(world: World, home: Path) -> None:
    await plant(world)
    [old] = keys_in(home)
    await start(world).add()
    assert keys_in(home)[0] == old
    await start(world).promote()
    assert keys_in(home)[1] == old
    assert await start(world).reencrypt() == 6
    assert await start(world).reencrypt() == 0
    assert await start(world).drop() == 1
    assert old not in keys_in(home)
    assert len(keys_in(home)) == 1
    assert await all_readable(world)
    path = home / "secrets.env"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_secrets_file(home)["SECRET_KEY"] == "x"


async def test_steps_out_of_order_are_refused(world: World, home: Path) -> None:
    await plant(world)
    with pytest.raises(Conflict, match="run add first"):
        await start(world).promote()
    assert await start(world).drop() == 0
    await start(world).add()
    before = keys_in(home)
    for step in (start(world).reencrypt, start(world).drop):
        with pytest.raises(Conflict, match="run promote first"):
            await step()
    await start(world).promote()
    with pytest.raises(Conflict, match="6 values still need an older key"):
        await start(world).drop()
    assert sorted(keys_in(home)) == sorted(before)


async def test_each_step_again_changes_nothing(world: World, home: Path) -> None:
    await plant(world)
    for name in ("add", "promote", "reencrypt", "drop"):
        await getattr(start(world), name)()
        once = keys_in(home)
        if name == "add":
            await start(world).add()
        elif name != "drop":
            await getattr(start(world), name)()
        else:
            assert await start(world).drop() == 0
        assert keys_in(home) == once


async def test_add_killed_before_it_noted_the_key(
    world: World, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def die(*_: object) -> None:
        raise Stop

    with monkeypatch.context() as patched:
        patched.setattr(KeyRotation, "_set_target", die)
        with pytest.raises(Stop):
            await start(world).add()
    left = keys_in(home)
    await start(world).add()
    assert keys_in(home) == left
    await start(world).promote()
    assert keys_in(home) == left[::-1]


async def test_reencrypt_killed_in_the_middle(
    world: World, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await plant(world)
    await start(world).add()
    await start(world).promote()
    monkeypatch.setattr(key_rotation, "BATCH", 2)
    write, calls = KeyRotation._write_anew, 0  # pyright: ignore[reportPrivateUsage]

    async def die_at_second(*arguments: object) -> int:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise Stop
        return await write(*arguments)  # pyright: ignore[reportArgumentType]

    with monkeypatch.context() as patched:
        patched.setattr(KeyRotation, "_write_anew", die_at_second)
        with pytest.raises(Stop):
            await start(world).reencrypt()
    with pytest.raises(Conflict, match="4 values"):
        await start(world).drop()
    assert await start(world).reencrypt() == 4
    await start(world).drop()
    assert await all_readable(world)


async def test_what_was_changed_meanwhile_stays_as_it_is(
    world: World, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await world.user("old@example.com")
    await start(world).add()
    await start(world).promote()
    write = KeyRotation._write_anew  # pyright: ignore[reportPrivateUsage]

    async def change_first(*arguments: object) -> int:
        await world.change(User, user.id, email="new@example.com")
        return await write(*arguments)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(KeyRotation, "_write_anew", change_first)
    await start(world).reencrypt()
    assert (await world.one(User, User.id == user.id)).email == "new@example.com"


async def test_promote_names_the_process_that_does_not_know(world: World, home: Path) -> None:
    await start(world).add()
    [old, new] = [crypto.key_id(key) for key in keys_in(home)]
    until = utc_now() + timedelta(minutes=1)
    await world.add(Lease(name="keys:host:7", holder=f"{old},{new}", until=until))
    await world.add(Lease(name="keys:host:8", holder=old, until=until))
    await world.add(Lease(name="keys:host:9", holder=old, until=utc_now() - timedelta(1)))
    with pytest.raises(Conflict, match=r"^host:8 does not know the new key"):
        await start(world).promote()
    assert crypto.key_id(keys_in(home)[0]) == old


async def test_reencrypt_waits_for_who_still_writes_with_the_old_key(
    world: World, home: Path
) -> None:
    await start(world).add()
    await start(world).promote()
    [new, old] = [crypto.key_id(key) for key in keys_in(home)]
    until = utc_now() + timedelta(minutes=1)
    await world.add(Lease(name="keys:host:7", holder=f"{old},{new}", until=until))
    for step in (start(world).reencrypt, start(world).drop):
        with pytest.raises(Conflict, match=r"^host:7 does not encrypt with the new key"):
            await step()


async def test_a_running_process_follows_the_file_and_says_so(world: World, home: Path) -> None:
    async with KeyWatch(world.db, world.settings).running():
        [[first]] = (await key_watch.known_keys(world.db)).values()
        extra = Fernet.generate_key().decode()
        key_rotation.replace_secret(
            home, key_watch.NAME, f"{extra},{world.settings.encryption_key}"
        )
        wanted = [crypto.key_id(extra), first]

        async def published() -> bool:
            return list((await key_watch.known_keys(world.db)).values()) == [wanted]

        await eventually(published, 10, "the new keys to be published")
        assert crypto.keyring().key_ids == wanted
    assert await key_watch.known_keys(world.db) == {}


async def test_a_value_of_a_newer_key_is_read_at_once(world: World, home: Path) -> None:
    async with KeyWatch(world.db, world.settings).running():
        extra = Fernet.generate_key().decode()
        foreign = crypto.keyring().with_keys([extra]).encrypt("hello")
        key_rotation.replace_secret(
            home, key_watch.NAME, f"{world.settings.encryption_key},{extra}"
        )
        assert crypto.decrypt(foreign) == "hello"


async def test_a_file_that_cannot_be_used_changes_nothing(world: World, home: Path) -> None:
    watch = KeyWatch(world.db, world.settings)
    before = crypto.keyring().key_ids
    for value in ("", "nonsense"):
        key_rotation.replace_secret(home, key_watch.NAME, value)
        assert watch.follow() is False
    assert crypto.keyring().key_ids == before


async def test_keys_of_the_environment_are_not_written_anywhere(
    world: World, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FROM_FILE)
    before = (home / "secrets.env").read_text()
    made = await KeyRotation(world.db, world.settings, 0).add()
    assert Fernet(made)
    both = f"{world.settings.encryption_key},{made}"
    two = make_settings(home, database_url=world.settings.database_url, encryption_key=both)
    await KeyRotation(world.db, two, 0).promote()
    assert (home / "secrets.env").read_text() == before


def test_a_child_takes_the_key_of_the_file_not_that_of_its_parent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(key_watch.NAME, "")
    monkeypatch.delenv(FROM_FILE, raising=False)
    (tmp_path / "secrets.env").write_text("ENCRYPTION_KEY=one\n")
    load_secrets_file(tmp_path)
    (tmp_path / "secrets.env").write_text("ENCRYPTION_KEY=two\n")
    load_secrets_file(tmp_path)
    assert os.environ[key_watch.NAME] == "two"
    monkeypatch.setenv(key_watch.NAME, "given")
    monkeypatch.delenv(FROM_FILE)
    load_secrets_file(tmp_path)
    assert os.environ[key_watch.NAME] == "given"


def test_every_encrypted_column_is_rotated() -> None:
    found = {f"{table.name}.{column.name}" for table, column in key_rotation.encrypted_columns()}
    assert found == {"users.email", "integrations.apprise_url"}
