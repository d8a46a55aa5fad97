"""`scene`: the accounts API in an application of its own, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from soonish.config import Settings
from soonish.infra.db.session import Database
from tests.accounts.scene import Scene
from tests.support.database import (
    database,
    database_url,
    migrated_postgres,
    migrated_sqlite,
    settings,
)
from tests.web.conftest import site

__all__ = [
    "database",
    "database_url",
    "migrated_postgres",
    "migrated_sqlite",
    "scene",
    "settings",
    "site",
]


@pytest.fixture
async def scene(settings: Settings, database: Database) -> AsyncGenerator[Scene]:
    made = Scene(settings, database)
    yield made
    for client in made.clients:
        await client.aclose()
