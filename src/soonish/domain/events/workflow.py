"""The state of an event's workflow: what Temporal reports, and what it has not received yet."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.access import policy
from soonish.domain.events.schemas import ReminderStatus, WorkflowStatus
from soonish.domain.reminders.plan import reminder_kind
from soonish.domain.reminders.queries import reminders_to_come
from soonish.errors import Unavailable
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.temporal import Temporal


@dataclass(frozen=True)
class OutboxState:
    """The outbox of one workflow.

    `waiting` is the number of undone rows, `lag` the age of the oldest in seconds (0 without any),
    and `was_heard` tells whether the workflow has received anything yet.
    """

    lag: float
    waiting: int
    was_heard: bool


@dataclass(frozen=True)
class StoredState:
    """The part of an event's workflow status that the database holds."""

    workflow_id: str
    outbox: OutboxState
    reminders: list[Reminder]


async def stored_state(
    session: AsyncSession, event_id: int, user: User, now: datetime
) -> StoredState:
    """Read the part that the database holds, for the event's organizers."""
    event = await policy.require_organizer(session, event_id, user)
    return StoredState(
        event.temporal_workflow_id,
        await _outbox_state(session, event.temporal_workflow_id, now),
        await reminders_to_come(session, event.id),
    )


async def status(temporal: Temporal, stored: StoredState) -> WorkflowStatus:
    """Return the status that Temporal reports; `starting` before it knows the workflow.

    Call it outside any transaction. It raises no error if Temporal does not answer.
    """
    state, run_id = await _describe(temporal, stored.workflow_id, stored.outbox)
    return WorkflowStatus(
        workflow_id=stored.workflow_id,
        run_id=run_id,
        status=state,
        outbox_lag=stored.outbox.lag,
        outbox_waiting=stored.outbox.waiting,
        reminders=[
            ReminderStatus(schedule_id=r.schedule_id, at=r.due_at, kind=reminder_kind(r))
            for r in stored.reminders
        ],
    )


async def _describe(
    temporal: Temporal, workflow_id: str, told: OutboxState
) -> tuple[str, str | None]:
    """Return status and run id; the status is Temporal's own, `starting` or `unreachable`."""
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
