"""The API of one's own reminders for an event, and of remind-mes."""

from __future__ import annotations

from fastapi import APIRouter

from soonish.domain.reminders import service
from soonish.domain.reminders.schemas import Preferences, RemindMeInput, RemindMeOut
from soonish.infra.db.types import utc_now
from soonish.kit.paging import instant_id_cursor, page
from soonish.kit.schemas import Page
from soonish.web.acting import ActingUser
from soonish.web.deps import DbDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api/events/{event_id}", tags=["reminders"])


@router.get("/reminders")
async def get_preferences(event_id: RowId, user: ActingUser, db: DbDep) -> Preferences:
    async with db.read() as session:
        return Preferences.of(await service.get_preferences(session, event_id, user))


@router.put("/reminders")
async def set_preferences(
    event_id: RowId, wanted: Preferences, user: ActingUser, db: DbDep
) -> Preferences:
    async with db.write() as session:
        chosen = await service.set_preferences(session, event_id, user, wanted, utc_now())
    return Preferences.of(chosen)


@router.post("/remind-me", status_code=202)
async def remind_me(
    event_id: RowId, wanted: RemindMeInput, user: ActingUser, db: DbDep
) -> RemindMeOut:
    async with db.write() as session:
        made = await service.add_remind_me(session, event_id, user, wanted, utc_now())
    return RemindMeOut.model_validate(made)


@router.get("/remind-me")
async def list_remind_mes(
    event_id: RowId, user: ActingUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[RemindMeOut]:
    """Those still to come, soonest first."""
    after = instant_id_cursor(cursor)
    async with db.read() as session:
        rows = await service.waiting_remind_mes(session, event_id, user, limit + 1, after)
    shown, following = page(rows, limit, lambda row: (row.at, row.id))
    items = [RemindMeOut.model_validate(row) for row in shown]
    return Page(items=items, next_cursor=following)


@router.delete("/remind-me/{remind_me_id}", status_code=204)
async def cancel_remind_me(
    event_id: RowId, remind_me_id: RowId, user: ActingUser, db: DbDep
) -> None:
    async with db.write() as session:
        await service.cancel_remind_me(session, event_id, user, remind_me_id, utc_now())
