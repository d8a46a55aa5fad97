"""The rules of reminders: stored rows, subscribers' choices, remind-mes.

The rows describe the wanted state; `sync_reminders` makes Temporal's schedules match.
See docs/architecture.md#reminders.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.domain.access.policy import require_open, require_own_subscription, require_visible
from soonish.domain.reminders import queries
from soonish.domain.reminders.plan import (
    PlannedReminder,
    ReminderChoice,
    compare,
    wanted_defaults,
    wanted_personal,
)
from soonish.domain.reminders.schemas import Preferences, RemindMeInput
from soonish.errors import Conflict, InvalidInput, NotFound
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.reminders import Reminder, RemindMe
from soonish.infra.db.models.subscriptions import ACTIVE, Subscription
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams

MAX_REMIND_MES = 100  # pending ones per subscription: each costs a workflow
SHORTEST, LONGEST = timedelta(seconds=60), timedelta(seconds=31_536_000)
_ON_ITS_WAY = timedelta(seconds=1)  # how old a client's computed instant may be on arrival


async def plan_event(
    session: AsyncSession, event: Event, now: datetime, default_offsets: Iterable[int]
) -> bool:
    """Update the event's default reminders (seconds before the start) and re-anchor personal ones.

    Return True if anything changed. The caller holds the event's row FOR UPDATE.
    """
    wanted = wanted_defaults(event, default_offsets)
    of_event = Reminder.event_id == event.id
    changed = await _make_match(session, event, wanted, now, of_event & _is_default())
    chosen = await queries.with_own_reminders(session, event.id)
    personal = [one for s in chosen for one in wanted_personal(event, s, now)]
    return await _make_match(session, event, personal, now, of_event & ~_is_default()) or changed


async def plan_subscription(
    session: AsyncSession, event: Event, subscription: Subscription, now: datetime
) -> bool:
    """Update one subscription's personal reminders to its choice; return True if anything
    changed."""
    is_served = subscription.ended_at is None and subscription.status == ACTIVE
    wanted = wanted_personal(event, ReminderChoice.of(subscription), now) if is_served else []
    own = Reminder.subscription_id == subscription.id
    return await _make_match(session, event, wanted, now, own)


async def drop_subscription(session: AsyncSession, subscription_id: int) -> None:
    """Remove the reminders and remind-mes of an ending subscription.

    The caller wakes the event's workflow, which deletes the schedules.
    """
    now = utc_now()
    await _cancel_remind_mes(session, RemindMe.subscription_id == subscription_id, now=now)
    await queries.mark_removed(session, Reminder.subscription_id == subscription_id, now=now)


async def drop_event(session: AsyncSession, event_id: int) -> None:
    """Remove all reminders and remind-mes of a cancelled event."""
    now = utc_now()
    own = select(Subscription.id).where(Subscription.event_id == event_id)
    await _cancel_remind_mes(session, RemindMe.subscription_id.in_(own), now=now)
    await queries.mark_removed(session, Reminder.event_id == event_id, now=now)


def _is_default() -> ColumnElement[bool]:
    return Reminder.subscription_id.is_(None)


async def _make_match(
    session: AsyncSession,
    event: Event,
    wanted: Iterable[PlannedReminder],
    now: datetime,
    which: ColumnElement[bool],
) -> bool:
    changes = compare(await queries.lock_rows(session, which), wanted, now)
    await queries.apply(session, event.id, changes, now)
    return bool(changes)


async def _cancel_remind_mes(
    session: AsyncSession, *conditions: ColumnElement[bool], now: datetime
) -> Sequence[int]:
    ids = await queries.cancel_remind_mes(session, *conditions, now=now)
    for remind_me_id in ids:
        outbox.add(session, streams.remind_me(remind_me_id), streams.WAKE, {})
    return ids


async def get_preferences(session: AsyncSession, event_id: int, user: User) -> Subscription:
    """Return the user's subscription with its choice.

    Raise NotFound `not_subscribed` without one.
    """
    return await require_own_subscription(session, event_id, user)


async def set_preferences(
    session: AsyncSession, event_id: int, user: User, wanted: Preferences, now: datetime
) -> Subscription:
    """Replace the user's choice of reminders for an event.

    Raise NotFound without a subscription, Conflict for an event that is over or cancelled,
    InvalidInput for offsets before the end of an event without an end.
    """
    event = await require_visible(session, event_id, user, lock="share")
    subscription = await require_own_subscription(session, event_id, user, lock=True)
    require_open(event, now)
    if wanted.end_offset_seconds and event.end_date is None:
        raise InvalidInput("end_offset_seconds", "This event has no end to be reminded before.")
    subscription.reminder_offsets = wanted.offset_seconds
    subscription.end_reminder_offsets = wanted.end_offset_seconds
    countdown = wanted.countdown
    subscription.countdown_every_seconds = countdown.every_seconds if countdown else None
    subscription.countdown_from_seconds = countdown.from_seconds if countdown else None
    await session.flush()
    if await plan_subscription(session, event, subscription, now):
        outbox.add(session, event.temporal_workflow_id, streams.WAKE, {"event_id": event.id})
    return subscription


async def add_remind_me(
    session: AsyncSession, event_id: int, user: User, wanted: RemindMeInput, now: datetime
) -> RemindMe:
    """Add one extra reminder for the user, 60 s to one year ahead.

    Raise NotFound without a subscription, Conflict for an event that is over or cancelled or with
    MAX_REMIND_MES pending, InvalidInput for an instant too near or too far.
    """
    event = await require_visible(session, event_id, user, lock="share")
    subscription = await require_own_subscription(session, event_id, user, lock=True)
    require_open(event, now)
    remind_me = RemindMe(subscription_id=subscription.id, at=_instant(wanted, now))
    if await _count_waiting(session, subscription.id) >= MAX_REMIND_MES:
        raise Conflict("There are too many reminders waiting.", code="too_many_reminders")
    session.add(remind_me)
    await session.flush()
    outbox.add(session, streams.remind_me(remind_me.id), streams.WAKE, {})
    return remind_me


def _instant(wanted: RemindMeInput, now: datetime) -> datetime:
    if wanted.at is None:
        return now + timedelta(seconds=wanted.in_seconds or 0)
    if not SHORTEST - _ON_ITS_WAY <= wanted.at - now <= LONGEST:
        raise InvalidInput("at", "must be 60 seconds to one year from now")
    return wanted.at


async def _count_waiting(session: AsyncSession, subscription_id: int) -> int:
    query = select(func.count()).where(
        RemindMe.subscription_id == subscription_id, queries.is_waiting()
    )
    return (await session.scalars(query)).one()


async def waiting_remind_mes(
    session: AsyncSession,
    event_id: int,
    user: User,
    limit: int,
    after: tuple[datetime, int] | None = None,
) -> Sequence[RemindMe]:
    """Return the user's pending remind-mes, soonest first.

    Raise NotFound without a subscription.
    """
    subscription = await get_preferences(session, event_id, user)
    return await queries.waiting_remind_mes(session, subscription.id, limit, after)


async def cancel_remind_me(
    session: AsyncSession, event_id: int, user: User, remind_me_id: int, now: datetime
) -> None:
    """Cancel one of the user's remind-mes. Raise NotFound for any other, also one that was sent."""
    subscription = await get_preferences(session, event_id, user)
    own = (RemindMe.id == remind_me_id) & (RemindMe.subscription_id == subscription.id)
    if not await _cancel_remind_mes(session, own, now=now):
        raise NotFound("There is no such reminder.")
