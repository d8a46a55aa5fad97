"""The data `db seed` adds and `db reset` removes. Development only."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.config import Settings
from soonish.delivery.transports.apprise.urls import check_url
from soonish.domain.accounts import operators
from soonish.domain.events import queries
from soonish.domain.events import service as events
from soonish.domain.events.schemas import EventCreate
from soonish.domain.integrations import queries as channel_queries
from soonish.domain.integrations import service as channels
from soonish.domain.integrations.schemas import IntegrationCreate, IntegrationPatch
from soonish.domain.subscriptions import service as subscriptions
from soonish.domain.subscriptions.anonymous import AnonymousRequest, subscribe_address
from soonish.domain.subscriptions.schemas import Selection
from soonish.errors import ConfigurationError
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.registry import Base
from soonish.infra.db.types import utc_now
from soonish.runtime import Runtime

ORGANIZER = "organizer@example.com"
MEMBER = "member@example.com"
ANONYMOUS = "subscriber@example.com"
EVENTS = (
    ("Summer party", timedelta(days=14), "In the garden. Bring something to drink.", "social"),
    ("Monthly meeting", timedelta(days=3), "What has happened, and what comes next.", "work"),
)
Row = dict[str, Any]


async def seed(runtime: Runtime) -> list[Row]:
    """Create the missing development data; return a row for each thing, `made` if it is new."""
    _require_development(runtime.settings)
    async with runtime.db.write() as session:
        organizer, rows = await _person(session, ORGANIZER, "Olivia Organizer")
        member, more = await _person(session, MEMBER, "Max Member")
        rows += more + await _channel(session, runtime.settings, member)
        for name, ahead, description, category in EVENTS:
            event, made = await _event(
                session, runtime.settings, organizer, name, ahead, description, category
            )
            rows += made
            ada = AnonymousRequest(event.id, ANONYMOUS, "Ada Anonymous")
            await subscribe_address(session, ada, utc_now(), double_opt_in=False)
            await subscriptions.subscribe_user(session, event.id, member, Selection(), utc_now())
    return rows


async def drop_everything(runtime: Runtime) -> None:
    """Drop every table, including the migrations' own."""
    _require_development(runtime.settings)
    async with runtime.db.engine.begin() as connection:
        await connection.run_sync(Base.metadata.drop_all)
        await connection.execute(text("DROP TABLE IF EXISTS alembic_version"))


def _require_development(settings: Settings) -> None:
    if settings.production:
        raise ConfigurationError("This is for development only; ENVIRONMENT is production.")


async def _person(session: AsyncSession, address: str, name: str) -> tuple[User, list[Row]]:
    user, made = await operators.account_of(session, address, name=name)
    return user, [_row("user", user.id, address, made)]


async def _channel(session: AsyncSession, settings: Settings, user: User) -> list[Row]:
    """Add an example channel, switched off so that no message leaves the machine."""
    present = await channel_queries.list_with_owners(session, user.id)
    if present:
        return [_channel_row(present[0][0], made=False)]
    url = f"ntfys://ntfy.sh/soonish-{secrets.token_hex(8)}"
    wanted = IntegrationCreate(name="Phone", apprise_url=url, tag="phone", verify=False)
    channel = await channels.create(session, user, wanted, check_url(url, settings))
    off = IntegrationPatch(is_active=False)
    return [_channel_row(await channels.update(session, user, channel.id, off, None), made=True)]


async def _event(
    session: AsyncSession,
    settings: Settings,
    organizer: User,
    name: str,
    ahead: timedelta,
    description: str,
    category: str,
) -> tuple[Event, list[Row]]:
    now = utc_now()
    event = await queries.upcoming_by_name(session, organizer.id, name, now)
    made = event is None
    if event is None:
        start = (now + ahead).replace(minute=0, second=0, microsecond=0)
        wanted = EventCreate(
            name=name,
            start_date=start,
            end_date=start + timedelta(hours=3),
            description=description,
            location="Community centre",
            category=category,
            tags=["example"],
        )
        offsets = settings.default_reminders
        event = await events.create(session, organizer, wanted, now, default_reminders=offsets)
    return event, [_row("event", event.id, event.name, made)]


def _channel_row(channel: Integration, made: bool) -> Row:
    return _row("integration", channel.id, f"{channel.name} ({channel.kind})", made)


def _row(what: str, row_id: int, name: str, made: bool) -> Row:
    return {"what": what, "id": row_id, "name": name, "made": made}
