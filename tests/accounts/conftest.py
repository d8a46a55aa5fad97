"""`scene`: the accounts API in an application of its own, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest

from soonish.config import Settings
from soonish.delivery.transports.sender import Sender
from soonish.infra.db.session import Database
from tests.accounts.scene import Scene


@pytest.fixture
async def scene(settings: Settings, database: Database, sender: Sender) -> AsyncGenerator[Scene]:
    made = Scene(settings, database, sender)
    yield made
    for client in made.clients:
        await client.aclose()
