"""Who gets a row, in one INSERT ... SELECT."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from soonish.delivery.ledger import expansion
from soonish.delivery.ledger.account_mail import add_account_mail
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.subscriptions import Subscription, SubscriptionSelector
from soonish.infra.db.types import utc_now
from tests.support.world import World

HERE = "json://127.0.0.1/here"


async def expand(world: World, notice_id: int, event_id: int, **values: Any) -> int:
    async with world.db.write() as session:
        notice = await expansion.lock(session, notice_id)
        assert notice is not None
        mine = Subscription.event_id == event_id
        return await expansion.expand(session, notice, mine, now=utc_now(), **values)


async def test_each_target_once(world: World) -> None:
    """By mail; through a tag that reaches one URL twice and another; through nothing."""
    event = await world.event()
    by_mail = await world.subscribe(event)
    user = await world.user()
    same = [await world.channel(user.id, HERE, tag=tag) for tag in ("chat", "work")]
    other = await world.channel(user.id, "json://127.0.0.1/other", tag="chat")
    off = await world.channel(user.id, "json://127.0.0.1/off", tag="off", is_active=False)
    by_tags = await world.subscribe(event, user)
    for values in ({"tag": "chat"}, {"integration_id": same[1].id}, {"integration_id": off.id},
                   {"tag": "unknown"}):  # fmt: skip
        await world.add(SubscriptionSelector(subscription_id=by_tags.id, **values))
    notice = await world.expanded(event)
    rows = await world.deliveries(notice.id)
    assert {(r.subscription_id, r.target_key.split(":")[0], r.outcome) for r in rows} == {
        (by_mail.id, "mail", None),
        (by_tags.id, same[0].url_fingerprint, None),
        (by_tags.id, other.url_fingerprint, None),
        (by_tags.id, "selector", "channel_inactive"),
        (by_tags.id, "selector", "channel_gone"),
    }
    assert len(rows) == 5
    reached = next(r for r in rows if r.target_key == same[0].url_fingerprint)
    assert reached.integration_id == min(one.id for one in same)
    assert {r.user_id for r in rows} == {by_mail.user_id, user.id}


async def test_again_adds_nobody_twice(world: World) -> None:
    event = await world.event()
    await world.crowd(event, 3)
    notice = await world.expanded(event)
    before = await world.one(Notification)
    assert await expand(world, notice.id, event.id) == 0
    await world.crowd(event, 2)
    assert await expand(world, notice.id, event.id) == 2
    assert len(await world.deliveries(notice.id)) == 5
    assert (await world.one(Notification)).expanded_at == before.expanded_at


async def test_adding_nobody_leaves_it_complete(world: World) -> None:
    event = await world.event()
    await world.subscribe(event)
    notice = await world.expanded(event)
    done = utc_now()
    await world.change(Notification, notice.id, completed_at=done)
    assert await expand(world, notice.id, event.id) == 0
    assert (await world.one(Notification)).completed_at == done
    await world.subscribe(event)
    assert await expand(world, notice.id, event.id) == 1
    assert (await world.one(Notification)).completed_at is None


async def test_one_message_per_target_and_instant(world: World) -> None:
    event = await world.event()
    await world.subscribe(event)
    due_at = utc_now() + timedelta(hours=1)
    first, second = [
        await world.add(Notification(event_id=event.id, kind="reminder", dedup_key=key))
        for key in ("personal", "remind-me")
    ]
    assert await expand(world, first.id, event.id, due_at=due_at) == 1
    assert await expand(world, second.id, event.id, due_at=due_at) == 0
    assert await expand(world, second.id, event.id, due_at=due_at + timedelta(seconds=1)) == 1


async def test_messages_live_three_days_unless_said_otherwise(world: World) -> None:
    event = await world.event()
    await world.subscribe(event)
    before = utc_now()
    notice = await world.expanded(event)
    (row,) = await world.deliveries(notice.id)
    assert row.expires_at is not None
    assert timedelta(0) <= row.expires_at - before - timedelta(hours=72) < timedelta(minutes=1)


async def test_a_large_audience(world: World) -> None:
    event = await world.event()
    await world.crowd(event, 2_000)
    notice = await world.expanded(event)
    assert len(await world.deliveries(notice.id)) == 2_000


async def test_an_account_mail_is_added_once(world: World) -> None:
    user = await world.user()
    for _ in range(2):
        async with world.db.write() as session:
            await add_account_mail(
                session, user.id, "magic_link", dedup_key="k", lifetime=timedelta(minutes=15)
            )
    (row,) = await world.rows(Delivery)
    assert (row.user_id, row.subscription_id, row.target_key) == (user.id, None, "mail")
    assert row.expires_at - row.created_at == timedelta(minutes=15)
    assert len(await world.rows(OutboxRow)) == 1
