"""Inspect reminders: list them, and compare them with Temporal's schedules."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import Client

from soonish.domain.reminders import schedules
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.db.session import Database
from soonish.infra.temporal import RPC_TIMEOUT

SETTLED = timedelta(seconds=60)  # workflow and reconcile still handle younger differences
_OURS = re.compile(r"event-\d+-(sub-\d+-)?((end-)?reminder-\d+s|countdown)")


@dataclass(frozen=True)
class ReminderCheck:
    """A reminder with its state and problem ("" for none)."""

    reminder: Reminder
    state: str
    problem: str = ""


async def list_reminders(
    session: AsyncSession, event_id: int | None = None, limit: int = 1000
) -> Sequence[Reminder]:
    """Return reminders of one event or of all, the next one first."""
    query = select(Reminder).order_by(Reminder.due_at, Reminder.id).limit(limit)
    if event_id is not None:
        query = query.where(Reminder.event_id == event_id)
    return (await session.scalars(query)).all()


def state_of(reminder: Reminder) -> str:
    """Return `withdrawn`, `fired`, `expired`, `armed` or `waiting` (not armed yet)."""
    if reminder.removed_at:
        return "withdrawn"
    if reminder.fired_at:
        return "fired"
    if reminder.expired_at:
        return "expired"
    return "armed" if reminder.armed_at else "waiting"


def compare(reminder: Reminder, schedule_ids: Collection[str], now: datetime) -> ReminderCheck:
    """Compare one reminder with Temporal's schedules."""
    state = state_of(reminder)
    is_there = reminder.schedule_id in schedule_ids
    problem = ""
    if state == "expired":
        problem = "was missed"
    elif state in ("armed", "waiting") and reminder.due_at < now - SETTLED:
        problem = "is overdue"
    elif state == "armed" and reminder.due_at > now and not is_there:
        problem = "has no schedule"
    elif state == "waiting" and reminder.created_at < now - SETTLED:
        problem = "is not armed"
    return ReminderCheck(reminder, state, problem)


async def compare_all(db: Database, client: Client, now: datetime) -> list[ReminderCheck]:
    """Compare every reminder with Temporal. Raise RPCError or RuntimeError if that is down."""
    known = await schedule_ids(client)
    async with db.read() as session:
        rows = await list_reminders(session, limit=100_000)
    return [compare(row, known, now) for row in rows]


async def schedule_ids(client: Client) -> set[str]:
    """Return the ids of our schedules in Temporal."""
    ids = {one.id async for one in await client.list_schedules(rpc_timeout=RPC_TIMEOUT)}
    return {one for one in ids if _OURS.fullmatch(one)}


async def stray_schedules(db: Database, client: Client) -> list[str]:
    """Return schedules that no reminder needs, such as those of deleted events or old test data.

    Temporal is asked first, so that a schedule created meanwhile does not count as stray.
    """
    known = await schedule_ids(client)
    async with db.read() as session:
        wanted = select(Reminder.schedule_id).where(Reminder.removed_at.is_(None))
        return sorted(known.difference(await session.scalars(wanted)))


async def clean(client: Client, strays: Collection[str]) -> None:
    """Delete these schedules."""
    for schedule_id in strays:
        await schedules.delete(client, schedule_id)
