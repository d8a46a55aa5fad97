"""`World`: rows of users, events, subscriptions and channels, made without HTTP."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from soonish.config import Settings
from soonish.delivery.ledger import expansion
from soonish.domain.integrations.service import url_fingerprint
from soonish.identity.addresses import fingerprint_of
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.subscriptions import Subscription, SubscriptionSelector
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams
from soonish.workflow_types import EventPlan, HandItem


@dataclass
class World:
    """A database with people in it; every method is one transaction and returns detached rows."""

    db: Database
    settings: Settings
    _count: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    async def add(self, row: Any) -> Any:
        async with self.db.write() as session:
            session.add(row)
        return row

    async def user(self, address: str = "", **values: Any) -> User:
        address = address or f"person{next(self._count)}@example.com"
        values = {"is_verified": True, **values}
        return await self.add(
            User(email=address, email_fingerprint=fingerprint_of(address), **values)
        )

    async def event(self, *, starts_in: timedelta = timedelta(hours=48), **values: Any) -> Event:
        owner_id = values.pop("owner_user_id", None) or (await self.user(name="Olga")).id
        key = uuid.uuid4()
        given = {
            "name": "Summer party",
            "start_date": utc_now() + starts_in,
            "slug": f"party-{key}",
            "temporal_workflow_id": f"new-{key}",
            **values,
        }
        async with self.db.write() as session:
            event = Event(owner_user_id=owner_id, **given)
            session.add(event)
            await session.flush()
            event.temporal_workflow_id = streams.event(event.id)
        return event

    async def subscribe(
        self, event: Event, user: User | None = None, **values: Any
    ) -> Subscription:
        user = user or await self.user()
        return await self.add(Subscription(event_id=event.id, user_id=user.id, **values))

    async def crowd(self, event: Event, size: int) -> list[int]:
        """Subscribe so many new people; the subscriptions' ids."""
        async with self.db.write() as session:
            names = [f"crowd{next(self._count)}@example.com" for _ in range(size)]
            users = [User(email=n, email_fingerprint=fingerprint_of(n)) for n in names]
            session.add_all(users)
            await session.flush()
            rows = [Subscription(event_id=event.id, user_id=user.id) for user in users]
            session.add_all(rows)
        return [row.id for row in rows]

    async def channel(self, user_id: int, url: str, **values: Any) -> Integration:
        given = {"name": "Hook", "tag": "chat", "kind": "json", "target": "127.0.0.1", **values}
        return await self.add(
            Integration(
                user_id=user_id, apprise_url=url, url_fingerprint=url_fingerprint(url), **given
            )
        )

    async def through(self, event: Event, url: str, **values: Any) -> Subscription:
        """A new subscriber who is served through one channel with this URL."""
        user = await self.user()
        channel = await self.channel(user.id, url, **values)
        subscription = await self.subscribe(event, user)
        await self.add(
            SubscriptionSelector(subscription_id=subscription.id, integration_id=channel.id)
        )
        return subscription

    async def end(self, subscription_id: int, reason: str = "unsubscribed") -> None:
        async with self.db.write() as session:
            row = await session.get_one(Subscription, subscription_id)
            row.ended_at, row.end_reason = utc_now(), reason

    async def change(self, model: type[Any], row_id: int, **values: Any) -> None:
        async with self.db.write() as session:
            row = await session.get_one(model, row_id)
            for name, value in values.items():
                setattr(row, name, value)

    async def tell(self, event: Event, kind: str, payload: dict[str, Any]) -> None:
        """An outbox row of the event."""
        async with self.db.write() as session:
            outbox.add(session, event.temporal_workflow_id, kind, payload)

    async def notify(self, event: Event, **values: Any) -> Notification:
        """The organizer's message, as `notify` writes it."""
        given = {"title": "News", "body": "Bring a cake.", "created_at": utc_now(), **values}
        async with self.db.write() as session:
            row = Notification(
                event_id=event.id, kind="manual", dedup_key=f"manual:{uuid.uuid4()}", **given
            )
            session.add(row)
            await session.flush()
            outbox.add(
                session,
                event.temporal_workflow_id,
                streams.SEND_MANUAL_NOTIFICATION,
                {"notification_id": row.id},
            )
        return row

    async def expanded(
        self, event: Event, *, kind: str = "manual", expires_at: datetime | None = None,
        **values: Any,
    ) -> Notification:  # fmt: skip
        """A notification with its ledger rows for all that are subscribed now."""
        async with self.db.write() as session:
            row = await expansion.get_or_create(
                session,
                event_id=event.id,
                kind=kind,
                dedup_key=f"test:{uuid.uuid4()}",
                **{"title": "News", "body": "Hello.", "created_at": utc_now(), **values},
            )
            await expansion.expand(
                session,
                row,
                Subscription.event_id == event.id,
                now=utc_now(),
                expires_at=expires_at,
            )
        return row

    async def advance(
        self, event: Event, by_hand: Sequence[HandItem] = (), now: datetime | None = None
    ) -> EventPlan:
        """One call of the activity's transaction."""
        from soonish.worker.advance import Advance

        async with self.db.write() as session:
            found = await session.get_one(Event, event.id)
            return await Advance(session, found, self.settings, now or utc_now()).run(by_hand)

    async def rows(self, model: type[Any], *conditions: Any) -> Sequence[Any]:
        async with self.db.read() as session:
            return (
                await session.scalars(select(model).where(*conditions).order_by(model.id))
            ).all()

    async def one(self, model: type[Any], *conditions: Any) -> Any:
        (row,) = await self.rows(model, *conditions)
        return row

    async def deliveries(self, notification_id: int) -> Sequence[Delivery]:
        """By subscription: PostgreSQL may expand an audience in any order."""
        rows = await self.rows(Delivery, Delivery.notification_id == notification_id)
        return sorted(rows, key=lambda row: (row.subscription_id or 0, row.id))

    async def states(self, notification_id: int) -> list[str]:
        return [row.state for row in await self.deliveries(notification_id)]


@pytest.fixture
def world(database: Database, settings: Settings) -> World:
    """On SQLite and on PostgreSQL."""
    return World(database, settings)
