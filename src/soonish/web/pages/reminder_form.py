"""One's own reminders as a form; the event page and the page of a manage link share it."""

from __future__ import annotations

from typing import Any

from soonish.config import Settings
from soonish.domain.reminders import service
from soonish.domain.reminders.schemas import Preferences, RemindMeInput
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Database, Session
from soonish.infra.db.types import utc_now
from soonish.web.rendering.forms import Form, parse

MOST_WAITING = 50
OFFERED = (900, 3600, 3 * 3600, 86400, 7 * 86400)  # seconds before the start


async def reminder_context(
    session: Session, base: str, event_id: int, user: User, settings: Settings
) -> dict[str, Any]:
    """Return the context of `events/reminders.html`, whose forms post below `base`."""
    present = await service.get_preferences(session, event_id, user)
    chosen = present.reminder_offsets
    offsets = settings.default_reminders if chosen is None else chosen
    waiting = await service.waiting_remind_mes(session, event_id, user, limit=MOST_WAITING)
    return {
        "reminders_action": f"{base}/reminders",
        "remind_me_action": f"{base}/remind-me",
        "offered_offsets": sorted({*OFFERED, *offsets, *settings.default_reminders}),
        "reminder_offsets": offsets,
        "remind_mes": waiting,
    }


async def save_offsets(
    form: Form, event_id: int, user: User, db: Database, settings: Settings
) -> None:
    """Replace the offsets before the start; what the form does not show stays as it is.

    The defaults are stored as such, so that these subscribers share the event's schedules.
    """
    offsets = sorted(form.numbers("offset_seconds"))
    is_default = offsets == sorted(settings.default_reminders)
    async with db.write() as session:
        present = Preferences.of(await service.get_preferences(session, event_id, user))
        values = present.model_dump() | {"offset_seconds": None if is_default else offsets}
        wanted = parse(Preferences, values)
        await service.set_preferences(session, event_id, user, wanted, utc_now())


async def save_remind_me(form: Form, event_id: int, user: User, db: Database) -> None:
    """Add the extra reminder. Raises InvalidInput for a number that is none."""
    values = {"in_seconds": next(iter(form.numbers("in_seconds")), None)}
    wanted = parse(RemindMeInput, values)
    async with db.write() as session:
        await service.add_remind_me(session, event_id, user, wanted, utc_now())


async def drop_remind_me(event_id: int, remind_me_id: int, user: User, db: Database) -> None:
    """Cancel the extra reminder. Raise NotFound for one that is not the user's."""
    async with db.write() as session:
        await service.cancel_remind_me(session, event_id, user, remind_me_id, utc_now())
