"""What an event no longer says about an organizer who was erased."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.events.models import Event, EventUpdate
from soonish.notifications.content import Change
from soonish.notifications.models import Notification
from soonish.notifications.words import describe_changes

CONTACT = "contact"


async def forget_contact(session: AsyncSession, event: Event) -> None:
    """Take the contact away, and out of the log and the messages that say how it changed."""
    event.contact = None
    logged = select(EventUpdate).where(
        EventUpdate.event_id == event.id, EventUpdate.changes.is_not(None)
    )
    for update in await session.scalars(logged):
        kept = _without_contact(update.changes or [])
        if kept != update.changes:
            update.changes, update.body = kept, _in_words(kept, event.timezone)
    told = select(Notification).where(
        Notification.event_id == event.id, Notification.kind == "update"
    )
    for notification in await session.scalars(told):
        content = notification.content or {}
        kept = _without_contact(content.get("changes", []))
        if kept != content.get("changes", []):
            notification.content = content | {"changes": kept}
            notification.body = _in_words(kept, event.timezone)


def _without_contact(changes: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [change for change in changes if change["field"] != CONTACT]


def _in_words(changes: Sequence[dict[str, Any]], timezone: str) -> str:
    made = describe_changes([Change(**change) for change in changes], timezone)
    return "\n".join(f"{name}: {old} → {new}" for name, old, new in made)
