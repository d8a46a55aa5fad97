"""`scene`: owner, member and outsider before the whole API, on SQLite and on PostgreSQL.

Nobody listens where Temporal should be, and nobody is told of a commit: what the API accepts waits
in the outbox.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Generator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, update

from soonish.app import make_app
from soonish.config import Settings
from soonish.delivery.transports.mail.service import ServiceMail
from soonish.delivery.transports.sender import Sender
from soonish.domain.accounts import access_tokens, sessions
from soonish.identity.addresses import fingerprint_of
from soonish.identity.signed_tokens import Purpose, make_token
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.outbox.relay import Relay
from soonish.infra.rate_limits.limits import RateLimits
from soonish.infra.temporal import Temporal
from soonish.kit.schemas import as_z
from soonish.runtime import Runtime
from tests.support.settings import make_settings

PEOPLE = ("owner", "member", "outsider")
LOOPBACK = ["127.0.0.0/8"]


@dataclass
class ApiClient:
    """People who ask the API with bearer tokens, and the rows that it wrote."""

    runtime: Runtime
    client: httpx2.AsyncClient
    users: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def db(self) -> Database:
        return self.runtime.db

    def reach_temporal(self, address: str) -> None:
        at = self.runtime.settings.model_copy(update={"temporal_url": address})
        self.runtime.temporal = Temporal(at)

    async def add_person(self, name: str, *, verified: bool = True) -> User:
        address = f"{name}@example.com"
        async with self.db.write() as session:
            user = User(
                email=address, email_fingerprint=fingerprint_of(address), is_verified=verified
            )
            session.add(user)
            await session.flush()
            row, _ = await sessions.start(session, self.runtime.settings, user.id, None)
        self.users[name] = user
        self.tokens[name] = access_tokens.issue(self.runtime.settings, row).token
        return user

    async def ask(
        self, who: str | None, method: str, path: str, **arguments: Any
    ) -> httpx2.Response:
        headers = dict(arguments.pop("headers", {}))
        if who:
            headers["Authorization"] = f"Bearer {self.tokens[who]}"
        return await self.client.request(method, path, headers=headers, **arguments)

    async def make_event(self, **fields: Any) -> dict[str, Any]:
        body = {"name": "Summer party", "start_date": in_hours(48), **fields}
        answer = await self.ask("owner", "POST", "/api/events", json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def subscribe(self, event_id: int, name: str = "member", **values: Any) -> int:
        async with self.db.write() as session:
            row = Subscription(event_id=event_id, user_id=self.users[name].id, **values)
            session.add(row)
        return row.id

    async def change(self, event_id: int, **values: Any) -> None:
        """Set columns that no request could set, such as a start in the past."""
        async with self.db.write() as session:
            event = await session.get_one(Event, event_id)
            for name, value in values.items():
                setattr(event, name, value)

    async def rows(self, model: type[Any], *conditions: Any) -> Sequence[Any]:
        async with self.db.read() as session:
            return (await session.scalars(select(model).where(*conditions))).all()

    async def outbox_of(self, event: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
        """(kind, payload) of what Temporal is to be told about the event, in order."""
        stream = event["temporal_workflow_id"]
        rows = await self.rows(OutboxRow, OutboxRow.stream == stream)
        return [(row.kind, row.payload) for row in sorted(rows, key=lambda row: row.id)]

    async def mark_outbox_done(self, event: dict[str, Any]) -> None:
        stream = event["temporal_workflow_id"]
        async with self.db.write() as session:
            told = update(OutboxRow).where(OutboxRow.stream == stream)
            await session.execute(told.values(done_at=utc_now()))

    async def add_notification(self, event_id: int, **values: Any) -> int:
        async with self.db.write() as session:
            key = f"test:{uuid.uuid4()}"
            given = {"kind": "manual", "title": "News", "dedup_key": key, **values}
            row = Notification(event_id=event_id, **given)
            session.add(row)
        return row.id

    async def add_delivery(self, notification_id: int, name: str = "member", **values: Any) -> int:
        async with self.db.write() as session:
            given = {"target_key": "mail", **values}
            user_id = self.users[name].id
            row = Delivery(notification_id=notification_id, user_id=user_id, **given)
            session.add(row)
        return row.id

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
async def scene(
    settings: Settings, database: Database, sender: Sender
) -> AsyncGenerator[ApiClient]:
    settings.egress_allowed_networks = LOOPBACK
    settings.temporal_url = "127.0.0.1:1"
    runtime = quiet_runtime(settings, database, sender)
    transport = httpx2.ASGITransport(app=make_app(runtime))
    async with httpx2.AsyncClient(transport=transport, base_url=settings.base_url) as client:
        made = ApiClient(runtime, client)
        for name in PEOPLE:
            await made.add_person(name)
        yield made


def quiet_runtime(settings: Settings, db: Database, sender: Sender) -> Runtime:
    """The parts of a process, with a relay that hears of no commit."""
    temporal = Temporal(settings)
    return Runtime(
        settings,
        db,
        temporal,
        Relay(db, temporal, settings),
        sender,
        ServiceMail(settings),
        RateLimits(settings),
    )


def in_hours(hours: float) -> str:
    return as_z(instant(hours))


def instant(hours: float) -> datetime:
    return utc_now() + timedelta(hours=hours)


def fields_of(answer: httpx2.Response) -> list[str]:
    """The fields that a 422 names."""
    assert answer.status_code == 422, (answer.status_code, answer.text)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["errors"], answer.text
    return [error["field"] for error in answer.json()["errors"]]


def code_of(answer: httpx2.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    return answer.status_code, answer.json()["code"]
