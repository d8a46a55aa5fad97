"""Signals that come again, in any order, and far more of them than one run of a workflow takes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any
from urllib.parse import urlsplit

from temporalio.service import RPCError

from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.outbox import streams
from tests.chaos.conftest import Figures
from tests.chaos.forms import SQLITE, amounts, chance, rounds
from tests.support.wait import eventually
from tests.workflows.running import Running

TIMES = 3  # that each signal is sent, before the worker is there and again after it has ended
SUGGESTED_EVENTS = 4096  # from which Temporal suggests to continue as new
SENDERS = 40


class Plot:
    """An event with all that can be said about it written, and nothing of it told yet."""

    def __init__(self, running: Running, prefix: str) -> None:
        self.running, self.prefix = running, prefix
        self.event = Event()

    async def write(self) -> Sequence[OutboxRow]:
        """Its outbox rows, none of them done."""
        running, nudge = self.running, self.running.runtime.db.on_commit
        running.runtime.db.on_commit = None
        try:
            self.event = await running.create()
            members = [await running.welcome(self.event, f"/{self.prefix}/{n}") for n in "abc"]
            await running.change(self.event, location="Garden")
            await running.world.notify(self.event, title="Bring a cake")
            await running.world.end(members[2].id)
            payload = {"subscription_id": members[2].id}
            await running.world.tell(self.event, streams.PARTICIPANT_REMOVED, payload)
            await running.world.notify(self.event, title="Bring a chair")
        finally:
            running.runtime.db.on_commit = nudge
        stream = self.event.temporal_workflow_id
        return await running.world.rows(OutboxRow, OutboxRow.stream == stream)

    async def repeat(self, rows: Sequence[OutboxRow], dice: Random) -> None:
        """Signal every row several times, in an order that nobody intended."""
        signals = list(rows) * TIMES
        dice.shuffle(signals)
        for row in signals:
            items = [{**row.payload, "outbox_id": row.id}]
            await self.running.runtime.relay.signal(row.stream, row.kind, items)

    async def end(self) -> None:
        """Wait until a message that was written last is through, and so everything before it."""
        told = await self.running.world.notify(self.event, title="The end")
        await self.running.completed(told.id)
        await eventually(self._all_completed, 40, "all notifications to be completed")

    async def _all_completed(self) -> bool:
        rows = await self._notifications()
        return all(row.completed_at for row in rows)

    async def _notifications(self) -> Sequence[Notification]:
        of_event = Notification.event_id == self.event.id
        return await self.running.world.rows(Notification, of_event)

    async def outcome(self) -> dict[str, Any]:
        """What the ledger says, and what arrived where, in order."""
        world, said = self.running.world, list[tuple[str, str | None, str, str]]()
        for row in await self._notifications():
            for delivery in await world.deliveries(row.id):
                said.append((row.kind, row.title, await self._target(delivery), delivery.state))
        here = f"/{self.prefix}/"
        paths = sorted({r.path for r in self.running.http.requests if r.path.startswith(here)})
        arrived = {
            path.removeprefix(here): [r.json()["title"] for r in self.running.http.at(path)]
            for path in paths
        }
        return {"ledger": sorted(said, key=str), "arrived": arrived}

    async def _target(self, delivery: Delivery) -> str:
        owned = Integration.user_id == delivery.user_id
        found = await self.running.world.rows(Integration, owned)
        return urlsplit(found[0].apprise_url).path[-1] if found else "mail"


@SQLITE
@rounds(short=2, full=50)
async def test_repeated_and_shuffled_signals_change_nothing(
    installation: Running, rounds: int, figures: Figures
) -> None:
    straight = Plot(installation, "straight")
    await straight.write()
    plots = [Plot(installation, f"round{number}") for number in range(rounds)]
    written = [await plot.write() for plot in plots]
    for number, (plot, rows) in enumerate(zip(plots, written, strict=True)):
        await plot.repeat(rows, chance("before", number))
    async with installation.worker():
        relay = installation.runtime.relay
        relay.nudge([straight.event.temporal_workflow_id])
        await straight.end()
        wanted = await straight.outcome()
        assert wanted["arrived"]["a"][-1] == "The end"
        assert len(wanted["ledger"]) > 10
        for number, (plot, rows) in enumerate(zip(plots, written, strict=True)):
            await plot.repeat(rows, chance("after", number))
            await plot.end()
            await plot.repeat(rows, chance("at last", number))
            assert await plot.outcome() == wanted
        undone = OutboxRow.done_at.is_(None)
        assert await installation.world.rows(OutboxRow, undone) == []
        await relay.close()
    messages = sum(len(titles) for titles in wanted["arrived"].values())
    arrived = len(installation.http.requests) - messages * (rounds + 1)
    figures(rounds=rounds, messages=messages * rounds, duplicates=arrived)
    assert arrived == 0


@SQLITE
@amounts("signals", short=4_500, full=25_000)
async def test_a_flood_of_signals_continues_as_new(
    running: Running, signals: int, figures: Figures
) -> None:
    """Temporal refuses more than 10,000 signals a run: the workflow must go on in new ones."""
    event = await running.create()
    await running.welcome(event, "/early")
    await running.titles(1, "/early")
    handle = running.handle(event.temporal_workflow_id)
    first_run = (await handle.describe()).run_id
    waiting = asyncio.Queue[int]()
    for number in range(signals):
        waiting.put_nowait(number)

    async def send() -> None:
        while not waiting.empty():
            number = waiting.get_nowait()
            try:
                await handle.signal(streams.PARTICIPANT_ADDED, [{"outbox_id": -number}])
            except RPCError:  # between two runs, or too many at once: as the relay, try again
                waiting.put_nowait(number)
                await asyncio.sleep(0.2)

    await asyncio.gather(*(send() for _ in range(SENDERS)))
    await running.welcome(event, "/late")
    assert await running.titles(1, "/late") == ["You're subscribed to Summer party"]
    assert signals > SUGGESTED_EVENTS
    await eventually(lambda: is_another(running, event, first_run), 60, "a run of its own")
    undone = await running.world.rows(OutboxRow, OutboxRow.done_at.is_(None))
    lost, duplicates = len(undone), len(running.http.requests) - 2
    figures(messages=2, lost=lost, duplicates=duplicates)
    assert (lost, duplicates) == (0, 0)


async def is_another(running: Running, event: Event, run_id: str | None) -> bool:
    return (await running.handle(event.temporal_workflow_id).describe()).run_id != run_id
