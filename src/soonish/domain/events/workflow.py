"""How the workflow of an event is doing: what Temporal says, and what it must still be told."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.access import policy
from soonish.domain.events import reminders
from soonish.domain.events.schemas import ReminderStatus, WorkflowStatus
from soonish.errors import Unavailable
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.temporal import Temporal


@dataclass(frozen=True)
class OutboxState:
    """Of a stream: `waiting` undone rows, `lag` the age in seconds of the oldest, 0 without any;
    `was_heard`: its workflow has taken something already."""

    lag: float
    waiting: int
    was_heard: bool


@dataclass(frozen=True)
class StoredState:
    """What the database knows of an event's workflow."""

    workflow_id: str
    outbox: OutboxState
    reminders: list[Reminder]


async def stored_state(
    session: AsyncSession, event_id: int, user: User, now: datetime
) -> StoredState:
    """For the event's organizers."""
    event = await policy.require_organizer(session, event_id, user)
    return StoredState(
        event.temporal_workflow_id,
        await _outbox_state(session, event.temporal_workflow_id, now),
        await reminders.to_come(session, event.id),
    )


async def status(temporal: Temporal, stored: StoredState) -> WorkflowStatus:
    """The workflow as Temporal knows it; `starting` until it does, never an error. To be asked
    outside of any transaction."""
    state, run_id = await _describe(temporal, stored.workflow_id, stored.outbox)
    return WorkflowStatus(
        workflow_id=stored.workflow_id,
        run_id=run_id,
        status=state,
        outbox_lag=stored.outbox.lag,
        outbox_waiting=stored.outbox.waiting,
        reminders=[
            ReminderStatus(schedule_id=r.schedule_id, at=r.due_at, kind=reminders.kind_of(r))
            for r in stored.reminders
        ],
    )


async def _describe(
    temporal: Temporal, workflow_id: str, told: OutboxState
) -> tuple[str, str | None]:
    """(status, run id): Temporal's own, `starting`, or `unreachable`."""
    try:
        return await temporal.describe(workflow_id) or ("starting", None)
    except Unavailable:
        return ("unreachable" if told.was_heard else "starting"), None


async def _outbox_state(session: AsyncSession, stream: str, now: datetime) -> OutboxState:
    of_stream = OutboxRow.stream == stream
    undone = select(func.min(OutboxRow.created_at), func.count()).where(
        of_stream, OutboxRow.done_at.is_(None)
    )
    done = select(OutboxRow.id).where(of_stream, OutboxRow.done_at.is_not(None)).limit(1)
    oldest, waiting = (await session.execute(undone)).one()
    if not waiting:
        return OutboxState(0.0, 0, was_heard=True)
    was_heard = await session.scalar(done) is not None
    return OutboxState(max(0.0, (now - oldest).total_seconds()), waiting, was_heard)
