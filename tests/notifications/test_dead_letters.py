"""What failed for good: listed, tried again once, and never when it is too late."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from soonish.delivery.ledger import dead_letters, expansion
from soonish.delivery.transports.outcome import Outcome
from soonish.domain.integrations.service import reroute_pending, url_fingerprint
from soonish.domain.notifications import service
from soonish.errors import Conflict
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from soonish.kit.masking import mask_address
from tests.notifications.delivering import Delivering
from tests.support.http_sink import Reply

ODD = Reply(status=422)


async def one_failed(
    delivering: Delivering, path: str = "/a"
) -> tuple[Event, Notification, Subscription]:
    event = await delivering.world.event()
    subscription = await delivering.through(event, path)
    delivering.http.replies[path] = ODD
    notification = await delivering.world.expanded(event)
    await delivering.deliver(notification)
    assert (await delivering.delivery(notification, subscription)).state == "failed"
    return event, notification, subscription


async def retry(delivering: Delivering, notification: Notification) -> int:
    async with delivering.world.db.write() as session:
        row = await dead_letters.require_notification(session, notification.id)
        return await service.retry_failed(session, row, utc_now())


async def test_replay_twice_sends_once(delivering: Delivering) -> None:
    event, notification, subscription = await one_failed(delivering)
    fine = await delivering.through(event, "/fine")
    delivering.http.replies["/a"] = Reply()
    answers = await asyncio.gather(*(retry(delivering, notification) for _ in range(2)))
    assert sorted(answers) == [0, 1]
    row = await delivering.delivery(notification, subscription)
    assert (row.state, row.attempts, row.outcome, row.outcome_detail) == ("pending", 0, None, None)
    await asyncio.gather(*(delivering.deliver(notification) for _ in range(2)))
    assert await retry(delivering, notification) == 0
    await delivering.deliver(notification)
    assert len(delivering.http.at("/a")) == 2  # the refused one, and the replay
    assert (await delivering.delivery(notification, subscription)).state == "sent"
    assert await delivering.world.rows(Delivery, Delivery.subscription_id == fine.id) == []


async def test_the_same_message_id_goes_out_again(delivering: Delivering) -> None:
    _, notification, _ = await one_failed(delivering)
    await retry(delivering, notification)
    await delivering.deliver(notification)
    first, second = delivering.http.at("/a")
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_a_replay_wakes_the_broadcast_and_reopens_it(delivering: Delivering) -> None:
    world = delivering.world
    _, notification, _ = await one_failed(delivering)
    row = await world.one(Notification, Notification.id == notification.id)
    assert row.completed_at is not None
    await retry(delivering, notification)
    row = await world.one(Notification, Notification.id == notification.id)
    assert row.completed_at is None
    stream = f"notification-{notification.id}"
    assert len(await world.rows(OutboxRow, OutboxRow.stream == stream)) == 1


async def test_what_is_too_late_stays(delivering: Delivering) -> None:
    world = delivering.world
    event, notification, subscription = await one_failed(delivering)
    other = await delivering.through(event, "/b")
    row = await delivering.delivery(notification, subscription)
    await world.change(Delivery, row.id, expires_at=utc_now() - timedelta(seconds=1))
    with pytest.raises(Conflict) as refused:
        await retry(delivering, notification)
    assert refused.value.code == "notification_expired"
    assert (await delivering.delivery(notification, subscription)).state == "failed"
    young = await world.add(
        Delivery(
            notification_id=notification.id,
            user_id=other.user_id,
            subscription_id=other.id,
            target_key="mail",
            state="failed",
            outcome=Outcome.REJECTED,
            expires_at=utc_now() + timedelta(hours=1),
        )
    )
    assert await retry(delivering, notification) == 1
    assert (await delivering.delivery(notification, subscription)).state == "failed"
    assert (await world.one(Delivery, Delivery.id == young.id)).state == "pending"


async def test_a_replay_is_not_sent_to_who_has_left(delivering: Delivering) -> None:
    _, notification, subscription = await one_failed(delivering)
    await retry(delivering, notification)
    await delivering.world.end(subscription.id)
    await delivering.deliver(notification)
    assert (await delivering.delivery(notification, subscription)).state == "suppressed"
    assert len(delivering.http.requests) == 1


async def test_three_passing_failures_are_a_dead_letter_too(delivering: Delivering) -> None:
    event = await delivering.world.event()
    subscription = await delivering.through(event, "/a", name="My room")
    delivering.http.replies["/a"] = Reply(status=503)
    notification = await delivering.world.expanded(event)
    for _ in range(3):
        await delivering.deliver(notification)
        await delivering.time_passes(minutes=3)
    row = await delivering.delivery(notification, subscription)
    assert (row.state, row.attempts) == ("failed", 3)
    async with delivering.world.db.read() as session:
        [letter] = await dead_letters.failed_deliveries(session, event.id)
    assert (letter.delivery.id, letter.channel) == (row.id, "json")
    owner = await delivering.world.one(User, User.id == subscription.user_id)
    assert letter.address == mask_address(owner.email) != owner.email


async def test_a_replay_to_a_channel_that_was_replaced_goes_to_the_new_one(
    delivering: Delivering,
) -> None:
    """The old target is unreachable then, so the row waits and is routed again."""
    world = delivering.world
    _, notification, subscription = await one_failed(delivering)
    channel = await delivering.channel(subscription)
    await world.change(type(channel), channel.id, is_active=False)
    await retry(delivering, notification)
    await delivering.deliver(notification)
    row = await delivering.delivery(notification, subscription)
    assert (row.state, row.outcome) == ("pending", "channel_inactive")
    url = delivering.http.apprise_url("/new")
    new = {"apprise_url": url, "url_fingerprint": url_fingerprint(url), "is_active": True}
    await world.change(type(channel), channel.id, **new)
    async with world.db.write() as session:
        await reroute_pending(session, subscription.user_id)
    async with world.db.write() as session:
        await expansion.consume_outbox(session, notification.id, utc_now())
    await delivering.deliver(notification)
    assert len(delivering.http.at("/new")) == 1
    assert sorted(await world.states(notification.id)) == ["sent", "suppressed"]
