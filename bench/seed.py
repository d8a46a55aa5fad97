"""Events with many subscribers, written straight into the database of a running system."""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from bench.harness import System
from soonish.config import Settings, load_settings
from soonish.domain.accounts import access_tokens, sessions
from soonish.domain.events import service as events
from soonish.domain.events.schemas import EventCreate
from soonish.infra.db import crypto
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.subscriptions import Subscription, SubscriptionSelector
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now

SUBSCRIBERS_AT_ONCE, EVENTS_AT_ONCE = 1000, 25
PAUSE = 0.02  # seconds between transactions: SQLite is not fair to the other writers
UrlOf = Callable[[int], str | None]  # of the subscriber's number; None: by mail
T = TypeVar("T")


def by_mail(number: int) -> None:
    """Every subscriber is reached by mail."""


@contextmanager
def _environment_of(running: System) -> Generator[None]:
    before = dict(os.environ)
    os.environ.update(running.environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def settings_of(running: System) -> Settings:
    """The settings of the running system, its secrets included."""
    with _environment_of(running):
        settings = load_settings()
    crypto.configure(settings)
    return settings


class Seed:
    """Organizers, events and subscribers; the events are made by the service, as the API does."""

    def __init__(self, running: System) -> None:
        self._settings = settings_of(running)

    def event(
        self, subscribers: int, url_of: UrlOf, starts_at: datetime | None = None
    ) -> tuple[int, str]:
        """(event id, bearer token of its organizer)."""
        return self.run(lambda db: self._event(db, subscribers, url_of, starts_at))

    def events(self, count: int, starts_at: datetime, url_of: UrlOf | None = None) -> list[int]:
        """The ids of many events of one organizer; with a subscriber each if `url_of` is given."""
        return self.run(lambda db: self._events(db, count, starts_at, url_of))

    def run(self, work: Callable[[Database], Coroutine[Any, Any, T]]) -> T:
        """Do something with the running system's database."""

        async def with_database() -> T:
            db = Database(self._settings)
            try:
                return await work(db)
            finally:
                await db.close()

        return asyncio.run(with_database())

    async def _event(
        self, db: Database, subscribers: int, url_of: UrlOf, starts_at: datetime | None
    ) -> tuple[int, str]:
        async with db.write() as session:
            owner, token = await self._organizer(session)
            event_id = await self._make_event(session, owner, starts_at or _next_month())
        for start in range(0, subscribers, SUBSCRIBERS_AT_ONCE):
            numbers = range(start, min(start + SUBSCRIBERS_AT_ONCE, subscribers))
            async with db.write() as session:
                await self._subscribe(session, dict.fromkeys(numbers, event_id), url_of)
            await asyncio.sleep(PAUSE)
        return event_id, token

    async def _events(
        self, db: Database, count: int, starts_at: datetime, url_of: UrlOf | None
    ) -> list[int]:
        async with db.write() as session:
            owner, _ = await self._organizer(session)
        made: list[int] = []
        while len(made) < count:
            async with db.write() as session:
                size = min(EVENTS_AT_ONCE, count - len(made))
                new = [await self._make_event(session, owner, starts_at) for _ in range(size)]
                if url_of:
                    await self._subscribe(session, dict(enumerate(new, len(made))), url_of)
            made += new
            await asyncio.sleep(PAUSE)
        return made

    async def _organizer(self, session: AsyncSession) -> tuple[User, str]:
        """A new organizer with a bearer token."""
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
        opened, _ = await sessions.start(session, self._settings, owner.id, None)
        return owner, access_tokens.issue(self._settings, opened).token

    async def _make_event(self, session: AsyncSession, owner: User, starts_at: datetime) -> int:
        data = EventCreate(name="Bench", start_date=starts_at)
        offsets = self._settings.default_reminders
        event = await events.create(session, owner, data, utc_now(), default_reminders=offsets)
        return event.id

    async def _subscribe(
        self, session: AsyncSession, event_of: dict[int, int], url_of: UrlOf
    ) -> None:
        """`event_of`: the event's id for each subscriber's number."""
        users = [_user(event_id, number) for number, event_id in event_of.items()]
        user_ids = await _insert(session, User, users)
        pairs = zip(event_of.values(), user_ids, strict=True)
        rows = [{"event_id": event_id, "user_id": user_id} for event_id, user_id in pairs]
        subscription_ids = await _insert(session, Subscription, rows)
        urls = map(url_of, event_of)
        with_channel = [
            (user_id, subscription_id, url)
            for user_id, subscription_id, url in zip(user_ids, subscription_ids, urls, strict=True)
            if url
        ]
        if with_channel:
            channels = [_channel(user_id, url) for user_id, _, url in with_channel]
            await session.execute(insert(Integration), channels)
            selectors = [{"subscription_id": one, "tag": "bench"} for _, one, _ in with_channel]
            await session.execute(insert(SubscriptionSelector), selectors)


async def _insert(
    session: AsyncSession, table: type[User | Subscription], rows: list[dict[str, Any]]
) -> list[int]:
    """The ids of the new rows, in the order of the rows."""
    made = insert(table).returning(table.id, sort_by_parameter_order=True)
    return list((await session.scalars(made, rows)).all())


def _next_month() -> datetime:
    return utc_now() + timedelta(days=30)


def _user(event_id: int, number: int) -> dict[str, str]:
    address = f"subscriber-{event_id}-{number}@example.com"
    return {"email": address, "email_fingerprint": crypto.fingerprint("email", address)}


def _channel(user_id: int, url: str) -> dict[str, object]:
    return {
        "user_id": user_id,
        "name": "bench",
        "apprise_url": url,
        "url_fingerprint": crypto.fingerprint("apprise_url", url),
        "tag": "bench",
        "kind": "json",
        "target": "127.0.0.1",
    }
