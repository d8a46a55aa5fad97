"""Health in the rows of channels, shared by all who send; on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event

from soonish.delivery.channels import circuit, health
from soonish.delivery.channels.circuit import Permit
from soonish.delivery.channels.health import ChannelResult
from soonish.delivery.channels.pacing import CHAT_RATE
from soonish.delivery.ledger.account_mail import mail_owners
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.types import utc_now
from soonish.kit.rates import Rate
from tests.support.world import World

BROKEN = SendResult(Outcome.CONNECTION, "The connection failed", retryable=True)
GONE = SendResult(Outcome.REJECTED, "The service answered 404", 404)
ODD = SendResult(Outcome.REJECTED, "The service answered 422", 422)
BUSY = SendResult(Outcome.RATE_LIMITED, "Later", 429, 60, retryable=True)
URL = "json://127.0.0.1:9/a"


class Book:
    """The channels of one person; `now` moves by hand."""

    def __init__(self, world: World, user: User) -> None:
        self.world, self.user, self.now = world, user, utc_now()

    async def add(self, url: str = URL, **values: Any) -> int:
        return (await self.world.channel(self.user.id, url, **values)).id

    async def row(self, integration_id: int) -> Integration:
        return await self.world.one(Integration, Integration.id == integration_id)

    async def ask(self, *integration_ids: int, rate: Rate | None = None) -> list[Permit]:
        wanted = {n: (one, rate) for n, one in enumerate(integration_ids)}
        async with self.world.db.write() as session:
            leaves = await health.acquire(session, wanted, self.now)
        return [leaves[n] for n in range(len(wanted))]

    async def fail(self, integration_id: int, *results: SendResult, probe: bool = False) -> None:
        answers = [ChannelResult(integration_id, result, probe) for result in results]
        async with self.world.db.write() as session:
            await mail_owners(session, await health.record_failures(session, answers, self.now))

    async def succeed(self, *integration_ids: int) -> None:
        async with self.world.db.write() as session:
            await health.record_success(session, integration_ids, self.now)

    async def maintain(self, limit: int = 100) -> int:
        async with self.world.db.write() as session:
            notices = await health.switch_off_long_failing(session, self.now, limit)
            await mail_owners(session, notices)
            return len(notices)

    async def mails(self) -> list[tuple[str, Any]]:
        rows: Sequence[Notification] = await self.world.rows(Notification)
        return [(row.kind, (row.content or {})["extra"]) for row in rows]

    def later(self, **units: float) -> datetime:
        self.now += timedelta(**units)
        return self.now


@pytest.fixture
async def book(world: World) -> Book:
    return Book(world, await world.user(name="Ada"))


def marks(row: Integration) -> tuple[Any, ...]:
    return row.fail_streak, row.failing_since, row.open_until, row.not_before


async def test_the_same_url_of_one_user_is_one_channel(book: Book) -> None:
    first, second = await book.add(tag="a"), await book.add(tag="b")
    other = await book.add("json://127.0.0.1:9/b")
    stranger = await book.world.channel((await book.world.user()).id, URL)
    for one in (first, second, first, second, first):
        await book.fail(one, BROKEN)
    opened = (5, None, book.now + timedelta(seconds=30), None)
    assert marks(await book.row(first)) == marks(await book.row(second)) == opened
    assert marks(await book.row(other)) == marks(await book.row(stranger.id)) == (0, *[None] * 3)
    [a, b, free] = await book.ask(first, second, other)
    assert (a.granted, b.granted, free.granted) == (False, False, True)
    book.later(seconds=30)
    assert [leave.probe for leave in await book.ask(second, first)] == [True, False]
    await book.succeed(second)
    assert marks(await book.row(first)) == (0, None, None, None)
    assert (await book.row(first)).last_delivery_at == book.now
    assert (await book.row(other)).last_delivery_at is None


async def test_a_sibling_added_later_shares_what_is_known(book: Book) -> None:
    first = await book.add(tag="a")
    await book.fail(first, *[BROKEN] * 5)
    second = await book.add(tag="b")
    assert [leave.granted for leave in await book.ask(second)] == [False]


async def test_of_many_workers_one_gets_the_probe(book: Book) -> None:
    channel = await book.add()
    await book.fail(channel, *[BROKEN] * 5)
    book.later(seconds=31)
    leaves = await asyncio.gather(*(book.ask(channel) for _ in range(8)))
    assert sorted(leave.probe for [leave] in leaves) == [False] * 7 + [True]


async def test_of_many_workers_three_get_the_burst(book: Book) -> None:
    channel = await book.add()
    leaves = await asyncio.gather(*(book.ask(channel, rate=CHAT_RATE) for _ in range(10)))
    assert sum(leave.granted for [leave] in leaves) == 3
    assert {leave.until for [leave] in leaves if not leave.granted} == {
        book.now + timedelta(seconds=10)
    }
    book.later(seconds=10)
    assert [leave.granted for leave in await book.ask(channel, channel, rate=CHAT_RATE)] == [
        True, False,
    ]  # fmt: skip


async def test_leave_for_many_channels_costs_two_statements(book: Book) -> None:
    channels = [await book.add(f"json://127.0.0.1:9/{n}") for n in range(50)]
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        statements.append(statement)

    engine = book.world.db.engine.sync_engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    try:
        assert all(leave.granted for leave in await book.ask(*channels, rate=CHAT_RATE))
        asked = [text for text in statements if "integrations" in text]
        statements.clear()
        await book.succeed(*channels)
        succeeded = [text for text in statements if "integrations" in text]
    finally:
        sqlalchemy_event.remove(engine, "before_cursor_execute", note)
    assert (len(asked), len(succeeded)) == (2, 1)
    rows = await book.world.rows(Integration)
    assert {row.not_before for row in rows} == {book.now - timedelta(seconds=10)}
    assert {row.last_delivery_at for row in rows} == {book.now}


async def test_a_refusal_tells_the_owner_once(book: Book) -> None:
    channel = await book.add(name="My room")
    began = book.now
    for _ in range(3):
        await book.fail(channel, GONE)
        book.later(minutes=5)
    assert marks(await book.row(channel))[1] == began
    assert await book.mails() == [
        ("channel_failing", {"channel": "My room", "problem": "The service answered 404"})
    ]
    [mail] = await book.world.rows(Delivery)
    assert (mail.user_id, mail.target_key, mail.state) == (book.user.id, "mail", "pending")
    await book.succeed(channel)
    await book.fail(channel, GONE)
    assert [kind for kind, _ in await book.mails()] == ["channel_failing"] * 2


async def test_two_workers_tell_the_owner_once(book: Book) -> None:
    channel = await book.add()
    await asyncio.gather(*(book.fail(channel, GONE) for _ in range(5)))
    assert [kind for kind, _ in await book.mails()] == ["channel_failing"]
    assert (await book.row(channel)).fail_streak == 5


async def test_other_refusals_leave_no_mark(book: Book) -> None:
    channel = await book.add()
    await book.fail(channel, *[ODD] * 20)
    assert marks(await book.row(channel)) == (0, None, None, None)
    assert await book.mails() == []


async def test_retry_after_slows_that_channel_only(book: Book) -> None:
    slow, free = await book.add(), await book.add("json://127.0.0.1:9/b")
    await book.fail(slow, BUSY)
    assert marks(await book.row(slow)) == (0, None, None, book.now + timedelta(seconds=60))
    waits, goes = await book.ask(slow, free)
    assert (waits.until, goes.granted) == (book.now + timedelta(seconds=60), True)
    book.later(seconds=60)
    assert (await book.ask(slow))[0].granted


async def test_five_days_end_it_when_a_failure_is_recorded(book: Book) -> None:
    first, second = await book.add(tag="a", name="My room"), await book.add(tag="b")
    await book.fail(first, GONE)
    book.later(days=4, hours=23)
    await book.fail(second, GONE)
    assert (await book.row(first)).is_active
    book.later(hours=1)
    await book.fail(second, GONE)
    assert [(await book.row(one)).is_active for one in (first, second)] == [False, False]
    await book.fail(second, GONE)
    assert [kind for kind, _ in await book.mails()] == ["channel_failing", "channel_off"]
    assert (await book.mails())[1][1]["channel"] == "My room"


async def test_maintenance_ends_it_where_nothing_is_sent(book: Book) -> None:
    urls = [f"json://127.0.0.1:9/{n}" for n in range(3)]
    failing = [await book.add(url) for url in urls]
    healthy, young = await book.add(), await book.add("json://127.0.0.1:9/young")
    for one in failing:
        await book.fail(one, GONE)
    book.later(days=5)
    await book.fail(young, GONE)
    assert (await book.maintain(2), await book.maintain(2), await book.maintain(2)) == (2, 1, 0)
    assert [(await book.row(one)).is_active for one in failing] == [False] * 3
    assert [(await book.row(one)).is_active for one in (healthy, young)] == [True] * 2
    kinds = [kind for kind, _ in await book.mails()]
    assert (kinds.count("channel_off"), kinds.count("channel_failing")) == (3, 4)


async def test_a_success_within_five_days_saves_the_channel(book: Book) -> None:
    channel = await book.add()
    await book.fail(channel, GONE)
    book.later(days=3)
    await book.succeed(channel)
    await book.fail(channel, GONE)
    book.later(days=3)
    assert await book.maintain() == 0
    assert (await book.row(channel)).is_active


async def test_a_deleted_channel_has_no_health(book: Book) -> None:
    channel = await book.add()
    await book.world.change(Integration, channel, deleted_at=book.now)
    async with book.world.db.write() as session:
        assert await health.acquire(session, {1: (channel, CHAT_RATE)}, book.now) == {}
    await book.fail(channel, GONE, BROKEN)
    await book.succeed(channel)
    row = await book.row(channel)
    assert (marks(row), row.last_delivery_at) == ((0, None, None, None), None)
    assert await book.mails() == []


async def test_the_pause_doubles_in_the_rows_too(book: Book) -> None:
    channel = await book.add()
    await book.fail(channel, *[BROKEN] * 9)  # all under way at once: one opening, no doubling
    pauses = [30]
    for _ in range(2):
        due = (await book.row(channel)).open_until
        assert due
        book.now = due
        [leave] = await book.ask(channel)
        await book.fail(channel, BROKEN, probe=leave.probe)
        until = (await book.row(channel)).open_until
        assert until
        pauses.append(int((until - book.now).total_seconds()))
    assert pauses == [30, 60, 120]
    assert (await book.row(channel)).fail_streak == 7
    assert circuit.pause_after(7) == timedelta(seconds=120)
