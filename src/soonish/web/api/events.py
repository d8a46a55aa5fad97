"""/api/events: create, list, read, change, cancel; update log and workflow status."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Query, Request, status

from soonish.config import Settings
from soonish.domain.access import policy
from soonish.domain.events import queries, service, statistics
from soonish.domain.events.queries import EventDetails, EventFilter, OutboxState
from soonish.domain.events.schemas import (
    ChangeOut,
    ChangePreview,
    Day,
    EventCreate,
    EventOut,
    EventPatch,
    EventUpdateOut,
    FiredReminderOut,
    ReminderStatus,
    Statistics,
    WorkflowStatus,
)
from soonish.domain.notifications.audience import Audience, reach
from soonish.domain.reminders import queries as reminder_queries
from soonish.domain.reminders.plan import reminder_kind
from soonish.errors import InvalidInput, Unauthorized, Unavailable
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.temporal import Temporal
from soonish.kit.schemas import Instant, Page, Text
from soonish.web.deps import CurrentUser, DbDep, OptionalUser, SettingsDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api/events", tags=["events"])

SearchText = Annotated[Text, Query(max_length=200)]
FilterText = Annotated[Text | None, Query(max_length=64)]
From = Annotated[Instant | None, Query(alias="from", description="Earliest start")]
To = Annotated[Instant | None, Query(description="Latest start")]
InvitationToken = Annotated[
    Text | None, Query(max_length=200, description="Shows a private event to who is invited")
]


def event_out(found: EventDetails, settings: Settings) -> EventOut:
    """The event as the API shows it, with its status at this instant and its public link."""
    event = found.event
    fields = {name: getattr(event, name, None) for name in EventOut.model_fields}
    return EventOut.model_validate(
        fields
        | {
            "tags": found.tags,
            "subscriber_count": found.subscriber_count,
            "status": service.status_of(event, utc_now()),
            "public_url": f"{settings.base_url}/e/{event.slug}",
        }
    )


@router.post("", status_code=status.HTTP_201_CREATED)
async def create_event(
    data: EventCreate, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> EventOut:
    async with db.write() as session:
        event = await service.create(
            session, user, data, utc_now(), default_reminders=settings.default_reminders
        )
        found = await queries.details_of(session, event)
    return event_out(found, settings)


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
    return Page(items=[event_out(one, settings) for one in found], next_cursor=following)


@router.get("/{event_id}")
async def get_event(
    event_id: RowId,
    user: OptionalUser,
    db: DbDep,
    settings: SettingsDep,
    invitation: InvitationToken = None,
) -> EventOut:
    async with db.read() as session:
        event = await policy.require_visible(session, event_id, user, invitation=invitation)
        found = await queries.details_of(session, event)
    return event_out(found, settings)


@router.patch("/{event_id}")
async def update_event(
    event_id: RowId, patch: EventPatch, user: CurrentUser, db: DbDep, settings: SettingsDep
) -> EventOut:
    """Change the fields that are sent; every subscriber is told what was and what is now."""
    async with db.write() as session:
        event = await policy.require_organizer(session, event_id, user, lock="update")
        await service.update(
            session, event, patch, utc_now(), default_reminders=settings.default_reminders
        )
        found = await queries.details_of(session, event)
    return event_out(found, settings)


@router.post("/{event_id}/preview")
async def preview_update(
    event_id: RowId, patch: EventPatch, user: CurrentUser, db: DbDep
) -> ChangePreview:
    """What PATCH with the same body would announce, and to whom; changes nothing."""
    async with db.read() as session:
        event = await policy.require_organizer(session, event_id, user)
        changes = await service.changes_of(session, event, patch, utc_now())
        told = await reach(session, event_id, Audience())
    outs = [ChangeOut.model_validate(change, from_attributes=True) for change in changes]
    return ChangePreview.model_validate({**vars(told), "changes": outs})


@router.get("/{event_id}/statistics")
async def get_statistics(event_id: RowId, user: CurrentUser, db: DbDep) -> Statistics:
    """Subscriptions and deliveries by day (UTC), of the last 30 days; organizers."""
    async with db.read() as session:
        event = await policy.require_organizer(session, event_id, user)
        found = await statistics.days(session, event, utc_now())
    return Statistics(days=[Day.model_validate(one) for one in found])


@router.get("/{event_id}/reminders/log")
async def list_fired_reminders(
    event_id: RowId, user: CurrentUser, db: DbDep, limit: Limit = 50, cursor: CursorText = None
) -> Page[FiredReminderOut]:
    """Reminders that were sent, newest first, with how punctual they were; organizers."""
    async with db.read() as session:
        event = await policy.require_organizer(session, event_id, user)
        found, following = await statistics.fired_reminders(
            session, event, limit=limit, cursor=cursor
        )
    return Page(
        items=[FiredReminderOut.model_validate(one) for one in found], next_cursor=following
    )


@router.delete("/{event_id}", status_code=status.HTTP_204_NO_CONTENT)
async def cancel_event(event_id: RowId, user: CurrentUser, db: DbDep) -> None:
    """Cancel the event and tell everybody; it stays readable with `status: "cancelled"`."""
    async with db.write() as session:
        event = await policy.require_owner(session, event_id, user, lock="update")
        await service.cancel(session, event, utc_now())


@router.get("/{event_id}/updates")
async def list_updates(
    event_id: RowId,
    user: OptionalUser,
    db: DbDep,
    limit: Limit = 50,
    cursor: CursorText = None,
    invitation: InvitationToken = None,
) -> Page[EventUpdateOut]:
    """The update log, newest first."""
    async with db.read() as session:
        event = await policy.require_visible(session, event_id, user, invitation=invitation)
        rows, following = await queries.list_updates(session, event.id, limit=limit, cursor=cursor)
    return Page(items=[EventUpdateOut.model_validate(r) for r in rows], next_cursor=following)


@router.get("/{event_id}/workflow/status")
async def workflow_status(
    event_id: RowId, user: CurrentUser, db: DbDep, request: Request
) -> WorkflowStatus:
    """The event's workflow as Temporal knows it; `starting` until it does, never an error."""
    async with db.read() as session:
        event = await policy.require_organizer(session, event_id, user)
        told = await queries.outbox_state(session, event.temporal_workflow_id, utc_now())
        reminders = await reminder_queries.reminders_to_come(session, event.id)
    temporal = cast(Temporal, request.app.state.soonish.temporal)
    state, run_id = await _describe(temporal, event.temporal_workflow_id, told)
    return WorkflowStatus(
        workflow_id=event.temporal_workflow_id,
        run_id=run_id,
        status=state,
        outbox_lag=told.lag,
        outbox_waiting=told.waiting,
        reminders=[
            ReminderStatus(schedule_id=r.schedule_id, at=r.due_at, kind=reminder_kind(r))
            for r in reminders
        ],
    )


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


async def _describe(
    temporal: Temporal, workflow_id: str, told: OutboxState
) -> tuple[str, str | None]:
    """(status, run id): Temporal's own, `starting`, or `unreachable`."""
    try:
        return await temporal.describe(workflow_id) or ("starting", None)
    except Unavailable:
        return ("unreachable" if told.was_heard else "starting"), None


def _stripped(text: str | None) -> str | None:
    return text.strip() or None if text else None
