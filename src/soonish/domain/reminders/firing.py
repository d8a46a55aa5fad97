"""Turn a due reminder into a notification with its ledger rows."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.delivery.ledger import expansion
from soonish.delivery.ledger.routing import is_active
from soonish.domain.reminders.plan import reminder_kind
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Notification, NotificationKind
from soonish.infra.db.models.reminders import END, START, Reminder, RemindMe
from soonish.infra.db.models.subscriptions import Subscription
from soonish.kit.schemas import as_z
from soonish.workflow_types import ReminderInput

LATE = timedelta(minutes=10)
AHEAD = timedelta(minutes=1)  # how far Temporal's clock may be ahead of ours
REMIND_ME_LIFETIME = timedelta(hours=24)


class TooEarly(Exception):
    """The reminder is due in `left`.

    Either its schedule was moved in the very second it fired, starting the workflow at the old
    instant with new arguments, or Temporal's clock is ahead of ours.
    """

    def __init__(self, left: timedelta) -> None:
        super().__init__(f"due in {left}")
        self.left = left


async def fire(session: AsyncSession, work: ReminderInput, now: datetime) -> int | None:
    """Write the reminder's notification and return its id, None if it is no longer wanted.

    The anchor instant decides: a schedule from before a move writes nothing and uses no key.
    Repeated calls return the same id. Raise TooEarly.
    """
    query = select(Event).where(Event.id == work.event_id).with_for_update(read=True)
    event = await session.scalar(query)
    anchor_at = datetime.fromisoformat(work.anchor_at)
    if event is None or event.cancelled_at or _anchor(event, work.anchor) != anchor_at:
        return None
    row = await session.scalar(_row_query(work))
    if row is None or now >= anchor_at:
        return None
    due_at = _due_at(work, anchor_at, now)
    key = _key(work, due_at)
    if row.due_at > now and not await _is_written(session, key):
        raise TooEarly(row.due_at - now)
    notification = await _notification(session, work, key, due_at, anchor_at, now)
    if notification.expanded_at is None:
        conditions = [Subscription.event_id == event.id, *_audience(work)]
        await expansion.expand(
            session, notification, *conditions, now=now, due_at=due_at, expires_at=anchor_at
        )
        _note_fired(row, work, due_at, now)
    return notification.id


def _anchor(event: Event, anchor: str) -> datetime | None:
    return event.end_date if anchor == END else event.start_date


def _row_query(work: ReminderInput) -> Any:
    mine = (
        Reminder.subscription_id.is_(None)
        if work.subscription_id is None
        else Reminder.subscription_id == work.subscription_id
    )
    return (
        select(Reminder)
        .where(
            Reminder.event_id == work.event_id,
            mine,
            Reminder.anchor == work.anchor,
            Reminder.offset_seconds == work.offset_seconds,
            Reminder.every_seconds.is_not_distinct_from(work.every_seconds),
            Reminder.removed_at.is_(None),
        )
        .with_for_update()
    )


def _due_at(work: ReminderInput, anchor_at: datetime, now: datetime) -> datetime:
    """Return the nominal instant; for a countdown the latest one reached."""
    first = anchor_at - timedelta(seconds=work.offset_seconds)
    if not work.every_seconds:
        return first
    passed = max(0, int((now + AHEAD - first).total_seconds()) // work.every_seconds)
    return first + timedelta(seconds=passed * work.every_seconds)


def _key(work: ReminderInput, due_at: datetime) -> str:
    whose = f"{work.event_id}:{work.subscription_id or 0}"
    key = f"reminder:{whose}:{work.anchor}:{work.offset_seconds}:{work.anchor_at}"
    return f"{key}:{as_z(due_at)}" if work.every_seconds else key


async def _is_written(session: AsyncSession, key: str) -> bool:
    """Return True if the countdown's notification exists: firing advances its row to the next
    instant."""
    query = select(Notification.id).where(Notification.dedup_key == key)
    return await session.scalar(query) is not None


async def _notification(
    session: AsyncSession,
    work: ReminderInput,
    key: str,
    due_at: datetime,
    anchor_at: datetime,
    now: datetime,
) -> Notification:
    late = now - due_at > LATE
    nominal = anchor_at - due_at
    distance = (anchor_at - now) if late else nominal
    return await expansion.get_or_create(
        session,
        event_id=work.event_id,
        kind=reminder_kind(work),
        dedup_key=key,
        content={
            "distance_seconds": int(distance.total_seconds()),
            "anchor": work.anchor,
            "late": late,
        },
        anchor=work.anchor,
        anchor_at=anchor_at,
        created_at=now,
    )


def _audience(work: ReminderInput) -> list[ColumnElement[bool]]:
    if work.subscription_id is None:
        return [Subscription.reminder_offsets.is_(None)]
    return [Subscription.id == work.subscription_id]


def _note_fired(row: Reminder, work: ReminderInput, due_at: datetime, now: datetime) -> None:
    if not work.every_seconds:
        row.fired_at = now
        return
    following = due_at + timedelta(seconds=work.every_seconds)
    if following < row.anchor_at:
        row.due_at = following
    else:
        row.fired_at = now


async def fire_remind_me(session: AsyncSession, remind_me_id: int, now: datetime) -> int | None:
    """Write a remind-me's notification and return its id, None if it is no longer wanted."""
    remind_me, subscription, event = await remind_me_state(session, remind_me_id)
    if remind_me is None or subscription is None or event is None:
        return None
    notification = await expansion.get_or_create(
        session,
        event_id=event.id,
        kind=NotificationKind.REMINDER,
        dedup_key=f"remind-me:{remind_me.id}",
        content=_distance(event, now),
        created_at=now,
    )
    if notification.expanded_at is None:
        await expansion.expand(
            session,
            notification,
            Subscription.id == subscription.id,
            now=now,
            due_at=remind_me.at,
            expires_at=remind_me.at + REMIND_ME_LIFETIME,
        )
        remind_me.fired_at = now
    return notification.id


def _distance(event: Event, now: datetime) -> dict[str, Any]:
    """Return how far off the start is, or the end; negative once the event is over."""
    to_end = event.end_date is not None and event.start_date <= now
    seconds = int(((event.over_at if to_end else event.start_date) - now).total_seconds())
    return {
        "distance_seconds": seconds if seconds <= 0 else max(60, seconds),
        "anchor": END if to_end else START,
    }


async def remind_me_state(
    session: AsyncSession, remind_me_id: int
) -> tuple[RemindMe | None, Subscription | None, Event | None]:
    """Return the remind-me with its live subscription and event; Nones if it is no longer
    wanted."""
    query = (
        select(RemindMe, Subscription, Event)
        .join(Subscription, Subscription.id == RemindMe.subscription_id)
        .join(Event, Event.id == Subscription.event_id)
        .where(
            RemindMe.id == remind_me_id,
            RemindMe.cancelled_at.is_(None),
            is_active(),
            Event.cancelled_at.is_(None),
        )
        .with_for_update(of=RemindMe)  # either fired or withdrawn, never both
    )
    row = (await session.execute(query)).one_or_none()
    return (row[0], row[1], row[2]) if row else (None, None, None)
