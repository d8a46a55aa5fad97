"""Rows that wait for a channel, when one comes (docs/architecture.md#ledger)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from soonish.delivery.ledger import completion, expansion, ledger
from soonish.delivery.transports.outcome import Outcome
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.subscriptions import Subscription, SubscriptionSelector
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams
from tests.support.world import World

HERE, THERE = "json://127.0.0.1/here", "json://127.0.0.1/there"


async def come_back(world: World, notice: Notification, user_id: int, times: int = 1) -> None:
    async with world.db.write() as session:
        for _ in range(times):
            outbox.add(session, streams.broadcast(notice.id), streams.WAKE, {"user_id": user_id})
    async with world.db.write() as session:
        await expansion.consume_outbox(session, notice.id, utc_now())
    assert await world.rows(OutboxRow, OutboxRow.done_at.is_(None)) == []


async def found(world: World, notice: Notification) -> list[tuple[str, str, str | None]]:
    rows = await world.deliveries(notice.id)
    return [(row.target_key.split(":")[0], row.state, row.outcome) for row in rows]


async def waiting(world: World) -> tuple[Subscription, Integration, Notification]:
    """A subscriber whose only channel is inactive, and a completed notification."""
    event = await world.event()
    person = await world.through(event, HERE, is_active=False)
    notice = await world.expanded(event)
    async with world.db.write() as session:
        assert (await completion.complete_if_done(session, notice.id, utc_now())).completed
    return person, await world.one(Integration), notice


async def claim(world: World, notice: Notification) -> list[Any]:
    async with world.db.write() as session:
        return await ledger.claim(session, notice.id, "a:1", limit=9, now=utc_now())


async def test_a_channel_that_is_active_again(world: World) -> None:
    person, channel, notice = await waiting(world)
    assert await found(world, notice) == [("selector", "pending", "channel_inactive")]
    await world.change(Integration, channel.id, is_active=True)
    await come_back(world, notice, person.user_id, times=3)
    states = [(target, state) for target, state, _ in await found(world, notice)]
    assert states == [("selector", "suppressed"), (channel.url_fingerprint, "pending")]
    reopened = await world.one(Notification, Notification.id == notice.id)
    assert reopened.completed_at is None
    (claimed,) = await claim(world, notice)
    assert claimed.target_key == channel.url_fingerprint
    await come_back(world, notice, person.user_id)
    assert len(await world.deliveries(notice.id)) == 2


async def test_one_that_is_still_inactive_waits_on(world: World) -> None:
    person, _, notice = await waiting(world)
    await come_back(world, notice, person.user_id)
    assert await found(world, notice) == [("selector", "pending", "channel_inactive")]
    assert await claim(world, notice) == []


async def test_a_row_that_lost_its_channel_gets_it_back(world: World) -> None:
    event = await world.event()
    person = await world.through(event, HERE)
    notice = await world.expanded(event)
    (claimed,) = await claim(world, notice)
    async with world.db.write() as session:
        outcome = Outcome.CHANNEL_INACTIVE
        await ledger.mark_unreachable(session, [claimed.id], "a:1", outcome)
    await come_back(world, notice, person.user_id)
    (again,) = await claim(world, notice)
    assert again.id == claimed.id


async def test_a_row_whose_channel_has_another_url_now_is_replaced(world: World) -> None:
    event = await world.event()
    person = await world.through(event, HERE)
    notice = await world.expanded(event)
    (claimed,) = await claim(world, notice)
    async with world.db.write() as session:
        outcome = Outcome.CHANNEL_INACTIVE
        await ledger.mark_unreachable(session, [claimed.id], "a:1", outcome)
    channel = await world.one(Integration)
    other = await world.channel(person.user_id, THERE, tag="other")
    selector = await world.one(SubscriptionSelector)
    await world.change(SubscriptionSelector, selector.id, integration_id=other.id)
    await come_back(world, notice, person.user_id)
    rows = {row.target_key: row.state for row in await world.deliveries(notice.id)}
    assert rows == {channel.url_fingerprint: "suppressed", other.url_fingerprint: "pending"}


async def test_only_the_person_who_is_named(world: World) -> None:
    event = await world.event()
    first = await world.through(event, HERE, is_active=False)
    second = await world.through(event, THERE, is_active=False)
    notice = await world.expanded(event)
    for channel in await world.rows(Integration):
        await world.change(Integration, channel.id, is_active=True)
    await come_back(world, notice, first.user_id)
    (claimed,) = await claim(world, notice)
    assert claimed.subscription_id == first.id
    waits = await world.one(
        Delivery, Delivery.subscription_id == second.id, Delivery.notification_id == notice.id
    )
    assert (waits.state, waits.outcome) == ("pending", "channel_inactive")


async def test_too_late_or_gone(world: World) -> None:
    person, channel, notice = await waiting(world)
    await world.change(Integration, channel.id, is_active=True)
    (row,) = await world.deliveries(notice.id)
    await world.change(Delivery, row.id, expires_at=utc_now() - timedelta(seconds=1))
    await come_back(world, notice, person.user_id)
    assert await claim(world, notice) == []
    await world.change(Delivery, row.id, expires_at=utc_now() + timedelta(hours=1))
    await world.end(person.id)
    await come_back(world, notice, person.user_id)
    assert await world.states(notice.id) == ["suppressed"]


async def test_other_rows_of_the_stream_are_just_done(world: World) -> None:
    _, _, notice = await waiting(world)
    async with world.db.write() as session:
        outbox.add(session, streams.broadcast(notice.id), streams.WAKE, {})
    async with world.db.write() as session:
        await expansion.consume_outbox(session, notice.id, utc_now())
    assert await world.rows(OutboxRow, OutboxRow.done_at.is_(None)) == []
