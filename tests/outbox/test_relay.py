"""The relay pokes, and decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import event
from structlog.testing import capture_logs
from temporalio import workflow
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from soonish.config import Settings
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import relay as relay_module
from soonish.infra.outbox.relay import Relay
from soonish.infra.temporal import Temporal
from tests.support.ports import free_port
from tests.support.settings import make_settings
from tests.support.temporal import TemporalServer
from tests.support.wait import eventually
from tests.support.world import World

STREAM = "event-1-x"
OTHER = "event-2-x"


@dataclass
class Recorder:
    """Stands where the Temporal client is: what was signalled, and what to answer."""

    pokes: list[tuple[str, str, list[Any]]] = field(
        default_factory=list[tuple[str, str, list[Any]]]
    )
    error: Exception | None = None
    gate: asyncio.Event | None = None
    open: int = 0
    most_open: int = 0

    async def client(self) -> Recorder:
        return self

    async def start_workflow(self, name: str, argument: Any, **options: Any) -> None:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            if self.gate:
                await self.gate.wait()
            if self.error:
                raise self.error
            items = options["start_signal_args"][0]
            self.pokes.append((options["id"], options["start_signal"], items))
        finally:
            self.open -= 1


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def relay(database: Database, settings: Settings, recorder: Recorder) -> Relay:
    return Relay(database, recorder, settings)  # pyright: ignore[reportArgumentType]


async def put(world: World, stream: str, *kinds: str, **values: Any) -> list[int]:
    async with world.db.write() as session:
        rows = [
            OutboxRow(stream=stream, kind=kind, payload={"n": n}, **values)
            for n, kind in enumerate(kinds)
        ]
        session.add_all(rows)
    return [row.id for row in rows]


async def quiet(relay: Relay) -> None:
    """Until no poke is under way."""
    await relay.close()


@contextlib.asynccontextmanager
async def polling(relay: Relay) -> AsyncGenerator[asyncio.Task[None]]:
    task = asyncio.create_task(relay.run())
    try:
        yield task
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await relay.close()


async def test_one_signal_with_the_items_of_the_first_kind(
    world: World, relay: Relay, recorder: Recorder
) -> None:
    ids = await put(world, STREAM, "participant_added", "participant_added", "cancel_event")
    relay.nudge([STREAM])
    await quiet(relay)
    assert recorder.pokes == [
        (
            STREAM,
            "participant_added",
            [{"n": 0, "outbox_id": ids[0]}, {"n": 1, "outbox_id": ids[1]}],
        )
    ]
    rows = await world.rows(OutboxRow)
    assert [row.poked_at is not None for row in rows] == [True, True, False]
    assert [row.done_at for row in rows] == [None] * 3


async def test_at_most_500_items(world: World, relay: Relay, recorder: Recorder) -> None:
    await put(world, STREAM, *["wake"] * 520)
    relay.nudge([STREAM])
    await quiet(relay)
    assert len(recorder.pokes[0][2]) == 500


async def test_polling_pokes_each_undone_stream_once_in_30_seconds(
    world: World, relay: Relay, recorder: Recorder
) -> None:
    await put(world, STREAM, "wake")
    await put(world, OTHER, "wake", poked_at=utc_now() - timedelta(seconds=31))
    await put(world, "event-3-x", "wake", poked_at=utc_now() - timedelta(seconds=20))
    await put(world, "event-4-x", "wake", done_at=utc_now())
    async with polling(relay):
        await eventually(lambda: len(recorder.pokes) >= 2)
        await asyncio.sleep(2 * relay_module.POLL_SECONDS)
    assert sorted(stream for stream, _, _ in recorder.pokes) == [STREAM, OTHER]


async def test_one_poke_in_flight_and_later_nudges_share_the_next(
    world: World, relay: Relay, recorder: Recorder
) -> None:
    recorder.gate = asyncio.Event()
    await put(world, STREAM, "wake")
    relay.nudge([STREAM])
    await eventually(lambda: recorder.open == 1)
    for _ in range(20):
        await put(world, STREAM, "wake")
        relay.nudge([STREAM])
    recorder.gate.set()
    await quiet(relay)
    assert recorder.most_open == 1
    assert [len(items) for _, _, items in recorder.pokes] == [1, 20]


async def test_different_streams_do_not_wait_for_each_other(
    world: World, relay: Relay, recorder: Recorder
) -> None:
    recorder.gate = asyncio.Event()
    for stream in (STREAM, OTHER):
        await put(world, stream, "wake")
    relay.nudge([STREAM, OTHER])
    await eventually(lambda: recorder.open == 2)
    recorder.gate.set()
    await quiet(relay)


async def test_a_crowd_of_streams_is_poked_a_few_at_a_time(
    world: World, relay: Relay, recorder: Recorder
) -> None:
    recorder.gate = asyncio.Event()
    streams = [f"event-{number}-x" for number in range(3 * relay_module.POKES_AT_ONCE)]
    for stream in streams:
        await put(world, stream, "wake")
    relay.nudge(streams)
    await eventually(lambda: recorder.open == relay_module.POKES_AT_ONCE)
    await put(world, streams[-1], "wake")  # while it waits for its turn: one poke has both
    relay.nudge(streams[-1:])
    recorder.gate.set()
    await quiet(relay)
    assert recorder.most_open == relay_module.POKES_AT_ONCE
    assert sorted(stream for stream, _, _ in recorder.pokes) == sorted(streams)


async def test_nothing_to_say_is_not_said(relay: Relay, recorder: Recorder) -> None:
    relay.nudge([STREAM])
    await quiet(relay)
    assert recorder.pokes == []


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (RPCError("away", RPCStatusCode.UNAVAILABLE, b""), "warning"),
        (RuntimeError("no connection"), "warning"),
        (RPCError("too many signals", RPCStatusCode.INVALID_ARGUMENT, b""), "error"),
    ],
)
async def test_a_failure_leaves_the_row_undone_and_says_why(
    world: World, relay: Relay, recorder: Recorder, error: Exception, level: str
) -> None:
    recorder.error = error
    await put(world, STREAM, "wake")
    with capture_logs() as lines:
        relay.nudge([STREAM])
        await quiet(relay)
    (row,) = await world.rows(OutboxRow)
    assert (row.error, row.done_at, row.poked_at) == (str(error), None, None)
    assert [line["log_level"] for line in lines] == [level]
    recorder.error = None
    relay.nudge([STREAM])
    await quiet(relay)
    (row,) = await world.rows(OutboxRow)
    assert row.error is None
    assert len(recorder.pokes) == 1


async def test_a_stream_of_no_workflow_is_an_alarm(world: World, relay: Relay) -> None:
    await put(world, "nobody-1", "wake")
    with capture_logs() as lines:
        relay.nudge(["nobody-1"])
        await quiet(relay)
    assert [line["log_level"] for line in lines] == ["error"]
    assert (await world.one(OutboxRow)).error == "no workflow is called 'nobody-1'"


async def test_temporal_goes_and_comes_back(world: World, recorder: Recorder) -> None:
    relay = Relay(world.db, recorder, world.settings, 0.02)  # pyright: ignore[reportArgumentType]
    recorder.error = RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
    await put(world, STREAM, "wake")

    async def failed() -> bool:
        return (await world.one(OutboxRow)).error == "away"

    async with polling(relay):
        await eventually(failed)
        recorder.error = None
        await eventually(lambda: recorder.pokes)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_database_that_is_away_does_not_end_the_relay(
    world: World, recorder: Recorder, tmp_path: Path
) -> None:
    """A refused connection comes from asyncpg as it is, no SQLAlchemy error around it."""
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    settings = make_settings(tmp_path, database_url=url)
    away = Database(settings)
    relay = Relay(away, recorder, settings, 0.02)  # pyright: ignore[reportArgumentType]
    with capture_logs() as lines:
        async with polling(relay) as task:
            await eventually(lambda: len(lines) >= 3)
            relay.nudge([STREAM])
            await eventually(lambda: any("use" in line["event"] for line in lines))
            assert not task.done()
            relay._db = world.db  # pyright: ignore[reportPrivateUsage]
            await put(world, STREAM, "wake")
            await eventually(lambda: recorder.pokes)
    await away.close()


@workflow.defn(name="EventWorkflow")
class Listener:
    """Records what it hears, until it is told to end."""

    def __init__(self) -> None:
        self._heard: list[Any] = []

    @workflow.run
    async def run(self, argument: dict[str, Any]) -> list[Any]:
        await workflow.wait_condition(lambda: "end" in self._heard)
        return [argument, *self._heard]

    @workflow.signal(dynamic=True)
    async def heard(self, name: str, arguments: Sequence[RawValue]) -> None:
        payload = workflow.payload_converter().from_payload(arguments[0].payload, Any)
        self._heard += ["end"] if name == "cancel_event" else [name, payload]


async def test_signal_with_start_reaches_a_real_workflow(
    world: World, settings: Settings, temporal_server: TemporalServer
) -> None:
    """It starts the workflow, signals the one that runs, and starts one that has ended again."""
    queue, stream = f"queue-{uuid4()}", f"event-7-{uuid4()}"
    values = {"temporal_url": temporal_server.address, "temporal_task_queue": queue}
    settings = settings.model_copy(update=values)
    relay = Relay(world.db, Temporal(settings), settings)
    client = await Client.connect(temporal_server.address)
    async with Worker(
        client, task_queue=queue, workflows=[Listener], workflow_runner=UnsandboxedWorkflowRunner()
    ):
        for _ in range(2):
            (first,) = await put(world, stream, "participant_added")
            relay.nudge([stream])
            await quiet(relay)
            await relay.wake(stream)
            await world.change(OutboxRow, first, done_at=utc_now())
            (last,) = await put(world, stream, "cancel_event")
            relay.nudge([stream])
            await quiet(relay)
            await world.change(OutboxRow, last, done_at=utc_now())
            heard = await client.get_workflow_handle(stream).result()
            item = {"n": 0, "outbox_id": first}
            assert heard == [{"event_id": 7}, "participant_added", [item], "wake", {}, "end"]


async def test_pokes_that_end_together_are_noted_in_few_writes(
    world: World, relay: Relay, recorder: Recorder
) -> None:
    streams = [f"event-{number}-x" for number in range(relay_module.POKES_AT_ONCE)]
    ids = [(await put(world, stream, "wake"))[0] for stream in streams]
    updates: list[str] = []

    def note(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE outbox"):
            updates.append(statement)

    recorder.gate = asyncio.Event()
    event.listen(world.db.engine.sync_engine, "before_cursor_execute", note)
    relay.nudge(streams)
    await eventually(lambda: recorder.open == len(streams))
    recorder.gate.set()
    await relay.close()
    event.remove(world.db.engine.sync_engine, "before_cursor_execute", note)
    rows = await world.rows(OutboxRow)
    assert [row.id for row in rows if row.poked_at] == ids
    assert len(updates) <= 3
