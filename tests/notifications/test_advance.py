"""What an event's outbox rows become, in one transaction each call.

See docs/architecture.md#outbox.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DBAPIError, OperationalError

from soonish.domain.events import service as events
from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.models.events import Event, EventUpdate
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.reminders import Reminder, RemindMe
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import streams
from soonish.kit.schemas import as_z
from soonish.worker import advance, announcements
from soonish.workflow_types import HandItem
from tests.support.world import World


async def kinds(world: World, event: Event) -> dict[str, list[str]]:
    """Kind of notification -> the states of its rows."""
    found: dict[str, list[str]] = {}
    for notification in await world.rows(Notification, Notification.event_id == event.id):
        found.setdefault(notification.kind, []).extend(await world.states(notification.id))
    return found


async def undone(world: World, event: Event) -> Sequence[OutboxRow]:
    mine = OutboxRow.stream == event.temporal_workflow_id
    return await world.rows(OutboxRow, mine, OutboxRow.done_at.is_(None))


async def cancel(world: World, event: Event) -> None:
    async with world.db.write() as session:
        await events.cancel_locked(session, await session.get_one(Event, event.id), utc_now())


async def change(world: World, event: Event, **values: Any) -> int:
    """What PATCH writes: the new values, the log row and the outbox row; the log row's id."""
    async with world.db.write() as session:
        row = await session.get_one(Event, event.id)
        changes = [
            {"field": n, "old": str(getattr(row, n)), "new": str(v)} for n, v in values.items()
        ]
        for name, value in values.items():
            setattr(row, name, value)
        entry = EventUpdate(
            event_id=event.id, category="general", title="changed", body="b", changes=changes
        )
        session.add(entry)
        await session.flush()
        payload = {"update_id": entry.id}
    await world.tell(event, streams.EVENT_UPDATED, payload)
    return entry.id


async def test_the_first_call_tells_the_organizer_once(world: World) -> None:
    event = await world.event()
    await world.tell(event, streams.WAKE, {"event_id": event.id})
    plan = await world.advance(event)
    notice = await world.one(Notification, Notification.kind == "created")
    (row,) = await world.deliveries(notice.id)
    assert (row.user_id, row.subscription_id, row.target_key) == (
        event.owner_user_id, None, "mail",
    )  # fmt: skip
    assert [w.notification_id for w in plan.broadcasts] == [notice.id]
    assert (plan.status, plan.subscriber_count, plan.more) == ("scheduled", 0, False)
    assert await undone(world, event) == []
    await world.advance(event)
    assert await kinds(world, event) == {"created": ["pending"]}


async def test_every_kind(world: World) -> None:
    event = await world.event()
    stays, leaves, removed = [await world.subscribe(event) for _ in range(3)]
    for one in (stays, leaves, removed):
        await world.tell(event, streams.PARTICIPANT_ADDED, {"subscription_id": one.id})
    update_id = await change(world, event, location="Garden")
    everybody = await world.notify(event)
    chosen = await world.notify(event, audience=[stays.id])
    await world.advance(event)
    await world.end(leaves.id)
    await world.end(removed.id, "removed")
    await world.tell(event, streams.PARTICIPANT_REMOVED, {"subscription_id": leaves.id})
    await world.tell(
        event, streams.PARTICIPANT_REMOVED, {"subscription_id": removed.id, "notify_others": True}
    )
    plan = await world.advance(event)
    assert plan.subscriber_count == 1
    assert len(await world.deliveries(everybody.id)) == 3
    (only,) = await world.deliveries(chosen.id)
    assert only.subscription_id == stays.id
    counts = {kind: len(rows) for kind, rows in (await kinds(world, event)).items()}
    assert counts == {
        "created": 1, "welcome": 3, "update": 3, "manual": 3 + 1 + 1, "removed": 1,
        "unsubscribed": 1,
    }  # fmt: skip
    update = await world.one(Notification, Notification.dedup_key == f"update:{update_id}")
    assert update.content["changes"] == [{"field": "location", "old": "None", "new": "Garden"}]


async def final(world: World, event: Event) -> set[tuple[str, int | None, str, str]]:
    """What the ledger says, whatever the order in which it was written."""
    async with world.db.read() as session:
        query = (
            select(
                Notification.dedup_key,
                Delivery.subscription_id,
                Delivery.target_key,
                Delivery.state,
            )
            .join(Delivery, Delivery.notification_id == Notification.id)
            .where(Notification.event_id == event.id)
        )
        rows = [tuple(row) for row in (await session.execute(query)).all()]
    assert len(rows) == len(set(rows))
    return set(rows)


@pytest.mark.parametrize("seed", range(3))
async def test_repeated_and_shuffled_rows_come_to_the_same(world: World, seed: int) -> None:
    event = await world.event()
    people = [await world.subscribe(event) for _ in range(4)]
    for one in people:
        await world.tell(event, streams.PARTICIPANT_ADDED, {"subscription_id": one.id})
    await change(world, event, location="Garden")
    await world.notify(event)
    await world.end(people[0].id)
    await world.tell(event, streams.PARTICIPANT_REMOVED, {"subscription_id": people[0].id})
    rows = [(row.kind, row.payload) for row in await undone(world, event)]
    await world.advance(event)
    expected = await final(world, event)
    assert len(expected) == 1 + 3 + 3 + 3 + 1

    shuffled = rows * 2
    random.Random(seed).shuffle(shuffled)
    for kind, payload in shuffled:
        await world.tell(event, kind, payload)
    await world.advance(event)
    assert await final(world, event) == expected

    async with world.db.write() as session:
        mine = select(Notification.id).where(Notification.event_id == event.id)
        await session.execute(delete(Delivery).where(Delivery.notification_id.in_(mine)))
        await session.execute(delete(Notification).where(Notification.kind != "manual"))
        await session.execute(update(Notification).values(expanded_at=None))
    for kind, payload in shuffled:
        await world.tell(event, kind, payload)
    await world.advance(event)
    assert await final(world, event) == expected


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (streams.EVENT_UPDATED, {"update_id": 4711}),
        (streams.EVENT_UPDATED, {"update_id": "x"}),
        (streams.SEND_MANUAL_NOTIFICATION, {"notification_id": 4711}),
        (streams.PARTICIPANT_ADDED, {"subscription_id": "many"}),
        (streams.EVENT_UPDATED, {"update_id": 10**30}),
        (streams.PARTICIPANT_REMOVED, {"notify_others": True}),
    ],
)
async def test_a_poison_row_is_put_aside(world: World, kind: str, payload: dict[str, Any]) -> None:
    event = await world.event()
    subscription = await world.subscribe(event)
    good = {"subscription_id": subscription.id}
    await world.tell(event, streams.PARTICIPANT_ADDED, good)
    await world.tell(event, kind, payload)
    await world.tell(event, streams.PARTICIPANT_ADDED, good)
    notice = await world.notify(event)
    await world.advance(event)
    assert await undone(world, event) == []
    rows = await world.rows(OutboxRow, OutboxRow.stream == event.temporal_workflow_id)
    assert [row.payload for row in rows if row.error] == [payload]
    assert await world.states(notice.id) == ["pending"]
    assert (await kinds(world, event))["welcome"] == ["pending"]


def deadlock() -> DBAPIError:
    """As asyncpg's driver reports it: no OperationalError, only a code."""

    class Driver(Exception):
        sqlstate = "40P01"

    return DBAPIError("UPDATE", {}, Driver("deadlock detected"))


@pytest.mark.parametrize(
    "error",
    [deadlock(), OperationalError("x", {}, Exception("locked")), ConnectionRefusedError()],
    ids=["deadlock", "locked", "refused"],
)
async def test_a_passing_error_makes_no_row_poison(
    world: World, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    event = await world.event()
    subscription = await world.subscribe(event)
    await world.tell(event, streams.PARTICIPANT_ADDED, {"subscription_id": subscription.id})

    async def fails(*arguments: Any) -> None:
        raise error

    with monkeypatch.context() as patched:
        patched.setitem(announcements.HANDLERS, streams.PARTICIPANT_ADDED, fails)
        with pytest.raises(type(error)):
            await world.advance(event)
    (row,) = await undone(world, event)
    assert row.error is None
    await world.advance(event)
    assert (await kinds(world, event))["welcome"] == ["pending"]


async def test_many_rows_are_taken_in_several_calls(world: World) -> None:
    event = await world.event()
    ids = await world.crowd(event, 1_200)
    async with world.db.write() as session:
        session.add_all(
            OutboxRow(
                stream=event.temporal_workflow_id,
                kind=streams.PARTICIPANT_ADDED,
                payload={"subscription_id": one},
            )
            for one in ids
        )
    plans = [await world.advance(event) for _ in range(3)]
    assert [plan.more for plan in plans] == [True, True, False]
    (welcome,) = [w for w in plans[-1].broadcasts if w.claimable > 1]
    assert welcome.claimable == 1_200
    assert await undone(world, event) == []


async def test_whole_audiences_share_a_transaction_up_to_a_size(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(advance, "MAX_EXPANDED", 10)
    event = await world.event()
    late = await world.crowd(event, 4)
    notices = [await world.notify(event) for _ in range(5)]
    await world.tell(event, streams.PARTICIPANT_ADDED, {"subscription_id": late[0]})
    sizes: list[int] = []
    for _ in range(3):
        plan = await world.advance(event)
        sizes.append(sum(w.claimable for w in plan.broadcasts) - 1)
    assert sizes == [8, 16, 21]
    assert not plan.more
    assert [len(await world.deliveries(n.id)) for n in notices] == [4] * 5


async def test_the_audience_is_as_of_the_request(world: World) -> None:
    event = await world.event()
    before = await world.subscribe(event)
    notice = await world.notify(event)
    await world.subscribe(event)
    await world.advance(event)
    rows = await world.deliveries(notice.id)
    assert [row.subscription_id for row in rows] == [before.id]
    await world.tell(event, streams.SEND_MANUAL_NOTIFICATION, {"notification_id": notice.id})
    await world.advance(event)
    assert len(await world.deliveries(notice.id)) == 1


async def test_a_cancellation_takes_back_what_was_not_sent(world: World) -> None:
    event = await world.event()
    stays, leaves = await world.subscribe(event), await world.subscribe(event)
    notice = await world.notify(event)
    await world.advance(event)
    await world.end(leaves.id)
    await world.tell(event, streams.PARTICIPANT_REMOVED, {"subscription_id": leaves.id})
    await cancel(world, event)
    plan = await world.advance(event)
    assert await world.states(notice.id) == ["suppressed", "suppressed"]
    assert (await kinds(world, event)) == {
        "created": ["suppressed"],
        "manual": ["suppressed", "suppressed"],
        "unsubscribed": ["pending"],
        "cancelled": ["pending"],
    }
    told = await world.one(Notification, Notification.kind == "cancelled")
    assert [row.subscription_id for row in await world.deliveries(told.id)] == [stays.id]
    assert (plan.status, plan.close_at) == ("cancelled", None)
    assert (await world.one(Notification, Notification.id == notice.id)).completed_at is not None


async def test_a_row_that_is_being_sent_is_not_taken_back(world: World) -> None:
    event = await world.event()
    await world.crowd(event, 2)
    notice = await world.notify(event)
    await world.advance(event)
    first, _ = await world.deliveries(notice.id)
    await world.change(
        Delivery, first.id, state="sending", lease_token="a:1", lease_until=utc_now()
    )
    await cancel(world, event)
    await world.advance(event)
    assert await world.states(notice.id) == ["sending", "suppressed"]
    assert (await world.one(Notification, Notification.id == notice.id)).completed_at is None


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_cancellation_that_comes_between_is_seen_whole(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Committed after the event was read and before its rows are; SQLite's writers take turns."""
    event = await world.event()
    undone_before = advance.outbox.undone

    async def and_meanwhile(*arguments: Any, **named: Any) -> Any:
        await cancel(world, event)
        return await undone_before(*arguments, **named)

    monkeypatch.setattr(advance.outbox, "undone", and_meanwhile)
    plan = await world.advance(event)
    assert await undone(world, event) == []
    assert (plan.status, plan.close_at) == ("cancelled", None)


async def test_reminders_go_when_the_event_is_over_but_no_remind_me(world: World) -> None:
    event = await world.event(starts_in=timedelta(hours=-1))
    subscription = await world.subscribe(event)
    start = event.start_date
    await world.add(
        Reminder(
            event_id=event.id, schedule_id="s", offset_seconds=60, anchor_at=start, due_at=start
        )
    )
    await world.add(RemindMe(subscription_id=subscription.id, at=utc_now() + timedelta(days=1)))
    plan = await world.advance(event)
    assert plan.sync_reminders
    assert (await world.one(Reminder)).removed_at is not None
    assert (await world.one(RemindMe)).cancelled_at is None
    await world.change(Event, event.id, cancelled_at=utc_now())
    await world.advance(event)
    assert (await world.one(RemindMe)).cancelled_at is not None


HAND = "3b1e"
SAID = {"title": "x", "body": "y"}


async def test_a_message_by_hand_is_sent_once_per_key(world: World) -> None:
    event = await world.event()
    chosen, _ = await world.subscribe(event), await world.subscribe(event)
    payload = {"title": "Hi", "body": "There", "subscription_ids": [chosen.id]}
    item = HandItem(streams.SEND_MANUAL_NOTIFICATION, payload, HAND)
    for _ in range(2):  # a retried activity carries the same key
        await world.advance(event, [item])
    notice = await world.one(Notification, Notification.kind == "manual")
    assert (notice.dedup_key, notice.title, notice.body) == (f"hand:{HAND}", "Hi", "There")
    assert [row.subscription_id for row in await world.deliveries(notice.id)] == [chosen.id]


async def test_a_message_by_hand_to_all_is_in_the_updates_once(world: World) -> None:
    event = await world.event()
    await world.subscribe(event)
    item = HandItem(streams.SEND_MANUAL_NOTIFICATION, {"title": "Hi", "body": "There"}, HAND)
    for _ in range(2):
        await world.advance(event, [item])
    update = await world.one(EventUpdate)
    assert (update.category, update.title, update.body) == ("announcement", "Hi", "There")
    entry = await world.one(AuditEntry, AuditEntry.action == "event.notify")
    assert (entry.actor_user_id, entry.event_id) == (None, event.id)


async def test_a_message_by_hand_to_chosen_ones_is_in_no_updates(world: World) -> None:
    event = await world.event()
    own = await world.subscribe(event)
    payload = {"title": "Hi", "body": "There", "subscription_ids": [own.id]}
    await world.advance(event, [HandItem(streams.SEND_MANUAL_NOTIFICATION, payload, HAND)])
    assert (await world.one(Notification, Notification.kind == "manual")).audience == [own.id]
    assert await world.rows(EventUpdate) == []


async def test_a_message_by_hand_about_a_cancelled_event_is_refused(world: World) -> None:
    event = await world.event()
    await world.subscribe(event)
    await cancel(world, event)
    item = HandItem(streams.SEND_MANUAL_NOTIFICATION, {"title": "Hi", "body": "There"}, HAND)
    with structlog.testing.capture_logs() as lines:
        await world.advance(event, [item])
    assert [line.get("code") for line in lines] == ["event_cancelled"]
    assert await world.rows(Notification, Notification.kind == "manual") == []


async def test_a_removal_by_hand_ends_the_subscription_and_tells_it_once(world: World) -> None:
    event = await world.event()
    gone, stays = await world.subscribe(event), await world.subscribe(event)
    other = await world.subscribe(await world.event())
    for one in (gone, other):
        payload = {"subscription_id": one.id}
        for key in ("k1", "k2"):
            await world.advance(event, [HandItem(streams.PARTICIPANT_REMOVED, payload, key)])
    rows = {row.id: row for row in await world.rows(Subscription)}
    assert (rows[gone.id].end_reason, rows[stays.id].ended_at) == ("removed", None)
    assert rows[other.id].ended_at is None, "of another event"
    farewell = await world.one(Notification, Notification.kind == "removed")
    assert [row.subscription_id for row in await world.deliveries(farewell.id)] == [gone.id]


async def test_other_signals_by_hand(world: World) -> None:
    event = await world.event()
    subscription = await world.subscribe(event)
    own = {"subscription_id": subscription.id}
    plan = await world.advance(
        event,
        [
            HandItem(streams.PARTICIPANT_ADDED, own, "k1"),
            HandItem(streams.EVENT_UPDATED, {}, "k2"),
            HandItem("no such signal", {}, "k3"),
        ],
    )
    assert await kinds(world, event) == {"created": ["pending"], "welcome": ["pending"]}
    plan = await world.advance(event, [HandItem(streams.CANCEL_EVENT, {}, "k4")])
    assert plan.status == "cancelled"
    assert (await world.one(Event, Event.id == event.id)).cancelled_at is not None
    assert (await kinds(world, event))["cancelled"] == ["pending"]
    assert len(await world.rows(EventUpdate)) == 1


@pytest.mark.parametrize(
    ("kind", "payload"),
    [
        (streams.SEND_MANUAL_NOTIFICATION, {**SAID, "subscription_ids": 5}),
        (streams.SEND_MANUAL_NOTIFICATION, {**SAID, "subscription_ids": [10**30]}),
        (streams.SEND_MANUAL_NOTIFICATION, {**SAID, "subscription_ids": [None]}),
        (streams.SEND_MANUAL_NOTIFICATION, {**SAID, "subscription_ids": [4711]}),
        (streams.SEND_MANUAL_NOTIFICATION, {"title": "no body"}),
        (streams.SEND_MANUAL_NOTIFICATION, {"title": 5, "body": "There"}),
        (streams.SEND_MANUAL_NOTIFICATION, {"notification_id": 4711}),
        (streams.EVENT_UPDATED, {"update_id": "soon"}),
        (streams.PARTICIPANT_ADDED, {"subscription_id": {"id": 1}}),
    ],
)
async def test_nonsense_by_hand_holds_up_nothing(
    world: World, kind: str, payload: dict[str, Any]
) -> None:
    event = await world.event()
    await world.subscribe(event)
    notice = await world.notify(event)
    with structlog.testing.capture_logs() as lines:
        await world.advance(event, [HandItem(kind, payload, HAND)])
    assert await world.states(notice.id) == ["pending"]
    assert await undone(world, event) == []
    assert [line["event"] for line in lines] == ["a signal sent by hand is refused"]
    assert "exc_info" not in lines[0]  # it would show what was sent


async def test_nul_by_hand_holds_up_nothing(world: World) -> None:
    """PostgreSQL refuses it, SQLite does not."""
    event = await world.event()
    await world.subscribe(event)
    item = HandItem(streams.SEND_MANUAL_NOTIFICATION, {"title": "a\0b", "body": ""}, HAND)
    notice = await world.notify(event)
    await world.advance(event, [item])
    assert await world.states(notice.id) == ["pending"]


async def test_cancelling_a_past_event_by_hand_is_refused(world: World) -> None:
    event = await world.event(starts_in=timedelta(hours=-1))
    plan = await world.advance(event, [HandItem(streams.CANCEL_EVENT, {}, HAND)])
    assert plan.status == "ended"
    assert (await world.one(Event, Event.id == event.id)).cancelled_at is None


async def test_the_plan_says_when_to_look_again(world: World) -> None:
    event = await world.event(end_date=utc_now() + timedelta(hours=50))
    subscription = await world.subscribe(event)
    due = utc_now() + timedelta(hours=3)
    await world.add(
        Reminder(
            event_id=event.id, subscription_id=subscription.id, schedule_id="s",
            offset_seconds=60, anchor_at=event.start_date, due_at=due,
        )
    )  # fmt: skip
    plan = await world.advance(event)
    assert plan.sync_reminders
    assert plan.reminders == [{"schedule_id": "s", "at": as_z(due)}]
    assert plan.over_at == as_z(event.over_at)
    assert plan.close_at == as_z(event.over_at + timedelta(days=7))
    await world.change(Reminder, (await world.one(Reminder)).id, armed_at=utc_now())
    assert not (await world.advance(event)).sync_reminders


async def test_nobody_to_tell_is_complete_at_once(world: World) -> None:
    """An empty audience, and one whose only channel is inactive."""
    empty, unreachable = await world.event(), await world.event()
    await world.through(unreachable, "json://127.0.0.1/a", is_active=False)
    for event, states in ((empty, []), (unreachable, ["pending"])):
        notice = await world.notify(event)
        plan = await world.advance(event)
        assert [w.notification_id for w in plan.broadcasts if w.notification_id == notice.id] == []
        assert await world.states(notice.id) == states
        row = await world.one(Notification, Notification.id == notice.id)
        assert row.completed_at is not None


async def test_somebody_who_waits_for_approval_is_told_nothing(world: World) -> None:
    event = await world.event()
    waiting = await world.subscribe(event, status="pending_approval")
    await world.tell(event, streams.PARTICIPANT_ADDED, {"subscription_id": waiting.id})
    notice = await world.notify(event)
    await world.advance(event)
    assert await world.deliveries(notice.id) == []
    await world.change(Subscription, waiting.id, status="active")
    await world.tell(event, streams.PARTICIPANT_ADDED, {"subscription_id": waiting.id})
    await world.advance(event)
    assert (await kinds(world, event))["welcome"] == ["pending"]
