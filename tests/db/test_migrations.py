"""One history for both databases, and it makes exactly what the models say."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import IntegrityError

from soonish.config import SECRET_NAMES, Settings
from soonish.infra.db import migrate
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.registry import Base
from soonish.infra.db.session import Database
from tests.support.settings import make_settings
from tests.support.world import World


@pytest.fixture(params=["sqlite", "postgresql"])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    """Settings of a database without any table."""
    url = f"sqlite:///{tmp_path}/fresh.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    return make_settings(tmp_path, database_url=url)


async def in_thread(function: Any, *arguments: Any) -> Any:
    """Alembic runs an event loop of its own."""
    return await asyncio.to_thread(function, *arguments)


async def ask(settings: Settings, question: Any) -> Any:
    db = Database(settings)
    async with db.engine.connect() as connection:
        answer = await connection.run_sync(question)
    await db.close()
    return answer


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def test_upgrade_check_and_downgrade(empty: Settings) -> None:
    await in_thread(migrate.upgrade, empty)
    assert await ask(empty, tables) == {*Base.metadata.tables, "alembic_version"}
    await in_thread(migrate.check, empty)
    await in_thread(migrate.upgrade, empty)  # again changes nothing
    await in_thread(command.downgrade, migrate.alembic_config(empty), "base")
    assert await ask(empty, tables) == {"alembic_version"}
    await in_thread(migrate.upgrade, empty)


async def test_check_sees_a_difference(empty: Settings) -> None:
    await in_thread(migrate.upgrade, empty)
    db = Database(empty)
    async with db.engine.begin() as connection:
        await connection.execute(text("DROP INDEX ix_deliveries_user_id"))
    await db.close()
    with pytest.raises(Exception, match="ix_deliveries_user_id"):
        await in_thread(migrate.check, empty)


def index_names(connection: Connection) -> set[str]:
    """From the catalogue: reflection leaves SQLite's indexes of expressions out."""
    query = {
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL",
        "postgresql": "SELECT indexname FROM pg_indexes WHERE schemaname = 'public'"
        " AND indexname LIKE ANY (ARRAY['ix%', 'uq%'])",
    }[connection.dialect.name]
    return set(connection.scalars(text(query)))


async def test_every_index_of_the_models_is_there(empty: Settings) -> None:
    """What `alembic check` cannot see on SQLite: an index of an expression."""
    await in_thread(migrate.upgrade, empty)
    wanted = {str(i.name) for table in Base.metadata.tables.values() for i in table.indexes}
    assert "uq_deliveries_recipient_target" in wanted
    assert wanted <= await ask(empty, index_names)


async def test_one_row_per_notification_recipient_and_target(world: World) -> None:
    """The index that makes an expansion repeatable, with and without a subscription."""
    event = await world.event()
    subscription = await world.subscribe(event)
    notification = await world.add(
        Notification(event_id=event.id, kind="manual", dedup_key="manual:1")
    )
    own = {"notification_id": notification.id, "user_id": subscription.user_id}
    for values in ({"subscription_id": subscription.id}, {}):
        await world.add(Delivery(target_key="mail", **own, **values))
        await world.add(Delivery(target_key="other", **own, **values))
        with pytest.raises(IntegrityError):
            await world.add(Delivery(target_key="mail", **own, **values))


async def test_the_schema_that_the_tests_use_is_the_migrations(database: Database) -> None:
    async with database.engine.connect() as connection:
        wanted = {str(i.name) for table in Base.metadata.tables.values() for i in table.indexes}
        assert wanted <= await connection.run_sync(index_names)


def test_a_server_that_imports_the_app_says_in_one_line_what_is_missing(tmp_path: Path) -> None:
    outside = {k: v for k, v in os.environ.items() if k not in SECRET_NAMES}
    environment = outside | {"SOONISH_HOME": str(tmp_path), "DATABASE_URL": ""}
    command = [Path(sys.executable).with_name("uvicorn"), "soonish.app:app", "--port", "0"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.startswith("SECRET_KEY is missing.")
    assert done.stderr.count("\n") == 1


def test_alembic_alone_prepares_a_home_for_api_and_workers(tmp_path: Path) -> None:
    """`uv run alembic upgrade head`, then `uvicorn soonish.app:app`, as CONTRIBUTING has it."""
    outside = {k: v for k, v in os.environ.items() if k not in SECRET_NAMES}
    environment = outside | {"SOONISH_HOME": str(tmp_path), "DATABASE_URL": ""}
    for arguments in (
        ["alembic", "upgrade", "head"],
        ["python", "-c", "from soonish.app import app"],
    ):
        done = subprocess.run(
            [Path(sys.executable).with_name(arguments[0]), *arguments[1:]],
            env=environment,
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "secrets.env").stat().st_mode & 0o777 == 0o600
