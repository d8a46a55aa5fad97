"""`scene`: the stage of tests/events with channels, subscriptions and reminders on it.

A folder's conftest imports `scene` and the fixtures it needs; each test then runs on SQLite and on
PostgreSQL.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Generator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx2
import pytest

from soonish.config import Settings
from soonish.delivery.transports.sender import Sender
from soonish.identity.signed_tokens import Purpose, make_token
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.web.api import (
    integrations,
    invitations,
    organizers,
    reminders,
    subscriptions,
    subscriptions_bulk,
)
from tests.events.stage import PEOPLE, Runtime, Stage, make_app
from tests.support.database import (
    database,
    database_url,
    migrated_postgres,
    migrated_sqlite,
    settings,
)
from tests.support.settings import make_settings

__all__ = [
    "Scene",
    "database",
    "database_url",
    "migrated_postgres",
    "migrated_sqlite",
    "scene",
    "sender",
    "settings",
]
LOOPBACK = ["127.0.0.0/8"]


@dataclass
class RuntimeWithSender(Runtime):
    sender: Sender | None = None


class Scene(Stage):
    async def add_channel(self, who: str, **fields: Any) -> dict[str, Any]:
        """One of the person's channels, active and untested unless the fields say otherwise."""
        body = {"name": "Chat", "apprise_url": "json://127.0.0.1:9/a", "tag": "chat", **fields}
        body.setdefault("verify", False)
        answer = await self.ask(who, "POST", "/api/integrations", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def subscribe_as(self, who: str, event_id: int, **body: Any) -> dict[str, Any]:
        answer = await self.ask(who, "POST", f"/api/events/{event_id}/subscribe", json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def kinds(self, event: dict[str, Any]) -> list[str]:
        """What Temporal is to be told of the event after its creation."""
        return [kind for kind, _ in (await self.outbox_of(event))[1:]]

    async def stream(self, stream: str) -> list[dict[str, Any]]:
        return [row.payload for row in await self.rows(OutboxRow, OutboxRow.stream == stream)]

    async def person(self, user_id: int) -> User:
        [user] = await self.rows(User, User.id == user_id)
        return user

    def token(
        self,
        purpose: Purpose,
        event_id: int,
        user: User,
        *,
        epoch: int = 0,
        issued_at: datetime | None = None,
    ) -> str:
        return make_token(
            self.runtime.settings.secret_key,
            purpose,
            event_id=event_id,
            user_id=user.id,
            epoch=epoch,
            issued_at=issued_at or utc_now(),
        )


@pytest.fixture(scope="session")
def sender(tmp_path_factory: pytest.TempPathFactory) -> Generator[Sender]:
    home = tmp_path_factory.mktemp("sender")
    made = Sender(make_settings(home, egress_allowed_networks=LOOPBACK), threads=4)
    yield made
    made.close()


@pytest.fixture
async def scene(settings: Settings, database: Database, sender: Sender) -> AsyncGenerator[Scene]:
    opened = settings.model_copy(update={"egress_allowed_networks": LOOPBACK})
    runtime = RuntimeWithSender(opened, database, sender=sender)
    app = make_app(runtime)
    for part in (
        integrations,
        subscriptions,
        subscriptions_bulk,
        reminders,
        organizers,
        invitations,
    ):
        app.include_router(part.router)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url=opened.base_url) as client:
        made = Scene(runtime, client)
        for name in PEOPLE:
            await made.add_person(name)
        yield made
