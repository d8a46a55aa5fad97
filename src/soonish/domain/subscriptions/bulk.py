"""Bulk changes to an event's subscriptions: add, approve or remove, with a result for each row.

A failing row stops no other. Each batch is a transaction of its own with a pause after it.
Requests may be repeated: rows that are done already say so.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.access import policy, subscription_queries
from soonish.domain.subscriptions import approval, confirmation, service
from soonish.errors import InvalidInput, NotFound, SoonishError
from soonish.identity.addresses import normalise
from soonish.identity.mail_limits import MailAllowance
from soonish.identity.users import find_by_address, find_or_create_by_address, is_live
from soonish.infra.audit.service import record
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.subscriptions import ACTIVE
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now

Action = Literal["add", "approve", "remove"]
MAX_ROWS = 1000
BATCH = 25  # rows per transaction: well under half a second on SQLite
PAUSE_SECONDS = 0.02

_MESSAGES = {
    "asked": "A mail asks this address to confirm.",
    "asked_already": "This address was asked within the last hour.",
    "subscribed_already": "This address is subscribed.",
    "waits_for_approval": "This address waits for your approval.",
    "approved": "The subscription is active.",
    "active_already": "The subscription was active already.",
    "removed": "The subscription has ended, and the person is told.",
    "not_possible": "This person cannot be subscribed.",
    "not_found": "There is no such subscription.",
}


@dataclass(frozen=True)
class Row:
    """One requested row: a subscription by `id`, or an address."""

    index: int
    id: int | None = None
    email: str | None = None


@dataclass(frozen=True)
class Result:
    """The result of a row; `outcome` is for programs, `message` for people."""

    row: Row
    outcome: str
    message: str


async def run(
    db: Database,
    event_id: int,
    actor: User,
    action: Action,
    rows: Sequence[Row],
    *,
    as_administrator: bool = False,
    allowance: MailAllowance | None = None,
) -> list[Result]:
    """Process the rows for an organizer or an administrator; return the results in order.

    Each added address is mailed a confirmation request first, unless the `allowance` says that it
    reached its limit of mails. Raise as policy.require_organizer_or_admin; InvalidInput for more
    than MAX_ROWS; Conflict if the event is over or cancelled and the action would start
    subscriptions.
    """
    if len(rows) > MAX_ROWS:
        raise InvalidInput("body", f"has more than {MAX_ROWS} rows")
    muted: Collection[str] = ()
    if allowance is not None and action == "add":
        async with db.read() as session:  # only what organizers write is counted
            await policy.require_organizer_or_admin(
                session, event_id, actor, as_administrator=as_administrator
            )
        muted = await allowance.take([one.email for one in rows if one.email])
    results: list[Result] = []
    for start in range(0, max(1, len(rows)), BATCH):
        if start:
            await asyncio.sleep(PAUSE_SECONDS)
        async with db.write() as session:
            event = await policy.require_organizer_or_admin(
                session, event_id, actor, as_administrator=as_administrator, lock="share"
            )
            batch = rows[start : start + BATCH]
            results += await _batch(session, event, actor, action, batch, muted)
    return results


async def _batch(
    session: AsyncSession,
    event: Event,
    actor: User,
    action: Action,
    rows: Sequence[Row],
    muted: Collection[str],
) -> list[Result]:
    if action != "remove":
        policy.require_open(event, utc_now())
    results = [await _result(session, event, actor, action, row, muted) for row in rows]
    details: dict[str, Any] = {"action": action, **Counter(one.outcome for one in results)}
    on = ("event", event.id)
    record(session, "subscription.bulk", actor.id, on=on, event_id=event.id, **details)
    return results


async def _result(
    session: AsyncSession,
    event: Event,
    actor: User,
    action: Action,
    row: Row,
    muted: Collection[str],
) -> Result:
    try:
        async with session.begin_nested():
            match action:
                case "add":
                    outcome = await _add(session, event, row, muted)
                case "approve":
                    outcome = await _approve(session, event, actor, row)
                case "remove":
                    outcome = await _remove(session, event, actor, row)
    except NotFound:
        outcome = "not_found"
    except InvalidInput as error:
        return Result(row, "invalid", error.errors[0].message)
    except SoonishError as error:
        return Result(row, error.code, error.detail)
    return Result(row, outcome, _MESSAGES[outcome])


async def _add(session: AsyncSession, event: Event, row: Row, muted: Collection[str]) -> str:
    if row.email is None:
        raise InvalidInput("email", "Enter an email address, such as name@example.com.")
    user = await find_or_create_by_address(session, row.email)
    if not is_live(user):
        return "not_possible"
    present = await subscription_queries.find_own(session, event.id, user.id)
    if present is not None:
        return "subscribed_already" if present.status == ACTIVE else "waits_for_approval"
    admission = policy.Admission(ACTIVE)
    is_muted = user.email_fingerprint in muted
    asked = await confirmation.request_confirmation(
        session, event, user.id, utc_now(), admission, muted=is_muted
    )
    return "asked" if asked else "asked_already"


async def _approve(session: AsyncSession, event: Event, actor: User, row: Row) -> str:
    subscription_id = await _subscription_id(session, event, row)
    approved = await approval.approve_one(session, event, actor, subscription_id, utc_now())
    return "approved" if approved else "active_already"


async def _remove(session: AsyncSession, event: Event, actor: User, row: Row) -> str:
    this = policy.of_event(event, await _subscription_id(session, event, row))
    ended = await service.end(session, "removed", utc_now(), this, by=actor.id)
    return "removed" if ended else "not_found"


async def _subscription_id(session: AsyncSession, event: Event, row: Row) -> int:
    if row.id is not None:
        return row.id
    user = await find_by_address(session, normalise(row.email or ""))
    found = await subscription_queries.find_own(session, event.id, user.id) if user else None
    if found is None:
        raise NotFound
    return found.id
