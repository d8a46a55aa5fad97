"""What a reminder becomes when its instant comes, on both databases."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from soonish.domain.reminders import firing
from soonish.domain.reminders.schedules import input_of
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.reminders import END, START, Reminder, RemindMe
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.support.world import World

HOUR, DAY = 3_600, 86_400


async def reminder(world: World, event: Event, offset: int, **values: Any) -> Reminder:
    anchor_at = event.end_date if values.get("anchor") == END else event.start_date
    assert anchor_at is not None
    given = {
        "schedule_id": f"{event.id}-{values}-{offset}",
        "offset_seconds": offset,
        "anchor_at": anchor_at,
        "due_at": anchor_at - timedelta(seconds=offset),
        "armed_at": utc_now(),
        **values,
    }
    return await world.add(Reminder(event_id=event.id, **given))


async def fire(world: World, row: Reminder, now: datetime | None = None) -> int | None:
    async with world.db.write() as session:
        return await firing.fire(session, input_of(row), now or row.due_at)


async def test_a_default_reaches_all_that_chose_nothing_else(world: World) -> None:
    event = await world.event()
    everybody = await world.subscribe(event)
    await world.subscribe(event, reminder_offsets=[60])
    await world.subscribe(event, reminder_offsets=[])
    left = await world.subscribe(event)
    await world.end(left.id)
    row = await reminder(world, event, HOUR)
    notice_id = await fire(world, row)
    assert notice_id is not None
    (delivery,) = await world.deliveries(notice_id)
    assert delivery.subscription_id == everybody.id
    assert (delivery.due_at, delivery.expires_at) == (row.due_at, event.start_date)
    notice = await world.one(Notification)
    assert (notice.kind, notice.anchor, notice.anchor_at) == (
        "reminder_1hour", START, event.start_date,
    )  # fmt: skip
    assert notice.content == {"distance_seconds": HOUR, "anchor": START, "late": False}
    assert (await world.one(Reminder)).fired_at == row.due_at


@pytest.mark.parametrize(
    ("offset", "anchor", "kind"),
    [(DAY, START, "reminder_1day"), (HOUR, START, "reminder_1hour"), (7_200, START, "reminder"),
     (DAY, END, "reminder"), (HOUR, END, "reminder")],
)  # fmt: skip
async def test_the_kind_says_what_it_is(world: World, offset: int, anchor: str, kind: str) -> None:
    event = await world.event(end_date=utc_now() + timedelta(hours=60))
    await fire(world, await reminder(world, event, offset, anchor=anchor))
    assert (await world.one(Notification)).kind == kind


async def test_again_answers_the_same_and_writes_nothing(world: World) -> None:
    event = await world.event()
    await world.subscribe(event)
    row = await reminder(world, event, HOUR)
    first = await fire(world, row)
    await world.subscribe(event)  # later than the reminder: not its business
    assert await fire(world, row, row.due_at + timedelta(seconds=9)) == first
    assert len(await world.deliveries(first or 0)) == 1
    assert (await world.one(Reminder)).fired_at == row.due_at


async def test_a_personal_one_is_for_its_owner(world: World) -> None:
    event = await world.event()
    owner, _ = [await world.subscribe(event, reminder_offsets=[HOUR]) for _ in range(2)]
    default = await reminder(world, event, HOUR)
    own = await reminder(world, event, HOUR, subscription_id=owner.id)
    notice_id = await fire(world, own)
    assert [d.subscription_id for d in await world.deliveries(notice_id or 0)] == [owner.id]
    assert (await world.one(Reminder, Reminder.id == default.id)).fired_at is None
    assert await world.deliveries(await fire(world, default) or 0) == []


async def test_an_old_schedule_eats_no_key(world: World) -> None:
    event = await world.event()
    await world.subscribe(event)
    row = await reminder(world, event, HOUR)
    before = input_of(row)
    start = event.start_date + timedelta(hours=3)
    await world.change(Event, event.id, start_date=start)
    due_at = start - timedelta(hours=1)
    await world.change(Reminder, row.id, anchor_at=start, due_at=due_at, armed_at=None)
    async with world.db.write() as session:
        assert await firing.fire(session, before, row.due_at) is None
    assert await world.rows(Notification) == []
    moved = await world.one(Reminder)
    assert moved.fired_at is None
    notice_id = await fire(world, moved)
    assert len(await world.deliveries(notice_id or 0)) == 1


@pytest.mark.parametrize("why", ["cancelled", "removed", "past its anchor", "no such event"])
async def test_what_is_not_wanted_writes_nothing(world: World, why: str) -> None:
    event = await world.event()
    await world.subscribe(event)
    row = await reminder(world, event, HOUR)
    now = row.due_at
    if why == "cancelled":
        await world.change(Event, event.id, cancelled_at=utc_now())
    elif why == "removed":
        await world.change(Reminder, row.id, removed_at=utc_now())
    elif why == "past its anchor":
        now = event.start_date
    else:
        row.event_id = 4711
    assert await fire(world, row, now) is None
    assert await world.rows(Notification) == []


async def test_a_late_one_tells_the_true_distance(world: World) -> None:
    event = await world.event()
    row = await reminder(world, event, DAY)
    await fire(world, row, row.due_at + timedelta(hours=2))
    content = (await world.one(Notification)).content
    assert content == {"distance_seconds": DAY - 7_200, "anchor": START, "late": True}


async def test_reminders_of_one_instant_are_one_message(world: World) -> None:
    """A personal one and a remind-me for the same second, one target."""
    event = await world.event()
    person = await world.subscribe(event, reminder_offsets=[HOUR])
    row = await reminder(world, event, HOUR, subscription_id=person.id)
    remind_me = await world.add(RemindMe(subscription_id=person.id, at=row.due_at))
    first = await fire(world, row)
    async with world.db.write() as session:
        second = await firing.fire_remind_me(session, remind_me.id, row.due_at)
    assert first != second
    assert len(await world.deliveries(first or 0)) == 1
    assert await world.deliveries(second or 0) == []


async def test_a_countdown_fires_at_each_of_its_instants(world: World) -> None:
    event = await world.event()
    person = await world.subscribe(event)
    row = await reminder(world, event, 3 * HOUR, subscription_id=person.id, every_seconds=HOUR)
    keys: list[int | None] = []
    for number in range(3):
        due_at = event.start_date - timedelta(hours=3 - number)
        assert (await world.one(Reminder)).due_at == due_at
        with pytest.raises(firing.TooEarly) as early:  # clocks differ
            await fire(world, row, due_at - timedelta(seconds=2))
        assert early.value.left == timedelta(seconds=2)
        at = due_at + timedelta(seconds=2 * number)
        keys.append(await fire(world, row, at))
        assert await fire(world, row, at) == keys[-1]
    assert len(set(keys)) == 3
    assert None not in keys
    distances = [n.content["distance_seconds"] for n in await world.rows(Notification)]
    assert distances == [3 * HOUR, 2 * HOUR, HOUR]
    assert (await world.one(Reminder)).fired_at is not None


@pytest.mark.parametrize("every", [None, HOUR])
async def test_before_its_instant_nothing_is_written(world: World, every: int | None) -> None:
    event = await world.event()
    person = await world.subscribe(event)
    row = await reminder(world, event, 3 * HOUR, subscription_id=person.id, every_seconds=every)
    with pytest.raises(firing.TooEarly) as early:
        await fire(world, row, row.due_at - timedelta(days=1))
    assert early.value.left == timedelta(days=1)
    assert await world.rows(Notification) == []
    assert await fire(world, row) is not None


async def test_a_countdown_that_has_moved_does_not_tell_its_old_instants(world: World) -> None:
    event = await world.event()
    person = await world.subscribe(event)
    row = await reminder(world, event, 3 * HOUR, subscription_id=person.id, every_seconds=HOUR)
    now = row.due_at + timedelta(minutes=30)
    await world.change(Reminder, row.id, due_at=row.due_at + timedelta(hours=1))
    with pytest.raises(firing.TooEarly) as early:
        await fire(world, row, now)
    assert early.value.left == timedelta(minutes=30)


async def test_a_countdown_of_another_interval_is_another(world: World) -> None:
    event = await world.event()
    person = await world.subscribe(event)
    row = await reminder(world, event, 3 * HOUR, subscription_id=person.id, every_seconds=HOUR)
    await world.change(Reminder, row.id, every_seconds=2 * HOUR)
    assert await fire(world, row) is None


async def fire_remind_me(world: World, row: RemindMe) -> int | None:
    async with world.db.write() as session:
        return await firing.fire_remind_me(session, row.id, row.at)


async def test_a_remind_me(world: World) -> None:
    event = await world.event()
    person = await world.subscribe(event)
    row = await world.add(RemindMe(subscription_id=person.id, at=utc_now() + timedelta(hours=1)))
    notice_id = await fire_remind_me(world, row)
    (delivery,) = await world.deliveries(notice_id or 0)
    assert (delivery.due_at, delivery.expires_at) == (row.at, row.at + timedelta(hours=24))
    assert (await world.one(RemindMe)).fired_at == row.at
    assert await fire_remind_me(world, row) == notice_id
    assert len(await world.deliveries(notice_id or 0)) == 1


@pytest.mark.parametrize(
    ("starts_in", "ends_in", "distance", "anchor"),
    [
        (7200, None, 7200, START),
        (30, None, 60, START),
        (-30, 3600, 3600, END),
        (-7200, -3600, -3600, END),
        (-7200, None, -7200, START),
    ],
)
async def test_a_remind_me_says_how_far_off_the_event_is(
    world: World, starts_in: int, ends_in: int | None, distance: int, anchor: str
) -> None:
    now = utc_now()
    end = None if ends_in is None else now + timedelta(seconds=ends_in)
    event = await world.event(end_date=end)
    await world.change(Event, event.id, start_date=now + timedelta(seconds=starts_in))
    person = await world.subscribe(event)
    await fire_remind_me(world, await world.add(RemindMe(subscription_id=person.id, at=now)))
    said = (await world.one(Notification)).content
    assert said == {"distance_seconds": distance, "anchor": anchor}


@pytest.mark.parametrize("why", ["withdrawn", "left", "cancelled"])
async def test_a_remind_me_that_is_not_wanted(world: World, why: str) -> None:
    event = await world.event()
    person = await world.subscribe(event)
    row = await world.add(RemindMe(subscription_id=person.id, at=utc_now()))
    if why == "withdrawn":
        await world.change(RemindMe, row.id, cancelled_at=utc_now())
    elif why == "left":
        await world.end(person.id)
    else:
        await world.change(Event, event.id, cancelled_at=utc_now())
    assert await fire_remind_me(world, row) is None
    assert await world.rows(Notification) == []


async def test_somebody_who_waits_for_approval_is_not_reminded(world: World) -> None:
    event = await world.event()
    person = await world.subscribe(event)
    await world.change(Subscription, person.id, status="pending_approval")
    assert await world.deliveries(await fire(world, await reminder(world, event, HOUR)) or 0) == []
