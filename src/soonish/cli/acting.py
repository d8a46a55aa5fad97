"""Shared parts of commands: the account they act as, and rows as plain data."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from soonish.cli.output import show_rows
from soonish.cli.running import run

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession
    from temporalio.client import Client

    from soonish.config import Settings
    from soonish.domain.events.queries import EventDetails
    from soonish.domain.notifications.schemas import NotificationOut
    from soonish.domain.subscriptions.schemas import SubscriberOut
    from soonish.infra.db.models.accounts import User
    from soonish.runtime import Runtime

SUBSCRIBER_COLUMNS = ("id", "address", "name", "status", "channels", "created_at")
_DISTANCE = re.compile(r"\+(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
INSTANT_HELP = (
    "ISO 8601 with an offset (2026-12-24T18:00:00+01:00), or a distance from now (+2h, +3d)."
)

_OPEN = ("pending", "sending", "retrying")


async def owner(session: AsyncSession, settings: Settings, address: str | None) -> User:
    """Return the account that owns a new event: this address, TEST_EMAIL, or that of `db seed`.

    Raise NotFound, or InvalidInput if none is given.
    """
    from soonish.cli import seeding
    from soonish.domain.accounts import operators
    from soonish.errors import InvalidInput, NotFound

    if address:
        return await operators.require_account(session, address)
    if settings.test_email:
        return (await operators.account_of(session, settings.test_email))[0]
    try:
        return await operators.require_account(session, seeding.ORGANIZER)
    except NotFound:
        message = "Give the address of an account, set TEST_EMAIL, or run `soonish db seed`."
        raise InvalidInput("owner", message) from None


def address_or_test_email(settings: Settings, address: str | None) -> str:
    """Return the address, else TEST_EMAIL. Raise InvalidInput without either."""
    from soonish.errors import InvalidInput

    if address or settings.test_email:
        return address or settings.test_email
    raise InvalidInput("email", "Give an address or set TEST_EMAIL.")


async def temporal_client(runtime: Runtime) -> Client:
    """Return a connected Temporal client. Raise Unavailable."""
    from temporalio.service import RPCError

    from soonish.errors import Unavailable
    from soonish.ops.health import server_version

    try:
        await server_version(runtime)
    except (RPCError, RuntimeError) as error:
        where = runtime.settings.temporal_address
        raise Unavailable(f"Temporal does not answer at {where}.") from error
    return await runtime.temporal.client()


def with_instants(wanted: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Return the values with dates parsed to instants."""
    names = ("start_date", "end_date")
    read = {n: _parse_instant(wanted[n], n, now) for n in names if n in wanted}
    return wanted | read


def _parse_instant(text: str, field: str, now: datetime) -> datetime:
    """Return the instant in UTC. Raise InvalidInput on `field`."""
    from soonish.errors import InvalidInput

    if match := _DISTANCE.fullmatch(text):
        return now + timedelta(**{_UNITS[match[2]]: int(match[1])})
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise InvalidInput(field, f"is not understood. {INSTANT_HELP}") from None
    if instant.tzinfo is None:
        raise InvalidInput(field, f"has no offset. {INSTANT_HELP}")
    return instant.astimezone(UTC)


def event_dict(found: EventDetails, settings: Settings) -> dict[str, Any]:
    """Return the event as the API shows it."""
    from soonish.domain.events.schemas import EventOut

    return EventOut.of(found, settings).model_dump(mode="json")


def notification_dict(one: NotificationOut) -> dict[str, Any]:
    from soonish.kit.schemas import as_z

    counts = {state: count for state, count in one.counts if count}
    return {
        "id": one.id,
        "kind": one.kind,
        "created_at": as_z(one.created_at),
        "completed_at": as_z(one.completed_at) if one.completed_at else None,
        "sent": counts.get("sent", 0),
        "open": sum(counts.get(state, 0) for state in _OPEN),
        "failed": counts.get("failed", 0),
        "counts": counts,
    }


def show_subscribers(as_json: bool, event_id: int) -> None:
    rows = run(lambda runtime: _subscribers(runtime, event_id))
    show_rows(as_json, rows, SUBSCRIBER_COLUMNS, "Nobody has subscribed.")


async def _subscribers(runtime: Runtime, event_id: int) -> list[dict[str, Any]]:
    from soonish.domain.events import queries as operators
    from soonish.domain.subscriptions.listing import SubscriberFilter, subscribers

    rows: list[dict[str, Any]] = []
    cursor, everybody = "", SubscriberFilter()
    async with runtime.db.read() as session:
        _, owner = await operators.with_owner(session, event_id)
        while cursor is not None:
            found = await subscribers(
                session, event_id, owner, everybody, limit=500, cursor=cursor or None
            )
            cursor = found.next_cursor
            rows += [_subscriber_dict(one) for one in found.items]
    return rows


def _subscriber_dict(one: SubscriberOut) -> dict[str, Any]:
    shown = one.model_dump(mode="json")
    return {name: shown[name] for name in SUBSCRIBER_COLUMNS}
