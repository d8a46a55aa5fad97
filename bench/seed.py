"""Events with many subscribers, written straight into the database of a running system."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import insert

from bench.harness import System
from soonish.accounts import access_tokens, sessions
from soonish.accounts.models import User
from soonish.config import Settings, load_settings
from soonish.db import crypto
from soonish.db.session import Database
from soonish.db.types import utc_now
from soonish.events.models import Event
from soonish.integrations.models import Integration
from soonish.subscriptions.models import Subscription, SubscriptionSelector

CHUNK = 1000


def settings_of(running: System) -> Settings:
    """The settings of the running system, its secrets included."""
    os.environ.update(running.environment)
    settings = load_settings()
    crypto.configure(settings)
    return settings


class Seed:
    """One organizer; `event(...)` makes an event with subscribers."""

    def __init__(self, running: System) -> None:
        self._settings = settings_of(running)

    def event(self, subscribers: int, url_of: Callable[[int], str | None]) -> tuple[int, str]:
        """(event id, bearer token of its organizer). `url_of(i)` None: by mail."""
        return asyncio.run(self._event(subscribers, url_of))

    async def _event(
        self, subscribers: int, url_of: Callable[[int], str | None]
    ) -> tuple[int, str]:
        db = Database(self._settings)
        try:
            event_id, token = await self._make_event(db)
            for start in range(0, subscribers, CHUNK):
                numbers = range(start, min(start + CHUNK, subscribers))
                await self._subscribe(db, event_id, {n: url_of(n) for n in numbers})
            return event_id, token
        finally:
            await db.close()

    async def _make_event(self, db: Database) -> tuple[int, str]:
        async with db.write() as session:
            address = f"organizer-{uuid.uuid4()}@example.com"
            owner = User(
                email=address,
                email_fingerprint=crypto.fingerprint("email", address),
                name="Organizer",
                is_verified=True,
                verified_at=utc_now(),
            )
            session.add(owner)
            await session.flush()
            event = Event(
                owner_user_id=owner.id,
                name="Bench",
                start_date=utc_now() + timedelta(days=30),
                slug=f"bench-{uuid.uuid4().hex[:12]}",
                temporal_workflow_id=f"pending-{uuid.uuid4()}",
            )
            session.add(event)
            await session.flush()
            event.temporal_workflow_id = f"event-{event.id}-{uuid.uuid4()}"
            opened, _ = await sessions.start(session, self._settings, owner.id, None)
            token = access_tokens.make(self._settings, opened).token
        return event.id, token

    async def _subscribe(self, db: Database, event_id: int, urls: dict[int, str | None]) -> None:
        async with db.write() as session:
            users = [self._user(event_id, number) for number in urls]
            ids = (await session.scalars(insert(User).returning(User.id), users)).all()
            rows = [{"event_id": event_id, "user_id": user_id} for user_id in ids]
            subscriptions = (
                await session.scalars(
                    insert(Subscription).returning(Subscription.id, sort_by_parameter_order=True),
                    rows,
                )
            ).all()
            channels = [
                self._channel(user_id, url)
                for user_id, url in zip(ids, urls.values(), strict=True)
                if url
            ]
            if not channels:
                return
            await session.execute(insert(Integration), channels)
            selectors = [
                {"subscription_id": subscription_id, "tag": "bench"}
                for subscription_id, url in zip(subscriptions, urls.values(), strict=True)
                if url
            ]
            await session.execute(insert(SubscriptionSelector), selectors)

    def _user(self, event_id: int, number: int) -> dict[str, str]:
        address = f"subscriber-{event_id}-{number}@example.com"
        return {"email": address, "email_fingerprint": crypto.fingerprint("email", address)}

    def _channel(self, user_id: int, url: str) -> dict[str, object]:
        return {
            "user_id": user_id,
            "name": "bench",
            "apprise_url": url,
            "url_fingerprint": crypto.fingerprint("apprise_url", url),
            "tag": "bench",
            "kind": "json",
            "target": "127.0.0.1",
        }
