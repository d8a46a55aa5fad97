"""How fast channels are sent to, by however many workers."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event as sqlalchemy_event

from soonish.config import Settings, load_settings
from soonish.errors import ConfigurationError
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.types import utc_now
from tests.notifications.delivering import Delivering

CHAT = ["json=6/3"]


async def messages(delivering: Delivering, count: int, path: str = "/a") -> list[Notification]:
    """So many notifications to one person's channel."""
    event = await delivering.world.event()
    await delivering.through(event, path)
    return [await delivering.world.expanded(event) for _ in range(count)]


async def states(delivering: Delivering) -> list[str]:
    return sorted(row.state for row in await delivering.world.rows(Delivery))


async def test_two_workers_share_one_rate(delivering: Delivering) -> None:
    waiting = await messages(delivering, 8)
    workers = [delivering.add_worker(channel_rates=CHAT) for _ in range(2)]
    await asyncio.gather(
        *(delivering.deliver(one, workers[n % 2]) for n, one in enumerate(waiting))
    )
    assert len(delivering.http.requests) == 3
    assert await states(delivering) == ["pending"] * 5 + ["sent"] * 3
    for row in await delivering.world.rows(Delivery, Delivery.state == "pending"):
        assert (row.attempts, row.claims, row.outcome) == (0, 0, None)
        assert row.next_attempt_at
        assert 0 < (row.next_attempt_at - utc_now()).total_seconds() <= 50


async def test_what_waits_goes_one_by_one_as_its_turn_comes(delivering: Delivering) -> None:
    waiting = await messages(delivering, 6)
    worker = delivering.add_worker(channel_rates=CHAT)
    arrived = list[int]()
    for _ in range(4):
        for one in waiting:
            await delivering.deliver(one, worker)
        arrived.append(len(delivering.http.requests))
        await delivering.time_passes(seconds=10)
    assert arrived == [3, 4, 5, 6]
    assert await states(delivering) == ["sent"] * 6


async def test_those_who_wait_for_one_channel_each_have_a_turn_of_their_own(
    delivering: Delivering,
) -> None:
    """Else a hundred of them would all ask again every ten seconds."""
    waiting = await messages(delivering, 7)
    worker = delivering.add_worker(channel_rates=CHAT)
    for one in waiting:
        await delivering.deliver(one, worker)
    rows = await delivering.world.rows(Delivery, Delivery.state == "pending")
    turns = sorted(row.next_attempt_at for row in rows)
    assert [later - earlier for earlier, later in itertools.pairwise(turns)] == [
        timedelta(seconds=10)
    ] * 3  # fmt: skip


async def test_a_paced_channel_holds_up_no_other(delivering: Delivering) -> None:
    world = delivering.world
    event = await world.event()
    paced = await delivering.through(event, "/paced", kind="discord")
    others = [await delivering.through(event, f"/{n}") for n in range(10)]
    for n in range(5):
        notification = await world.expanded(event)
        await delivering.deliver(notification)
        expected = "sent" if n < 3 else "pending"
        assert (await delivering.delivery(notification, paced)).state == expected
        for one in others:
            assert (await delivering.delivery(notification, one)).state == "sent"


async def test_webhooks_and_mail_have_no_rate(delivering: Delivering) -> None:
    event = await delivering.world.event()
    subscription = await delivering.through(event, "/a")
    await delivering.world.subscribe(event)
    for _ in range(12):
        await delivering.deliver(await delivering.world.expanded(event))
    assert (len(delivering.http.requests), len(delivering.mail.mails)) == (12, 12)
    assert (await delivering.channel(subscription)).not_before is None


async def test_a_broadcast_to_many_rooms_costs_no_statement_for_each(
    delivering: Delivering,
) -> None:
    event = await delivering.world.event()
    for n in range(120):
        await delivering.through(event, f"/{n}")
    notification = await delivering.world.expanded(event)
    worker = delivering.add_worker(channel_rates=CHAT)
    statements: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if "integrations" in statement.lower():
            statements.append(statement)

    engine = delivering.world.db.engine.sync_engine
    sqlalchemy_event.listen(engine, "before_cursor_execute", note)
    try:
        await delivering.deliver(notification, worker)
    finally:
        sqlalchemy_event.remove(engine, "before_cursor_execute", note)
    assert await states(delivering) == ["sent"] * 120
    assert len(statements) < 30  # three chunks, and a mark every 100 ms
    rows = await delivering.world.rows(Integration)
    assert all(row.not_before is not None for row in rows)


async def test_waiting_for_a_turn_ends_with_the_message(delivering: Delivering) -> None:
    event = await delivering.world.event()
    await delivering.through(event, "/a")
    worker = delivering.add_worker(channel_rates=["json=1/1"])
    soon = utc_now() + timedelta(seconds=20)
    for _ in range(2):
        await delivering.deliver(await delivering.world.expanded(event, expires_at=soon), worker)
    await delivering.time_passes(seconds=21)
    last = (await delivering.world.rows(Notification))[-1]
    await delivering.deliver(last, worker)
    assert await delivering.world.states(last.id) == ["expired"]
    assert len(delivering.http.requests) == 1


def test_channel_rates_are_a_setting(
    settings_for: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings_for().channel_rates == []
    given = settings_for(channel_rates="discord=6/3, slack=6/3,json=0")
    assert given.channel_rates == ["discord=6/3", "slack=6/3", "json=0"]
    monkeypatch.setenv("CHANNEL_RATES", "discord=fast")
    with pytest.raises(ConfigurationError, match=r"CHANNEL_RATES.*discord=fast"):
        load_settings()
