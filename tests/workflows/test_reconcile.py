"""Reconcile: what Temporal does not know any more is started again, by one leader."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from soonish.infra.db.models.accounts import Registration, Session
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.installation import Lease
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.reminders import Reminder, RemindMe
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import streams
from soonish.worker.reconcile import MAINTENANCE_ID, Reconcile
from tests.support.wait import eventually
from tests.workflows.running import Running

LONG_AGO = timedelta(minutes=5)
SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def reconcile(running: Running, holder: str = "one") -> Reconcile:
    runtime = running.runtime
    return Reconcile(runtime.db, runtime.temporal, runtime.relay, runtime.settings, holder)


@pytest.fixture
def quiet(installation: Running) -> Running:
    """No worker, and nothing pokes: what runs was started by reconcile."""
    installation.runtime.db.on_commit = None
    return installation


async def all_running(running: Running) -> set[str]:
    query = "ExecutionStatus = 'Running'"
    return {found.id async for found in running.client.list_workflows(query)}


async def are_running(running: Running, wanted: set[str]) -> set[str]:
    """Temporal lists what it has started a moment later."""

    async def listed() -> bool:
        return await all_running(running) >= wanted

    await eventually(listed, 15, f"{wanted} to be listed")
    found = await all_running(running)
    return {one for one in found if not one.startswith(MAINTENANCE_ID)}


@SQLITE
async def test_the_leader_ends_what_was_never_confirmed(quiet: Running) -> None:
    event = await quiet.create()
    waiting = {"status": "pending_confirmation"}
    old = await quiet.world.subscribe(event, created_at=utc_now() - timedelta(days=7), **waiting)
    new = await quiet.world.subscribe(event, created_at=utc_now() - timedelta(days=6), **waiting)
    assert await reconcile(quiet).once()
    rows = {row.id: row.end_reason for row in await quiet.world.rows(Subscription)}
    assert rows == {old.id: "unconfirmed", new.id: None}


async def test_one_leads_until_its_lease_ends(quiet: Running) -> None:
    first, second = reconcile(quiet, "one"), reconcile(quiet, "two")
    assert await first.once()
    assert not await second.once()
    assert await first.once()
    async with quiet.runtime.db.write() as session:
        lease = await session.get_one(Lease, "reconcile")
        assert lease.holder == "one"
        lease.until = utc_now() - timedelta(seconds=1)
    assert await second.once()
    assert not await first.once()


async def old(running: Running, row: Any) -> None:
    await running.world.change(type(row), row.id, created_at=utc_now() - LONG_AGO)


async def test_events_without_a_workflow_are_started_and_their_reminders_armed_again(
    quiet: Running,
) -> None:
    live, over, young = [await quiet.create(reminders=[3_600]) for _ in range(3)]
    for event in (live, over):
        await old(quiet, event)
    await quiet.world.change(Event, over.id, completed_at=utc_now())
    for row in await quiet.world.rows(Reminder):
        await quiet.world.change(Reminder, row.id, armed_at=utc_now())
    assert await reconcile(quiet).once()
    wanted = {live.temporal_workflow_id}
    assert await are_running(quiet, wanted) == wanted
    armed = {row.event_id: row.armed_at for row in await quiet.world.rows(Reminder)}
    assert armed[live.id] is None
    assert armed[over.id] is not None
    assert armed[young.id] is not None
    async with quiet.worker():
        mine = f"event-{live.id}-reminder-3600s"

        async def is_armed() -> bool:
            return mine in await quiet.schedule_ids()

        await eventually(is_armed, 20, "its schedule")


async def test_a_running_workflow_is_left_alone(quiet: Running) -> None:
    event = await quiet.create(reminders=[3_600])
    await old(quiet, event)
    await quiet.runtime.relay.wake(event.temporal_workflow_id)
    await are_running(quiet, {event.temporal_workflow_id})
    (row,) = await quiet.world.rows(Reminder)
    await quiet.world.change(Reminder, row.id, armed_at=utc_now())
    assert await reconcile(quiet).once()
    (row,) = await quiet.world.rows(Reminder)
    assert row.armed_at is not None
    history = await quiet.handle(event.temporal_workflow_id).fetch_history()
    signals = [e for e in history.events
               if e.HasField("workflow_execution_signaled_event_attributes")]  # fmt: skip
    assert len(signals) == 1


async def test_broadcasts_remind_mes_and_registrations(quiet: Running) -> None:
    event = await quiet.create()
    person = await quiet.world.subscribe(event)
    stuck, young, done = [await quiet.world.expanded(event) for _ in range(3)]
    minute = utc_now() - timedelta(seconds=61)
    await quiet.world.change(Notification, stuck.id, expanded_at=minute)
    await quiet.world.change(Notification, done.id, expanded_at=minute, completed_at=utc_now())
    later = utc_now() + timedelta(hours=1)
    waiting, fired, withdrawn = [
        await quiet.world.add(RemindMe(subscription_id=person.id, at=later, **values))
        for values in ({}, {"fired_at": utc_now()}, {"cancelled_at": utc_now()})
    ]
    for row in (waiting, fired, withdrawn):
        await old(quiet, row)
    registration = Registration(
        user_id=person.user_id, workflow_id=streams.verification(person.user_id), expires_at=later
    )
    session = Session(
        user_id=person.user_id, token_hash="h", last_seen_at=utc_now(), expires_at=later
    )
    for row in (registration, session):
        await old(quiet, await quiet.world.add(row))
    assert await reconcile(quiet).once()
    wanted = {
        streams.broadcast(stuck.id),
        streams.remind_me(waiting.id),
        registration.workflow_id,
        streams.session(session.id),
    }
    assert await are_running(quiet, wanted) == wanted
    assert streams.broadcast(young.id) not in wanted


async def overdue(running: Running, event: Event, minutes: int, **values: Any) -> Reminder:
    due_at = utc_now() - timedelta(minutes=minutes)
    offset = int((event.start_date - due_at).total_seconds())
    row = Reminder(
        event_id=event.id,
        schedule_id=f"s{event.id}-{minutes}",
        offset_seconds=offset,
        anchor_at=event.start_date,
        due_at=due_at,
        **values,
    )
    return await running.world.add(row)


async def test_overdue_reminders_are_started_or_put_down(quiet: Running) -> None:
    ahead = await quiet.world.event(starts_in=timedelta(hours=1))
    past = await quiet.world.event(starts_in=timedelta(minutes=-1))
    await quiet.world.through(ahead, quiet.http.apprise_url())
    late = await overdue(quiet, ahead, 2, armed_at=utc_now())
    missed = await overdue(quiet, past, 3)
    for number, values in enumerate(
        ({"fired_at": utc_now()}, {"removed_at": utc_now()}, {"expired_at": utc_now()})
    ):
        await overdue(quiet, ahead, 10 + number, **values)
    await overdue(quiet, ahead, 0)
    assert await reconcile(quiet).once()
    row = await quiet.world.one(Reminder, Reminder.id == missed.id)
    assert row.expired_at is not None
    async with quiet.worker():
        assert len(await quiet.titles(1)) == 1
        fired = await quiet.world.one(Reminder, Reminder.id == late.id)
        assert fired.fired_at is not None
        assert await reconcile(quiet).once()
        notice = await quiet.world.one(Notification)
        await quiet.completed(notice.id)
    assert len(quiet.http.at("/hook")) == 1


@SQLITE
async def test_temporal_away_is_no_end(quiet: Running) -> None:
    """The lead is kept; what could not be compared is at the next turn."""
    event = await quiet.create()
    await old(quiet, event)
    doing = reconcile(quiet)
    good = quiet.runtime.temporal

    class Away:
        async def client(self) -> Any:
            raise RuntimeError("Temporal does not answer")

    doing.temporal = Away()  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(RuntimeError):
        await doing.once()
    doing.temporal = good
    assert await doing.once()
    await are_running(quiet, {event.temporal_workflow_id})
