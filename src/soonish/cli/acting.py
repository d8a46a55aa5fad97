"""What several commands share: whose name they act in, and how rows become plain data."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from soonish.cli.instants import parse_instant
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
_OPEN = ("pending", "sending", "retrying")


async def owner(session: AsyncSession, settings: Settings, address: str | None) -> User:
    """The account a new event belongs to: of this address, of TEST_EMAIL, or that of `db seed`.

    Raises NotFound, and InvalidInput where nothing says who.
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
    """The address, else TEST_EMAIL. Raises InvalidInput where there is neither."""
    from soonish.errors import InvalidInput

    if address or settings.test_email:
        return address or settings.test_email
    raise InvalidInput("email", "Give an address or set TEST_EMAIL.")


async def temporal_client(runtime: Runtime) -> Client:
    """The client of a Temporal that answers. Raises Unavailable."""
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
    """The same with the dates as instants."""
    names = ("start_date", "end_date")
    read = {n: parse_instant(wanted[n], n, now) for n in names if n in wanted}
    return wanted | read


def event_dict(found: EventDetails, settings: Settings) -> dict[str, Any]:
    """The event as the API tells it."""
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
