"""The rules for creating, changing and cancelling events. Callers own the transaction."""

from __future__ import annotations

import re
import secrets
import string
import unicodedata
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.texts.content import Change
from soonish.delivery.texts.humanize import describe_changes
from soonish.domain.access import policy
from soonish.domain.events import queries
from soonish.domain.events.schemas import (
    ChangeOut,
    ChangePreview,
    EventCreate,
    EventPatch,
    as_text,
)
from soonish.domain.notifications.audience import Audience, AudienceReach, reach
from soonish.domain.reminders import service as reminders
from soonish.errors import Conflict, Forbidden, InvalidInput
from soonish.identity.users import require_live
from soonish.infra.audit import service as audit
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event, EventTag, EventUpdate
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams

_SCHEDULE_FIELDS = {"start_date", "end_date", "timezone"}
_SLUG_LETTERS = 60
_SUFFIX_LETTERS = 8
_SUFFIX_ALPHABET = string.ascii_lowercase + string.digits


async def create(
    session: AsyncSession,
    owner: User,
    data: EventCreate,
    now: datetime,
    *,
    default_reminders: Sequence[int],
) -> Event:
    """Create an event with its default reminders (seconds before the start).

    Raise Forbidden `email_not_verified`, InvalidInput for a start in the past or end <= start.
    """
    if not owner.is_verified:
        raise Forbidden("Please confirm your address first.", code="email_not_verified")
    await require_live(session, owner.id)
    _check_dates(data.model_fields_set | {"start_date"}, data.start_date, data.end_date, now)
    event = await _insert(session, owner, data, now)
    session.add_all(EventTag(event_id=event.id, tag=tag) for tag in data.tags)
    outbox.add(session, event.temporal_workflow_id, streams.WAKE, {"event_id": event.id})
    await reminders.plan_event(session, event, now, default_reminders)
    _record(session, "event.create", event, owner.id)
    return event


async def update(
    session: AsyncSession,
    event_id: int,
    user: User,
    patch: EventPatch,
    now: datetime,
    *,
    default_reminders: Sequence[int],
) -> Event:
    """Apply the sent fields to the event for its organizers; notify nobody if nothing differs.

    Raise Conflict for a past or cancelled event, InvalidInput for dates as in `create`.
    """
    event = await policy.require_organizer(session, event_id, user, lock="update")
    old, new = await _difference(session, event, patch, now)
    if not new:
        return event
    await _apply(session, event, new, now)
    _record(session, "event.update", event, audit.actor(), fields=sorted(new))
    if new.keys() & {"start_date", "end_date"}:
        await reminders.plan_event(session, event, now, default_reminders)
    await _announce_changes(session, event, old, new, now)
    return event


async def preview_update(
    session: AsyncSession, event_id: int, user: User, patch: EventPatch, now: datetime
) -> ChangePreview:
    """Return the changes `update` would announce, as texts, and their audience.

    Raise what `update` does.
    """
    event = await policy.require_organizer(session, event_id, user)
    changes = _changes(*await _difference(session, event, patch, now))
    told = await reach(session, event.id, Audience())
    outs = [ChangeOut.model_validate(change, from_attributes=True) for change in changes]
    return ChangePreview.model_validate({**vars(told), "changes": outs})


async def preview_cancel(session: AsyncSession, event_id: int, user: User) -> AudienceReach:
    """Return the audience `cancel` would notify, for the event's owner."""
    event = await policy.require_owner(session, event_id, user)
    return await reach(session, event.id, Audience())


async def cancel(
    session: AsyncSession,
    event_id: int,
    user: User,
    now: datetime,
    *,
    as_administrator: bool = False,
) -> Event:
    """Cancel an own event, or any as an administrator; repeating it does nothing.

    Raise Conflict `event_over` if past.
    """
    require = policy.require_admin if as_administrator else policy.require_owner
    event = await require(session, event_id, user, lock="update")
    await cancel_locked(session, event, now)
    return event


async def cancel_locked(session: AsyncSession, event: Event, now: datetime) -> None:
    """Cancel the locked event; repeating it does nothing. Raise Conflict `event_over` if past."""
    if event.cancelled_at:
        return
    if event.over_at <= now:
        raise Conflict("This event is over.", code="event_over")
    event.cancelled_at = event.updated_at = now
    session.add(
        EventUpdate(
            event_id=event.id,
            category="cancelled",
            title=f"{event.name} is cancelled",
            body="This event will not take place.",
            created_at=now,
        )
    )
    await reminders.drop_event(session, event.id)
    outbox.add(session, event.temporal_workflow_id, streams.CANCEL_EVENT, {})
    _record(session, "event.cancel", event, audit.actor())


def _record(
    session: AsyncSession, action: str, event: Event, actor_id: int | None, **details: Any
) -> None:
    audit.record(session, action, actor_id, on=("event", event.id), event_id=event.id, **details)


def make_slug(name: str) -> str:
    """Return a slug: a readable part (ASCII, at most 60 letters) and a random, unique one."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    readable = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_SLUG_LETTERS].strip("-")
    suffix = "".join(secrets.choice(_SUFFIX_ALPHABET) for _ in range(_SUFFIX_LETTERS))
    return f"{readable or 'event'}-{suffix}"


async def _insert(session: AsyncSession, owner: User, data: EventCreate, now: datetime) -> Event:
    event = Event(
        owner_user_id=owner.id,
        slug=make_slug(data.name),
        temporal_workflow_id=f"new-{uuid.uuid4()}",  # the real one needs the id
        created_at=now,
        updated_at=now,
        **data.model_dump(exclude={"tags"}),
    )
    session.add(event)
    await session.flush()
    event.temporal_workflow_id = streams.event(event.id)
    return event


def _check_dates(sent: set[str], start: datetime, end: datetime | None, now: datetime) -> None:
    """Check the changed dates: an ongoing event may keep its start, but none may move to the
    past."""
    if "start_date" in sent and start <= now:
        raise InvalidInput("start_date", "must lie in the future")
    if end is not None and end <= start:
        field = "end_date" if "end_date" in sent else "start_date"
        raise InvalidInput(field, "must leave the end after the start")
    if "end_date" in sent and (end or start) <= now:
        raise InvalidInput("end_date", "must lie in the future")


async def _difference(
    session: AsyncSession, event: Event, patch: EventPatch, now: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return all old values, and the new ones that differ."""
    policy.require_open(event, now)
    old = await _values(session, event)
    new = {name: value for name, value in patch.sent().items() if value != old[name]}
    merged = old | new
    _check_dates(set(new), merged["start_date"], merged["end_date"], now)
    return old, new


def _changes(old: dict[str, Any], new: dict[str, Any]) -> list[Change]:
    changed = [name for name in EventPatch.model_fields if name in new]
    return [Change(name, as_text(old[name]), as_text(new[name])) for name in changed]


async def _values(session: AsyncSession, event: Event) -> dict[str, Any]:
    """Return the values a PATCH may change, by their API names."""
    plain = {name: getattr(event, name) for name in EventPatch.model_fields if name != "tags"}
    return plain | {"tags": await queries.tags_of(session, event.id)}


async def _apply(session: AsyncSession, event: Event, new: dict[str, Any], now: datetime) -> None:
    for name, value in new.items():
        if name != "tags":
            setattr(event, name, value)
    if "tags" in new:
        await session.execute(delete(EventTag).where(EventTag.event_id == event.id))
        session.add_all(EventTag(event_id=event.id, tag=tag) for tag in new["tags"])
    event.updated_at = now


async def _announce_changes(
    session: AsyncSession, event: Event, old: dict[str, Any], new: dict[str, Any], now: datetime
) -> None:
    changes = _changes(old, new)
    update = EventUpdate(
        event_id=event.id,
        category="schedule_change" if new.keys() & _SCHEDULE_FIELDS else "general",
        title=f"{event.name} has changed",
        body=_in_words(changes, event.timezone),
        changes=[{"field": c.field, "old": c.old, "new": c.new} for c in changes],
        created_at=now,
    )
    session.add(update)
    await session.flush()
    payload = {"update_id": update.id}
    outbox.add(session, event.temporal_workflow_id, streams.EVENT_UPDATED, payload)


def _in_words(changes: Sequence[Change], timezone: str) -> str:
    """Describe each change on a line: `Starts: Friday, ... → Saturday, ...`."""
    return "\n".join(f"{a}: {old} → {new}" for a, old, new in describe_changes(changes, timezone))
