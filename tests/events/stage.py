"""Three people (owner, member, outsider) before the real routers on a real database."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import httpx2
from fastapi import FastAPI
from sqlalchemy import select, update

from soonish.config import Settings
from soonish.domain.accounts import access_tokens, sessions
from soonish.identity.addresses import fingerprint_of
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.rate_limits.limits import RateLimits
from soonish.infra.temporal import Temporal
from soonish.kit.schemas import as_z
from soonish.web.api import events, notifications
from soonish.web.errors import install_error_handlers
from soonish.web.middleware.body_limits import LimitsMiddleware

PEOPLE = ("owner", "member", "outsider")


@dataclass
class Runtime:
    """What the application finds at `app.state.soonish`; nobody listens where Temporal should."""

    settings: Settings
    db: Database
    temporal: Temporal = field(init=False)
    limits: RateLimits = field(init=False)

    def __post_init__(self) -> None:
        self.limits = RateLimits(self.settings)
        self.reach_temporal("127.0.0.1:1")

    def reach_temporal(self, address: str) -> None:
        self.temporal = Temporal(self.settings.model_copy(update={"temporal_url": address}))


@dataclass
class Stage:
    runtime: Runtime
    client: httpx2.AsyncClient
    users: dict[str, User] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    @property
    def db(self) -> Database:
        return self.runtime.db

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


def make_app(runtime: Runtime) -> FastAPI:
    app = FastAPI()
    app.state.soonish = runtime
    app.include_router(events.router)
    app.include_router(notifications.router)
    install_error_handlers(app)
    app.add_middleware(LimitsMiddleware)
    return app


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
