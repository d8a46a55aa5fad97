"""The deliverer with real sinks: claim, check, send, mark."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from soonish.config import Settings
from soonish.delivery.ledger import completion, ledger
from soonish.delivery.sending import deliverer as deliver
from soonish.delivery.sending import in_flight
from soonish.delivery.sending.deliverer import Deliverer
from soonish.delivery.transports.mail.service import ServiceMail
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.delivery.transports.sender import Sender
from soonish.errors import InvalidInput
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.types import utc_now
from soonish.workflow_types import BroadcastState, DeliveryReport
from tests.support.http_sink import HttpSink, Reply
from tests.support.settings import make_settings
from tests.support.smtp_sink import SmtpSink
from tests.support.wait import eventually
from tests.support.world import World


def never() -> bool:
    return False


class Office:
    """A deliverer and the world it delivers in."""

    def __init__(self, world: World, deliverer: Deliverer) -> None:
        self.world, self.deliverer = world, deliverer

    async def run(
        self, notice: Notification, *, owner: str = "run:1", attempt: int = 1,
        stopping: Callable[[], bool] = never,
    ) -> DeliveryReport:  # fmt: skip
        return await self.deliverer.run(notice.id, owner, attempt, stopping)

    async def settle(self, notice: Notification) -> BroadcastState:
        async with self.world.db.write() as session:
            return await completion.complete_if_done(session, notice.id, utc_now())

    async def claim(self, notice: Notification, token: str, limit: int) -> list[int]:
        async with self.world.db.write() as session:
            rows = await ledger.claim(session, notice.id, token, limit=limit, now=utc_now())
        return [row.id for row in rows]


@pytest.fixture
async def office(world: World, settings: Settings, smtp_sink: SmtpSink) -> AsyncGenerator[Office]:
    made = make_settings(
        settings.soonish_home,
        database_url=settings.database_url,
        smtp_server="127.0.0.1",
        smtp_port=smtp_sink.port,
        smtp_security="none",
        smtp_from="soonish@example.com",
        egress_allowed_networks=["127.0.0.0/8"],
        delivery_batch_size=60,
    )
    sender, mailer = Sender(made, threads=16), ServiceMail(made)
    deliverer = Deliverer(world.db, made, sender, mailer)
    yield Office(world, deliverer)
    await deliverer.slow_sends.close(0)
    await asyncio.to_thread(mailer.close)
    await asyncio.to_thread(sender.close)


def counts(report: DeliveryReport) -> tuple[int, int, int]:
    return report.delivered, report.failed, report.pending


async def test_everybody_gets_it_once(
    office: Office, smtp_sink: SmtpSink, http_sink: HttpSink
) -> None:
    event = await office.world.event()
    await office.world.crowd(event, 130)
    for number in range(10):
        await office.world.through(event, http_sink.apprise_url(f"/{number}"))
    notice = await office.world.expanded(event, title="To all")
    assert counts(await office.run(notice)) == (140, 0, 0)
    assert len({mail.recipients[0] for mail in smtp_sink.mails}) == len(smtp_sink.mails) == 130
    assert sorted(r.path for r in http_sink.requests) == sorted(f"/{n}" for n in range(10))
    assert set(await office.world.states(notice.id)) == {"sent"}
    assert (await office.settle(notice)).completed
    assert counts(await office.run(notice)) == (0, 0, 0)


async def test_parallel_activities_share_the_rows(office: Office, smtp_sink: SmtpSink) -> None:
    event = await office.world.event()
    await office.world.crowd(event, 200)
    notice = await office.world.expanded(event)
    reports = await asyncio.gather(*(office.run(notice, owner=f"run:{n}") for n in range(4)))
    assert sum(report.delivered for report in reports) == 200
    assert len({mail.recipients[0] for mail in smtp_sink.mails}) == len(smtp_sink.mails) == 200
    assert (await office.settle(notice)).completed


async def test_the_next_attempt_takes_over_at_once_what_the_dead_one_held(
    office: Office, smtp_sink: SmtpSink
) -> None:
    event = await office.world.event()
    await office.world.crowd(event, 9)
    notice = await office.world.expanded(event)
    held = await office.claim(notice, "run:1:1", 5)
    async with office.world.db.write() as session:
        await ledger.mark_sent(session, held[:2], "run:1:1", utc_now())
    elsewhere = await office.claim(notice, "run:2:1", 1)
    assert counts(await office.run(notice, owner="run:1", attempt=2)) == (6, 0, 0)
    rows = {row.id: row.state for row in await office.world.deliveries(notice.id)}
    assert [i for i, state in rows.items() if state != "sent"] == elsewhere
    assert len(smtp_sink.mails) == 6


async def test_it_stops_when_told_and_gives_back(office: Office, smtp_sink: SmtpSink) -> None:
    smtp_sink.delay = 0.02
    event = await office.world.event()
    await office.world.crowd(event, 200)
    notice = await office.world.expanded(event)
    report = await office.run(notice, stopping=lambda: len(smtp_sink.mails) > 0)
    assert 0 < report.delivered < 200
    rows = await office.world.deliveries(notice.id)
    assert len(smtp_sink.mails) == sum(row.state == "sent" for row in rows) == report.delivered
    left = [row for row in rows if row.state != "sent"]
    assert {(row.state, row.claims, row.lease_token) for row in left} == {("pending", 0, None)}
    smtp_sink.delay = 0.0
    assert (await office.settle(notice)).claimable == len(left)
    await office.run(notice, owner="run:2")
    assert len({mail.recipients[0] for mail in smtp_sink.mails}) == len(smtp_sink.mails) == 200


async def test_told_to_stop_before_it_began(office: Office, smtp_sink: SmtpSink) -> None:
    event = await office.world.event()
    await office.world.subscribe(event)
    notice = await office.world.expanded(event)
    assert counts(await office.run(notice, stopping=lambda: True)) == (0, 0, 0)
    assert await office.world.states(notice.id) == ["pending"]


async def test_a_turn_that_comes_late_is_checked_again(
    office: Office, http_sink: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One host gets a quarter of the threads: 4 of 16. Who left meanwhile gets nothing."""
    monkeypatch.setattr(deliver, "MAX_CHECK_AGE_SECONDS", 0.3)
    http_sink.default = Reply(200, delay=0.6)
    event = await office.world.event()
    people = [await office.world.through(event, http_sink.apprise_url(f"/{n}")) for n in range(10)]
    notice = await office.world.expanded(event)
    running = asyncio.create_task(office.run(notice))
    await eventually(lambda: len(http_sink.requests) >= 1)
    await office.world.end(people[-1].id)
    delivered = (await running).delivered
    while not (await office.settle(notice)).completed:
        delivered += (await office.run(notice)).delivered
    assert delivered == 9
    assert http_sink.at("/9") == []
    states = await office.world.states(notice.id)
    assert sorted(states) == ["sent"] * 9 + ["suppressed"]
    assert len(http_sink.requests) == 9
    assert {row.attempts for row in await office.world.deliveries(notice.id)} == {0, 1}


async def test_a_slow_send_is_not_waited_for_and_is_marked_when_it_ends(
    office: Office, http_sink: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "STRAGGLER_SECONDS", 0.2)
    notice = await fast_and_slow(office, http_sink, Reply(200, delay=2.0))
    assert counts(await office.run(notice)) == (1, 0, 0)
    assert sorted(await office.world.states(notice.id)) == ["sending", "sent"]
    state = await office.settle(notice)
    assert (state.completed, state.claimable) == (False, 0)
    assert 0 < (state.wait_seconds or 0) <= 5  # far less than the lease
    assert counts(await office.run(notice, owner="run:2")) == (0, 0, 0)  # it is nobody else's

    async def both_sent() -> bool:
        return await office.world.states(notice.id) == ["sent", "sent"]

    await eventually(both_sent, 10)
    assert (await office.settle(notice)).completed
    assert len(http_sink.requests) == 2


async def test_a_slow_send_is_waited_for_at_the_end_and_cut_off(
    office: Office, http_sink: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is cut off stays claimed until its lease ends: it may have arrived."""
    monkeypatch.setattr(in_flight, "STRAGGLER_SECONDS", 0.2)
    slow = await fast_and_slow(office, http_sink, Reply(200, delay=1.0))
    await office.run(slow)
    await office.deliverer.slow_sends.close(10)
    assert await office.world.states(slow.id) == ["sent", "sent"]
    hanging = await fast_and_slow(office, http_sink, Reply(hang=True))
    await office.run(hanging)
    await office.deliverer.slow_sends.close(0)
    assert sorted(await office.world.states(hanging.id)) == ["sending", "sent"]


async def test_a_worker_that_is_told_to_stop_leaves_no_send_behind(
    office: Office, http_sink: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(in_flight, "STRAGGLER_SECONDS", 0.2)
    notice = await fast_and_slow(office, http_sink, Reply(200, delay=1.0))
    report = await office.run(notice, stopping=lambda: len(http_sink.at("/slow")) > 0)
    assert counts(report) == (2, 0, 0)
    assert await office.world.states(notice.id) == ["sent", "sent"]


async def fast_and_slow(office: Office, http_sink: HttpSink, slow: Reply) -> Notification:
    http_sink.replies["/slow"] = slow
    event = await office.world.event()
    for path in ("/fast", "/slow"):
        await office.world.through(event, http_sink.apprise_url(path))
    return await office.world.expanded(event)


async def test_a_channel_that_went_leaves_its_row_waiting(
    office: Office, http_sink: HttpSink
) -> None:
    event = await office.world.event()
    await office.world.through(event, http_sink.apprise_url())
    notice = await office.world.expanded(event)
    channel = await office.world.one(Integration)
    await office.world.change(Integration, channel.id, is_active=False)
    assert counts(await office.run(notice)) == (0, 0, 1)
    (row,) = await office.world.deliveries(notice.id)
    assert (row.state, row.outcome) == ("pending", "channel_inactive")
    assert (await office.settle(notice)).completed
    assert http_sink.requests == []


async def test_another_channel_with_the_same_url_serves(
    office: Office, http_sink: HttpSink
) -> None:
    event = await office.world.event()
    person = await office.world.through(event, http_sink.apprise_url())
    notice = await office.world.expanded(event)
    channel = await office.world.one(Integration)
    await office.world.change(Integration, channel.id, is_active=False)
    other = await office.world.channel(person.user_id, http_sink.apprise_url(), tag="other")
    assert counts(await office.run(notice)) == (1, 0, 0)
    used = await office.world.one(Integration, Integration.id == other.id)
    assert used.last_delivery_at is not None


async def test_an_erased_person_cannot_be_written_to(office: Office, smtp_sink: SmtpSink) -> None:
    event = await office.world.event()
    gone = await office.world.subscribe(event)
    await office.world.subscribe(event)
    notice = await office.world.expanded(event)
    await office.world.change(User, gone.user_id, email=None)
    assert counts(await office.run(notice)) == (1, 1, 0)
    states = {
        r.subscription_id: (r.state, r.outcome) for r in await office.world.deliveries(notice.id)
    }
    assert states[gone.id] == ("failed", "invalid_target")
    assert len(smtp_sink.mails) == 1


async def test_refusals_and_failures_are_told_apart(office: Office, smtp_sink: SmtpSink) -> None:
    event = await office.world.event()
    for name in ("good", "refused", "later"):
        person = await office.world.user(f"{name}@example.com")
        await office.world.subscribe(event, person)
    smtp_sink.refuse = {"refused@example.com": "550 no", "later@example.com": "451 busy"}
    notice = await office.world.expanded(event)
    assert counts(await office.run(notice)) == (1, 1, 1)
    assert await office.world.states(notice.id) == ["sent", "failed", "retrying"]
    state = await office.settle(notice)
    assert not state.completed
    assert 7 < (state.wait_seconds or 0) < 13


async def test_a_mail_has_its_own_links_and_a_stable_id(
    office: Office, smtp_sink: SmtpSink
) -> None:
    event = await office.world.event(contact="host@example.com")
    await office.world.crowd(event, 2)
    notice = await office.world.expanded(event, title="Hello")
    smtp_sink.data_reply = {"crowd2@example.com": "451 later"}
    await office.run(notice)
    smtp_sink.data_reply = {}
    async with office.world.db.write() as session:
        await session.execute(update(Delivery).values(next_attempt_at=utc_now()))
    await office.run(notice)
    first, second = (mail.message for mail in smtp_sink.mails)
    assert first["Message-ID"] != second["Message-ID"]
    assert first["List-Unsubscribe"] != second["List-Unsubscribe"]
    assert first["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert first["Reply-To"] == "host@example.com"
    row = (await office.world.deliveries(notice.id))[0]  # the one that was sent again
    assert f"{row.id}.{int(row.created_at.timestamp())}" in second["Message-ID"]


@pytest.mark.parametrize(
    "contact",
    ["bob@x.example?bcc=a@b.example", "a@[127.0.0.1]", ".a@b.example", "a@-.", "a:b@c.example"],
)
async def test_nothing_an_organizer_types_holds_up_the_mail(
    office: Office, smtp_sink: SmtpSink, contact: str
) -> None:
    event = await office.world.event(contact=contact, name="Hi {{name}}", location="{{ x }}")
    await office.world.crowd(event, 1)
    notice = await office.world.expanded(event, title="{{first_name}}", body="{{ name }} `{{x}}`")
    await office.run(notice)
    assert await office.world.states(notice.id) == ["sent"]
    (mail,) = smtp_sink.mails
    assert mail.message["Reply-To"] is None
    assert "name}}" in mail.message["Subject"]


async def test_a_mail_that_cannot_be_written_fails_and_is_let_go(
    office: Office, smtp_sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise InvalidInput("slots", "no")

    monkeypatch.setattr("soonish.delivery.transports.mail.mime._check_slots", refuse)
    event = await office.world.event()
    await office.world.crowd(event, 2)
    notice = await office.world.expanded(event)
    await office.run(notice)
    rows = await office.world.deliveries(notice.id)
    assert [(row.state, row.outcome) for row in rows] == [("failed", Outcome.UNKNOWN)] * 2
    assert smtp_sink.mails == []
    assert (await office.settle(notice)).completed


async def test_one_lanes_failure_loses_no_other_lanes_marks(
    office: Office, smtp_sink: SmtpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was sent is marked, then the activity fails; its next attempt sends the rest only."""
    event = await office.world.event()
    await office.world.crowd(event, 150)
    notice = await office.world.expanded(event)
    send_batch, calls = office.deliverer.mailer.send_batch, 0

    async def second_fails(mails: Any, **limits: Any) -> list[SendResult]:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise ConnectionResetError("the process's own trouble")
        return await send_batch(mails, **limits)

    monkeypatch.setattr(office.deliverer.mailer, "send_batch", second_fails)
    with pytest.raises(ConnectionResetError):
        await office.run(notice)
    marked = (await office.world.states(notice.id)).count("sent")
    assert marked == len(smtp_sink.mails) > 0
    report = await office.run(notice, attempt=2)
    assert report.delivered == 150 - marked
    assert len({mail.recipients[0] for mail in smtp_sink.mails}) == len(smtp_sink.mails) == 150


async def test_a_cancelled_activity_marks_what_it_has_sent(
    office: Office, smtp_sink: SmtpSink
) -> None:
    smtp_sink.delay = 0.01
    event = await office.world.event()
    await office.world.crowd(event, 120)
    notice = await office.world.expanded(event)
    running = asyncio.create_task(office.run(notice))
    await eventually(lambda: len(smtp_sink.mails) >= 60)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    smtp_sink.delay = 0.0
    marked = (await office.world.states(notice.id)).count("sent")
    await office.run(notice, attempt=2)
    assert set(await office.world.states(notice.id)) == {"sent"}
    assert len({mail.recipients[0] for mail in smtp_sink.mails}) == 120
    assert len(smtp_sink.mails) <= 120 + 150 - marked  # open and unflushed sends, no more


async def test_a_cancelled_event_stops_what_is_under_way(
    office: Office, smtp_sink: SmtpSink
) -> None:
    smtp_sink.delay = 0.02
    event = await office.world.event()
    await office.world.crowd(event, 200)
    notice = await office.world.expanded(event)
    running = asyncio.create_task(office.run(notice))
    await eventually(lambda: len(smtp_sink.mails) >= 1)
    await office.world.change(Event, event.id, cancelled_at=utc_now())
    report = await running
    assert report.delivered == len(smtp_sink.mails) < 200
    assert set(await office.world.states(notice.id)) == {"sent", "suppressed"}


async def test_a_notification_that_is_gone_is_no_work(office: Office) -> None:
    gone = Notification(id=4711)
    assert counts(await office.run(gone)) == (0, 0, 0)


async def test_expired_before_its_turn(office: Office, smtp_sink: SmtpSink) -> None:
    event = await office.world.event()
    await office.world.subscribe(event)
    notice = await office.world.expanded(event, expires_at=utc_now() - timedelta(seconds=1))
    assert counts(await office.run(notice)) == (0, 0, 0)
    (row,) = await office.world.deliveries(notice.id)
    assert (row.state, row.outcome) == ("expired", Outcome.EXPIRED)
    assert smtp_sink.mails == []
