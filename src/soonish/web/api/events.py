"""/api/events: create, list, read, change, cancel; update log and workflow status."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, status

from soonish.domain.events import history, queries, service, statistics, workflow
from soonish.domain.events.queries import EventDetails, EventFilter
from soonish.domain.events.schemas import (
    ChangePreview,
    EventCreate,
    EventOut,
    EventPatch,
    EventUpdateOut,
    FiredReminderOut,
    Statistics,
    WorkflowStatus,
)
from soonish.errors import InvalidInput, Unauthorized
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import Instant, Page, Text
from soonish.web.deps import CurrentUser, DbDep, OptionalUser, SettingsDep, TemporalDep
from soonish.web.params import CursorText, InvitationToken, Limit, RowId

router = APIRouter(prefix="/api/events", tags=["events"])

SearchText = Annotated[Text, Query(max_length=200)]
FilterText = Annotated[Text | None, Query(max_length=64)]
From = Annotated[Instant | None, Query(alias="from", description="Earliest start")]
To = Annotated[Instant | None, Query(description="Latest start")]


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_event(
    data: EventCreate, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> EventOut:
    async with db.write() as session:
        event = await service.create(
            session, user, data, utc_now(), default_reminders=settings.default_reminders
        )
        found = await queries.details_of(session, event)
    return EventOut.of(found, settings)


@router.get("")
async def list_events(
    db: DbDep,
    settings: SettingsDep,
    user: OptionalUser,
    query: SearchText = "",
    category: FilterText = None,
    tag: FilterText = None,
    start_from: From = None,
    to: To = None,
    mine: bool = False,
    limit: Limit = 50,
    cursor: CursorText = None,
) -> Page[EventOut]:
    """Public events to come; with `mine=true` all that one organizes, past and cancelled too."""
    wanted = EventFilter(query, _stripped(category), _stripped(tag), start_from, to)
    if start_from and to and to < start_from:
        raise InvalidInput("to", "must not be before from")
    found, following = await _list(db, user if mine else None, mine, wanted, limit, cursor)
    return Page(items=[EventOut.of(one, settings) for one in found], next_cursor=following)


@router.get("/{event_id}")
async def get_event(
    event_id: RowId,
    user: OptionalUser,
    db: DbDep,
    settings: SettingsDep,
    invitation: InvitationToken = None,
) -> EventOut:
    async with db.read() as session:
        found = await queries.visible(session, event_id, user, invitation)
    return EventOut.of(found, settings)


@router.patch("/{event_id}")
async def update_event(
    event_id: RowId, patch: EventPatch, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> EventOut:
    """Change the fields that are sent; every subscriber is told what was and what is now."""
    offsets = settings.default_reminders
    async with db.write() as session:
        event = await service.update(
            session, event_id, user, patch, utc_now(), default_reminders=offsets
        )
        found = await queries.details_of(session, event)
    return EventOut.of(found, settings)


@router.post("/{event_id}/preview")
async def preview_update(
    event_id: RowId, patch: EventPatch, user: CurrentUser, db: DbDep
) -> ChangePreview:
    """Show what PATCH with the same body would announce, and to whom. Change nothing."""
    async with db.read() as session:
        return await service.preview_update(session, event_id, user, patch, utc_now())


@router.get("/{event_id}/statistics")
async def get_statistics(event_id: RowId, user: CurrentUser, db: DbDep) -> Statistics:
    """Subscriptions and deliveries by day (UTC), of the last 30 days; organizers."""
    async with db.read() as session:
        return Statistics(days=await statistics.days(session, event_id, user, utc_now()))


@router.get("/{event_id}/reminders/log")
async def list_fired_reminders(
    event_id: RowId, user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[FiredReminderOut]:
    """Reminders that were sent, newest first, with how punctual they were; organizers."""
    async with db.read() as session:
        return await statistics.fired_reminders(session, event_id, user, limit=limit, cursor=cursor)


@router.delete("/{event_id}", status_code=status.HTTP_204_NO_CONTENT)
async def cancel_event(event_id: RowId, user: CurrentUser, db: DbDep) -> None:
    """Cancel the event and tell everybody; it stays readable with `status: "cancelled"`."""
    async with db.write() as session:
        await service.cancel(session, event_id, user, utc_now())


@router.get("/{event_id}/updates")
async def list_updates(
    event_id: RowId,
    user: OptionalUser,
    db: DbDep,
    limit: Limit = 50,
    cursor: CursorText = None,
    invitation: InvitationToken = None,
) -> Page[EventUpdateOut]:
    """List the update log, newest first."""
    async with db.read() as session:
        rows, following = await history.visible_updates(
            session, event_id, user, invitation, limit=limit, cursor=cursor
        )
    return Page(items=[EventUpdateOut.model_validate(r) for r in rows], next_cursor=following)


@router.get("/{event_id}/workflow/status")
async def workflow_status(
    event_id: RowId, user: CurrentUser, db: DbDep, temporal: TemporalDep
) -> WorkflowStatus:
    """Return the workflow's status in Temporal; `starting` until it is known, never an error."""
    async with db.read() as session:
        stored = await workflow.stored_state(session, event_id, user, utc_now())
    return await workflow.status(temporal, stored)


async def _list(
    db: Database,
    user: User | None,
    mine: bool,
    wanted: EventFilter,
    limit: int,
    cursor: str | None,
) -> tuple[list[EventDetails], str | None]:
    if mine and not user:
        raise Unauthorized
    async with db.read() as session:
        if user:
            return await queries.list_own(session, user.id, wanted, limit=limit, cursor=cursor)
        return await queries.list_public(session, wanted, utc_now(), limit=limit, cursor=cursor)


def _stripped(text: str | None) -> str | None:
    return text.strip() or None if text else None
