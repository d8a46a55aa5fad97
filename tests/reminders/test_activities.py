"""sync_reminders: Temporal's schedules made to match the rows."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from temporalio.service import RPCError, RPCStatusCode

from soonish.domain.reminders import schedules
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.db.types import utc_now
from soonish.infra.temporal import Temporal
from soonish.worker.activities import reminders
from soonish.worker.activities.reminders import ScheduleActivities
from soonish.workflow_types import EventRef
from tests.support.world import World


class Book:
    """What was armed and deleted, in the place of Temporal's schedules; `meanwhile` runs first."""

    def __init__(self) -> None:
        self.armed: list[str] = []
        self.deleted: list[str] = []
        self.refuse: str | None = None
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    async def arm(self, client: Any, row: Reminder, queue: str, now: Any) -> None:
        if row.schedule_id == self.refuse:
            raise RPCError("refused", RPCStatusCode.INVALID_ARGUMENT, b"")
        await self._first()
        self.armed.append(row.schedule_id)

    async def delete(self, client: Any, schedule_id: str) -> None:
        await self._first()
        self.deleted.append(schedule_id)

    async def _first(self) -> None:
        run, self.meanwhile = self.meanwhile, None
        if run:
            await run()


class NoTemporal(Temporal):
    async def client(self) -> Any:
        return None


@pytest.fixture
def book(monkeypatch: pytest.MonkeyPatch) -> Book:
    made = Book()
    monkeypatch.setattr(schedules, "arm", made.arm)
    monkeypatch.setattr(schedules, "delete", made.delete)
    return made


async def put(world: World, event: Event, name: str, **values: Any) -> Reminder:
    due_at = event.start_date - timedelta(hours=1)
    given = {"offset_seconds": 3_600, "anchor_at": event.start_date, "due_at": due_at, **values}
    return await world.add(Reminder(event_id=event.id, schedule_id=name, **given))


async def sync(world: World, event: Event) -> int:
    temporal = NoTemporal(world.settings)
    return await ScheduleActivities(world.db, world.settings, temporal).sync_reminders(
        EventRef(event.id)
    )


async def test_what_differs_is_armed_or_deleted(world: World, book: Book) -> None:
    event, other = await world.event(), await world.event()
    now = utc_now()
    await put(world, event, "new")
    await put(world, event, "armed", armed_at=now)
    await put(world, event, "fired", fired_at=now)
    await put(world, event, "expired", expired_at=now)
    await put(world, event, "gone", armed_at=now, removed_at=now)
    await put(world, other, "another event's")
    assert await sync(world, event) == 0
    assert (book.armed, book.deleted) == (["new"], ["gone"])
    rows = {row.schedule_id: row for row in await world.rows(Reminder)}
    assert "gone" not in rows
    assert rows["new"].armed_at is not None
    assert await sync(world, event) == 0
    assert (book.armed, book.deleted) == (["new"], ["gone"])


async def test_a_bounded_number_at_a_time(
    world: World, book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reminders, "AT_ONCE", 3)
    event = await world.event()
    for number in range(7):
        await put(world, event, f"s{number}")
    lefts = [await sync(world, event) for _ in range(3)]
    assert [left > 0 for left in lefts] == [True, True, False]
    assert sorted(book.armed) == [f"s{n}" for n in range(7)]


async def test_a_row_that_moves_meanwhile_stays_unarmed(world: World, book: Book) -> None:
    event = await world.event()
    row = await put(world, event, "s")

    async def move() -> None:
        await world.change(Reminder, row.id, due_at=row.due_at + timedelta(hours=1))

    book.meanwhile = move
    await sync(world, event)
    assert (await world.one(Reminder)).armed_at is None
    await sync(world, event)
    assert (await world.one(Reminder)).armed_at is not None
    assert book.armed == ["s", "s"]


async def test_a_row_that_goes_meanwhile_is_deleted_next(world: World, book: Book) -> None:
    event = await world.event()
    row = await put(world, event, "s")

    async def remove() -> None:
        await world.change(Reminder, row.id, removed_at=utc_now())

    book.meanwhile = remove
    await sync(world, event)
    assert len(await world.rows(Reminder)) == 1
    await sync(world, event)
    assert (book.armed, book.deleted) == (["s"], ["s"])
    assert await world.rows(Reminder) == []


async def test_a_row_that_is_wanted_again_meanwhile_is_armed_next(world: World, book: Book) -> None:
    event = await world.event()
    row = await put(world, event, "s", removed_at=utc_now())

    async def want() -> None:
        await world.change(Reminder, row.id, removed_at=None)

    book.meanwhile = want
    await sync(world, event)
    assert (await world.one(Reminder)).armed_at is None
    await sync(world, event)
    assert (book.deleted, book.armed) == (["s"], ["s"])


async def test_a_refused_one_holds_up_no_other(world: World, book: Book) -> None:
    book.refuse = "bad"
    event = await world.event()
    for name in ("bad", "good"):
        await put(world, event, name)
    assert await sync(world, event) == 0
    assert book.armed == ["good"]
    assert all(row.armed_at for row in await world.rows(Reminder))
