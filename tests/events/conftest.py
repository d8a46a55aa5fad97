"""`stage`: every test that uses it runs on SQLite and on PostgreSQL, on an empty database."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import text

from soonish.db import crypto, migrate
from soonish.db.models import Base
from soonish.db.session import Database
from tests.events.stage import PEOPLE, Parts, Stage, make_app
from tests.support.postgres import PostgresServer
from tests.support.settings import make_settings


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "soonish.db"
    migrate.upgrade(make_settings(path.parent, database_url=f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def migrated_postgres(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The URL of a migrated database, to be emptied."""
    url = postgres_server.create_database()
    migrate.upgrade(make_settings(tmp_path_factory.mktemp("home"), database_url=url))
    return url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgresql":
        return request.getfixturevalue("migrated_postgres")
    shutil.copy(request.getfixturevalue("migrated_sqlite"), tmp_path / "soonish.db")
    return f"sqlite:///{tmp_path}/soonish.db"


@pytest.fixture
async def stage(database_url: str, tmp_path: Path) -> AsyncGenerator[Stage]:
    settings = make_settings(tmp_path, database_url=database_url)
    crypto.configure(settings)
    db = Database(settings)
    await _empty(db)
    parts = Parts(settings, db)
    transport = httpx2.ASGITransport(app=make_app(parts))
    async with httpx2.AsyncClient(transport=transport, base_url=settings.base_url) as client:
        made = Stage(parts, client)
        for name in PEOPLE:
            await made.add_person(name)
        yield made
    await db.close()


async def _empty(db: Database) -> None:
    if db.is_sqlite:
        return
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    async with db.write() as session:
        await session.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
