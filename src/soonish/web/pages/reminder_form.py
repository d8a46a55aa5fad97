"""One's own reminders as a form; the event page and the page of a manage link share it."""

from __future__ import annotations

from typing import Any

from soonish.domain.reminders.schemas import Preferences, RemindMeInput
from soonish.infra.db.models.accounts import User
from soonish.web.api import reminders
from soonish.web.deps import DbDep, SettingsDep
from soonish.web.rendering.forms import Form, parse

OFFERED = (900, 3600, 3 * 3600, 86400, 7 * 86400)  # seconds before the start


async def reminder_context(
    base: str, event_id: int, user: User, db: DbDep, settings: SettingsDep
) -> dict[str, Any]:
    """What `events/reminders.html` shows; its forms post to `base`/reminders and /remind-me."""
    chosen = (await reminders.get_preferences(event_id, user, db)).offset_seconds
    offsets = settings.default_reminders if chosen is None else chosen
    waiting = await reminders.list_remind_mes(event_id, user, db, limit=50)
    return {
        "reminders_action": f"{base}/reminders",
        "remind_me_action": f"{base}/remind-me",
        "offered_offsets": sorted({*OFFERED, *offsets, *settings.default_reminders}),
        "reminder_offsets": offsets,
        "remind_mes": waiting.items,
    }


async def save_offsets(
    form: Form, event_id: int, user: User, db: DbDep, settings: SettingsDep
) -> None:
    """Replace the offsets before the start; what the form does not show stays as it is.

    The defaults are stored as such, so that these subscribers share the event's schedules.
    """
    offsets = sorted(form.numbers("offset_seconds"))
    is_default = offsets == sorted(settings.default_reminders)
    present = await reminders.get_preferences(event_id, user, db)
    values = present.model_dump() | {"offset_seconds": None if is_default else offsets}
    await reminders.set_preferences(event_id, parse(Preferences, values), user, db)


async def save_remind_me(form: Form, event_id: int, user: User, db: DbDep) -> None:
    """Add the extra reminder. Raises InvalidInput for a number that is none."""
    values = {"in_seconds": next(iter(form.numbers("in_seconds")), None)}
    await reminders.remind_me(event_id, parse(RemindMeInput, values), user, db)
