"""BroadcastWorkflow: large audiences, retries, and who starts it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from soonish.delivery.ledger import ledger, retry
from soonish.delivery.ledger.account_mail import add_account_mail
from soonish.domain.integrations.service import url_fingerprint
from soonish.domain.notifications.service import retry_failed
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, DeliveryAttempt, Notification
from soonish.infra.db.models.subscriptions import Subscription, SubscriptionSelector
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams
from soonish.worker.workflows import passes
from tests.support.http_sink import Reply
from tests.support.wait import eventually
from tests.workflows.running import ORGANIZER, Running

SQLITE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
SIZE = 450


async def crowd_with_channels(running: Running, event: Event, size: int) -> None:
    """Subscribers with a channel each, to a path of its own, in one transaction."""
    async with running.runtime.db.write() as session:
        users = [User(name=f"p{n}") for n in range(size)]
        session.add_all(users)
        await session.flush()
        channels = []
        for number, user in enumerate(users):
            url = running.http.apprise_url(f"/p/{number}")
            channels.append(
                Integration(
                    user_id=user.id, name="Hook", tag="chat", kind="json", target="127.0.0.1",
                    apprise_url=url, url_fingerprint=url_fingerprint(url),
                )
            )  # fmt: skip
        people = [Subscription(event_id=event.id, user_id=user.id) for user in users]
        session.add_all([*channels, *people])
        await session.flush()
        session.add_all(
            SubscriptionSelector(subscription_id=s.id, integration_id=c.id)
            for s, c in zip(people, channels, strict=True)
        )


async def test_a_large_one_has_a_workflow_of_its_own(running: Running) -> None:
    event = await running.create()
    await crowd_with_channels(running, event, SIZE)
    notice = await running.world.notify(event, title="To many")
    after = await running.world.notify(event, title="After it")
    stream = streams.broadcast(notice.id)
    assert await running.result(stream) == "completed"
    await running.result(streams.broadcast(after.id))
    progress = await running.handle(stream).query("get_progress")
    assert (progress["delivered"], progress["failed"]) == (SIZE, 0)
    assert set(await running.world.states(notice.id)) == {"sent"}
    for number in range(SIZE):
        titles = [r.json()["title"] for r in running.http.at(f"/p/{number}")]
        assert titles == ["To many", "After it"], number
    events = await running.events_of(stream)
    assert len(events) < 60
    assert len(await running.events_of(event.temporal_workflow_id)) < 120
    await running.keep("event-large-broadcast", event.temporal_workflow_id)
    await running.keep("broadcast-large", stream)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries that a test can wait for."""
    monkeypatch.setattr(retry, "DELAYS_SECONDS", (0.3, 0.3))
    monkeypatch.setattr(passes, "MIN_PAUSE_SECONDS", 0.1)


@pytest.mark.usefixtures("quick")
async def test_what_is_not_taken_is_tried_again(running: Running) -> None:
    running.http.replies["/hook"] = [Reply(503), Reply(503), Reply(200)]
    event = await running.create()
    await running.world.through(event, running.http.apprise_url())
    notice = await running.world.notify(event, title="Once")
    await running.completed(notice.id)
    assert await running.result(streams.broadcast(notice.id)) == "completed"
    (row,) = await running.world.deliveries(notice.id)
    assert (row.state, row.attempts) == ("sent", 3)
    tries = await running.world.rows(DeliveryAttempt)
    assert [(t.attempt, t.status) for t in tries] == [(1, 503), (2, 503), (3, None)]
    requests = running.http.at("/hook")
    assert len(requests) == 3
    assert len({r.headers["webhook-id"] for r in requests}) == 1
    await running.keep("broadcast-retried", streams.broadcast(notice.id))


@SQLITE
async def test_a_hanging_target_holds_up_no_later_message(running: Running) -> None:
    """The next message reaches the others while the first is still being tried at the target."""
    running.http.replies["/hang"] = Reply(hang=True)
    event = await running.create()
    await running.world.through(event, running.http.apprise_url("/hang"))
    await running.world.through(event, running.http.apprise_url("/fine"))
    first = await running.world.notify(event, title="First")
    await eventually(lambda: running.http.at("/hang"), 20, "the first try")
    await running.world.notify(event, title="Second")
    assert await running.titles(2, "/fine") == ["First", "Second"]
    assert sorted(await running.world.states(first.id)) == ["sending", "sent"]


@SQLITE
@pytest.mark.usefixtures("quick")
async def test_a_dead_letter_is_sent_again_when_asked(running: Running) -> None:
    running.http.replies["/hook"] = Reply(400)
    event = await running.create()
    await running.world.through(event, running.http.apprise_url())
    notice = await running.world.notify(event)
    await running.completed(notice.id)
    assert await running.world.states(notice.id) == ["failed"]
    running.http.replies["/hook"] = Reply(200)
    async with running.runtime.db.write() as session:
        again = await session.get_one(Notification, notice.id)
        assert await retry_failed(session, again, utc_now()) == 1

    async def sent() -> bool:
        return await running.world.states(notice.id) == ["sent"]

    await eventually(sent, 20, "the second chance")
    await running.completed(notice.id)


@SQLITE
async def test_a_channel_that_comes_back_is_served(running: Running) -> None:
    event = await running.create()
    subscription = await running.world.through(event, running.http.apprise_url(), is_active=False)
    notice = await running.world.notify(event, title="Late")
    await running.completed(notice.id)
    assert await running.world.states(notice.id) == ["pending"]
    channel = await running.world.one(Integration)
    await running.world.change(Integration, channel.id, is_active=True)
    async with running.runtime.db.write() as session:
        payload = {"user_id": subscription.user_id}
        outbox.add(session, streams.broadcast(notice.id), streams.WAKE, payload)
    assert await running.titles(1) == ["Late"]
    await running.completed(notice.id)
    assert sorted(await running.world.states(notice.id)) == ["sent", "suppressed"]


@SQLITE
async def test_account_mail_is_a_broadcast_to_one(running: Running) -> None:
    user = await running.world.user("ada@example.com")
    async with running.runtime.db.write() as session:
        for _ in range(2):
            notification = await add_account_mail(
                session,
                user.id,
                "magic_link",
                dedup_key="once",
                lifetime=timedelta(minutes=15),
                extra={"purpose": "magic_link"},
            )
    await eventually(lambda: running.mail.to("ada@example.com"), 20, "the mail")
    await running.completed(notification.id)
    (mail,) = running.mail.to("ada@example.com")
    assert "/verify?token=" in mail.message.get_body(("plain",)).get_content()  # pyright: ignore
    assert await running.result(streams.broadcast(notification.id)) == "completed"
    await running.keep("broadcast-account-mail", streams.broadcast(notification.id))


@SQLITE
async def test_a_worker_that_dies_in_the_middle_loses_nothing(installation: Running) -> None:
    """Its rows are another's when their leases end; what it had sent and not marked comes twice."""
    running = installation
    event = await running.create()
    await running.world.crowd(event, 20)
    notice = await running.world.expanded(event)
    async with running.runtime.db.write() as session:
        claimed = await ledger.claim(session, notice.id, "dead:1", limit=12, now=utc_now())
        await ledger.mark_sent(session, [r.id for r in claimed[:5]], "dead:1", utc_now())
    lapsed = {"lease_until": utc_now() + timedelta(seconds=2)}
    for row in claimed[5:]:
        await running.world.change(Delivery, row.id, **lapsed)
    async with running.worker():
        await running.runtime.relay.wake(streams.broadcast(notice.id))
        await running.completed(notice.id)
    assert set(await running.world.states(notice.id)) == {"sent"}
    assert len([m for m in running.mail.mails if ORGANIZER not in m.recipients]) == 15
