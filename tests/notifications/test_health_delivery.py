"""What a channel's health does to deliveries: real servers that break, refuse, hang and ask to
wait; on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from soonish.delivery.ledger import ledger
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, DeliveryAttempt, Notification
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from soonish.worker import housekeeping
from tests.notifications.delivering import Delivering
from tests.support.http_sink import Reply
from tests.support.wait import eventually

BROKEN, FINE = Reply(status=500), Reply()


async def open_circuit(delivering: Delivering, event: Event, path: str = "/a") -> Integration:
    """A subscriber whose channel has just failed five times in a row."""
    subscription = await delivering.through(event, path)
    delivering.http.replies[path] = BROKEN
    for _ in range(5):
        await delivering.deliver(await delivering.world.expanded(event))
    return await delivering.channel(subscription)


async def test_five_failures_open_the_circuit_and_the_rest_wait_uncounted(
    delivering: Delivering,
) -> None:
    event = await delivering.world.event()
    channel = await open_circuit(delivering, event)
    assert channel.fail_streak == 5
    assert channel.open_until
    assert 25 < (channel.open_until - utc_now()).total_seconds() <= 30
    waiting = await delivering.world.expanded(event)
    await delivering.deliver(waiting)
    assert len(delivering.http.requests) == 5
    row = await delivering.world.one(Delivery, Delivery.notification_id == waiting.id)
    assert (row.state, row.attempts, row.claims, row.outcome) == ("pending", 0, 0, None)
    assert row.next_attempt_at == channel.open_until
    assert (row.lease_token, row.first_attempt_at) == (None, None)
    state = await delivering.settle(waiting)
    assert (state.completed, state.claimable) == (False, 0)
    assert state.wait_seconds
    assert 20 < state.wait_seconds <= 30
    assert await delivering.world.rows(
        DeliveryAttempt, DeliveryAttempt.delivery_id == row.id
    ) == []  # fmt: skip


async def test_one_probe_goes_and_its_failure_doubles_the_pause(delivering: Delivering) -> None:
    event = await delivering.world.event()
    channel = await open_circuit(delivering, event)
    waiting = [await delivering.world.expanded(event) for _ in range(4)]
    await delivering.time_passes(seconds=31)
    workers = [delivering.add_worker(), delivering.add_worker()]
    await asyncio.gather(
        *(delivering.deliver(one, workers[n % 2]) for n, one in enumerate(waiting))
    )
    assert len(delivering.http.requests) == 6
    row = await delivering.world.one(Integration, Integration.id == channel.id)
    assert (row.fail_streak, row.open_until is not None) == (6, True)
    assert 50 < (row.open_until - utc_now()).total_seconds() <= 60
    states = [(await delivering.world.deliveries(one.id))[0] for one in waiting]
    assert sorted((one.state, one.attempts) for one in states) == [
        ("pending", 0), ("pending", 0), ("pending", 0), ("retrying", 1),
    ]  # fmt: skip


async def test_a_probe_that_succeeds_lets_all_go(delivering: Delivering) -> None:
    event = await delivering.world.event()
    channel = await open_circuit(delivering, event)
    waiting = [await delivering.world.expanded(event) for _ in range(3)]
    for one in waiting:
        await delivering.deliver(one)
    delivering.http.replies["/a"] = FINE
    await delivering.time_passes(seconds=31)
    for one in waiting:
        await delivering.deliver(one)
        assert await delivering.world.states(one.id) == ["sent"]
    row = await delivering.world.one(Integration, Integration.id == channel.id)
    assert (row.fail_streak, row.failing_since, row.open_until) == (0, None, None)
    assert row.last_delivery_at is not None


async def test_what_waits_for_a_circuit_expires_in_time(delivering: Delivering) -> None:
    event = await delivering.world.event()
    await open_circuit(delivering, event)
    late = utc_now() + timedelta(seconds=10)
    waiting = await delivering.world.expanded(event, expires_at=late)
    await delivering.deliver(waiting)
    row = (await delivering.world.deliveries(waiting.id))[0]
    assert row.next_attempt_at == late  # not half a minute later
    await delivering.time_passes(seconds=10)
    state = await delivering.settle(waiting)
    assert state.completed
    assert await delivering.world.states(waiting.id) == ["expired"]
    assert len(delivering.http.requests) == 5


async def test_an_open_circuit_is_nobody_elses(delivering: Delivering) -> None:
    event = await delivering.world.event()
    await open_circuit(delivering, event)
    other = await delivering.through(event, "/b")
    by_mail = await delivering.world.subscribe(event)
    notification = await delivering.world.expanded(event)
    await delivering.deliver(notification)
    assert len(delivering.http.at("/b")) == 1
    for one in (other, by_mail):
        assert (await delivering.delivery(notification, one)).state == "sent"


@pytest.mark.parametrize("status", [401, 403, 404, 410])
async def test_a_refusal_fails_the_row_and_mails_the_owner_once(
    delivering: Delivering, status: int
) -> None:
    event = await delivering.world.event()
    subscription = await delivering.through(event, "/a", name="My room")
    delivering.http.replies["/a"] = Reply(status=status)
    for _ in range(2):
        notification = await delivering.world.expanded(event)
        await delivering.deliver(notification)
        row = await delivering.delivery(notification, subscription)
        assert (row.state, row.attempts, row.outcome) == ("failed", 1, "rejected")
    assert len(delivering.http.requests) == 2
    channel = await delivering.channel(subscription)
    assert (channel.is_active, channel.failing_since is not None) == (True, True)
    mail = await delivering.world.one(Notification, Notification.kind == "channel_failing")
    await delivering.deliver(mail)
    [received] = delivering.mail.mails
    text = received.message.as_string()
    assert "My room" in str(received.message["Subject"])
    assert f"The service answered {status}" in text
    assert f"{delivering.settings.base_url}/integrations" in text
    assert "action_url" not in text


async def test_other_refusals_fail_the_row_alone(delivering: Delivering) -> None:
    event = await delivering.world.event()
    subscription = await delivering.through(event, "/a")
    delivering.http.replies["/a"] = Reply(status=422)
    for _ in range(6):
        await delivering.deliver(await delivering.world.expanded(event))
    assert len(delivering.http.requests) == 6
    channel = await delivering.channel(subscription)
    assert (channel.fail_streak, channel.failing_since, channel.open_until) == (0, None, None)
    assert await delivering.world.rows(Notification, Notification.kind == "channel_failing") == []


async def test_five_days_of_refusals_switch_the_channel_off(delivering: Delivering) -> None:
    event = await delivering.world.event()
    subscription = await delivering.through(event, "/a")
    delivering.http.replies["/a"] = Reply(status=404)
    await delivering.deliver(await delivering.world.expanded(event))
    await delivering.world.change(
        Integration,
        (await delivering.channel(subscription)).id,
        failing_since=utc_now() - timedelta(days=5),
    )
    await delivering.deliver(await delivering.world.expanded(event))
    assert not (await delivering.channel(subscription)).is_active
    notification = await delivering.world.expanded(event)
    await delivering.deliver(notification)
    row = (await delivering.world.deliveries(notification.id))[0]
    assert (row.state, row.outcome) == ("pending", "channel_inactive")
    assert len(delivering.http.requests) == 2
    mail = await delivering.world.one(Notification, Notification.kind == "channel_off")
    await delivering.deliver(mail)
    assert "switched off" in str(delivering.mail.mails[-1].message["Subject"])


async def test_maintenance_switches_off_and_expires(delivering: Delivering) -> None:
    world = delivering.world
    event = await world.event()
    subscription = await delivering.through(event, "/a", is_active=False)
    healthy = await delivering.through(event, "/b")
    old = utc_now() - timedelta(days=6)
    failing = await world.channel((await world.user()).id, "json://h/x", failing_since=old)
    soon = utc_now() + timedelta(seconds=60)
    notification = await world.expanded(event, expires_at=soon)
    other = await world.expanded(event)
    await delivering.deliver(notification)
    assert sorted(await world.states(notification.id)) == ["pending", "sent"]
    await housekeeping.run(world.db, soon - timedelta(seconds=1))
    assert (await delivering.delivery(notification, subscription)).state == "pending"
    await housekeeping.run(world.db, soon)
    row = await delivering.delivery(notification, subscription)
    assert (row.state, row.outcome, row.finished_at) == ("expired", "expired", soon)
    assert (await delivering.delivery(notification, healthy)).state == "sent"
    assert await world.states(other.id) == ["pending", "pending"]
    assert not (await world.one(Integration, Integration.id == failing.id)).is_active


async def test_maintenance_completes_what_nobody_else_would(delivering: Delivering) -> None:
    world = delivering.world
    event = await world.event()
    await world.crowd(event, 3)
    soon = utc_now() + timedelta(seconds=60)
    notification = await world.expanded(event, expires_at=soon)
    await housekeeping.run(world.db, soon)
    assert await world.states(notification.id) == ["expired"] * 3
    row = await world.one(Notification, Notification.id == notification.id)
    assert row.completed_at == soon


async def test_a_429_slows_that_destination_only(delivering: Delivering) -> None:
    event = await delivering.world.event()
    slow = await delivering.through(event, "/slow")
    others = [await delivering.through(event, f"/{n}") for n in range(20)]
    wait = Reply(status=429, headers={"Retry-After": "60"})
    delivering.http.replies["/slow"] = [wait, FINE]
    first, second = [await delivering.world.expanded(event) for _ in range(2)]
    await delivering.deliver(first)
    row = await delivering.delivery(first, slow)
    assert (row.state, row.attempts, row.outcome) == ("retrying", 0, "rate_limited")
    await delivering.deliver(second)
    row = await delivering.delivery(second, slow)
    assert (row.state, row.attempts, row.claims, row.outcome) == ("pending", 0, 0, None)
    channel = await delivering.channel(slow)
    assert (row.next_attempt_at, channel.fail_streak) == (channel.not_before, 0)
    assert len(delivering.http.at("/slow")) == 1
    for one in (first, second):
        for other in others:
            assert (await delivering.delivery(one, other)).state == "sent"
    await delivering.time_passes(seconds=61)
    for one in (first, second):
        await delivering.deliver(one)
        assert (await delivering.delivery(one, slow)).state == "sent"
    assert (await delivering.delivery(first, slow)).attempts == 1


async def test_a_hanging_destination_holds_up_nobody(delivering: Delivering) -> None:
    """Two people wait for a server that never answers; everybody else has theirs long before."""
    world = delivering.world
    event = await world.event()
    before = [await delivering.through(event, f"/before{n}") for n in range(120)]
    hanging = [await delivering.through(event, f"/hang{n}") for n in range(2)]
    after = [await delivering.through(event, f"/after{n}") for n in range(120)]
    mailed = await world.crowd(event, 20)
    for n in range(2):
        delivering.http.replies[f"/hang{n}"] = Reply(hang=True)
    notification = await world.expanded(event)
    healthy = len(before) + len(after) + len(mailed)
    await delivering.deliver(notification)  # does not wait for the two
    states = await world.states(notification.id)
    assert (states.count("sent"), states.count("sending")) == (healthy, 2)
    for one in hanging:
        await eventually(lambda one=one: is_retrying(delivering, notification, one), 18)
        row = await delivering.delivery(notification, one)
        assert (row.state, row.outcome, row.attempts) == ("retrying", "timeout", 1)


async def is_retrying(
    delivering: Delivering, notification: Notification, one: Subscription
) -> bool:
    return (await delivering.delivery(notification, one)).state == "retrying"


async def test_a_successful_test_lets_what_waits_go_at_once(delivering: Delivering) -> None:
    from soonish.delivery.transports.outcome import Outcome, SendResult
    from soonish.domain.integrations import service as integrations
    from soonish.infra.db.models.accounts import User
    from soonish.infra.db.models.outbox import OutboxRow

    world = delivering.world
    event = await world.event()
    channel = await open_circuit(delivering, event)
    waiting = await world.expanded(event)
    await delivering.deliver(waiting)
    async with world.db.write() as session:
        owner = await session.get_one(User, channel.user_id)
        works = SendResult(Outcome.OK)
        await integrations.record_test(session, owner, channel.id, works, utc_now())
    woken = await world.rows(OutboxRow, OutboxRow.stream == f"notification-{waiting.id}")
    assert [row.kind for row in woken] == ["wake"]
    delivering.http.replies["/a"] = FINE
    await delivering.deliver(waiting)
    assert await world.states(waiting.id) == ["sent"]


async def test_a_row_put_off_is_not_ours_any_more(delivering: Delivering) -> None:
    """Another worker that took the row meanwhile keeps it."""
    event = await delivering.world.event()
    await delivering.through(event, "/a")
    notification = await delivering.world.expanded(event)
    now = utc_now()

    async def call(function: Any, *arguments: Any, **named: Any) -> Any:
        async with delivering.world.db.write() as session:
            return await function(session, *arguments, **named)

    [row] = await call(ledger.claim, notification.id, "a:1", limit=9, now=now)
    later = now + ledger.LEASE + timedelta(seconds=1)
    await call(ledger.claim, notification.id, "b:1", limit=9, now=later)
    await call(ledger.postpone, {row.id: later}, "a:1")
    found = (await delivering.world.deliveries(notification.id))[0]
    assert (found.state, found.lease_token) == ("sending", "b:1")
    await call(ledger.postpone, {row.id: later}, "b:1")
    found = (await delivering.world.deliveries(notification.id))[0]
    assert (found.state, found.next_attempt_at, found.claims) == ("pending", later, 1)
