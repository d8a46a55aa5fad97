"""`stage`: every test that uses it runs on SQLite and on PostgreSQL, on an empty database."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import httpx2
import pytest

from soonish.config import Settings
from soonish.infra.db.session import Database
from tests.events.stage import PEOPLE, Runtime, Stage, make_app
from tests.support.database import (
    database,
    database_url,
    migrated_postgres,
    migrated_sqlite,
    settings,
)

__all__ = ["database", "database_url", "migrated_postgres", "migrated_sqlite", "settings", "stage"]


@pytest.fixture
async def stage(settings: Settings, database: Database) -> AsyncGenerator[Stage]:
    parts = Runtime(settings, database)
    transport = httpx2.ASGITransport(app=make_app(parts))
    async with httpx2.AsyncClient(transport=transport, base_url=settings.base_url) as client:
        made = Stage(parts, client)
        for name in PEOPLE:
            await made.add_person(name)
        yield made
