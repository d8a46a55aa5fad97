"""An empty, migrated database for each test, on SQLite and on PostgreSQL.

A test that asks for `database` runs twice.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from sqlalchemy import text

from soonish.config import Settings
from soonish.infra.db import crypto, migrate
from soonish.infra.db.models.registry import Base
from soonish.infra.db.session import Database
from tests.support.postgres import PostgresServer
from tests.support.settings import make_settings


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that the migrations made, to be copied."""
    path = tmp_path_factory.mktemp("template") / "soonish.db"
    migrate.upgrade(make_settings(path.parent, database_url=f"sqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def migrated_postgres(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The URL of a database that the migrations made, to be emptied before each test."""
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
def settings(database_url: str, tmp_path: Path) -> Settings:
    """Settings with secrets and this test's database; the process's keyring is theirs."""
    made = make_settings(tmp_path, database_url=database_url)
    crypto.configure(made)
    return made


@pytest.fixture
async def database(settings: Settings) -> AsyncGenerator[Database]:
    """An empty database of the newest schema."""
    db = Database(settings)
    if not db.is_sqlite:
        await _empty(db)
    yield db
    await db.close()


async def _empty(db: Database) -> None:
    tables = ", ".join(table.name for table in Base.metadata.sorted_tables)
    async with db.write() as session:
        await session.execute(text(f"TRUNCATE {tables} RESTART IDENTITY CASCADE"))
