"""`running`: workers, relay and activities as they are, against a real Temporal and real sinks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.duration_pb2 import Duration
from temporalio.api.enums.v1 import EventType
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowHandle

from soonish.domain.events import service as events
from soonish.domain.events.schemas import EventCreate, EventPatch
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import streams
from soonish.runtime import Runtime, make_runtime
from soonish.worker.main import make_workers
from tests.support.http_sink import HttpSink
from tests.support.settings import make_settings
from tests.support.smtp_sink import SmtpSink
from tests.support.temporal import TemporalServer
from tests.support.wait import eventually
from tests.support.world import World
from tests.workflows.scrubbing import scrubbed

HISTORIES = Path(__file__).parent / "histories"
SOON = timedelta(seconds=20)
ORGANIZER = "olga@example.com"


@dataclass
class Running:
    """One installation in a namespace of its own."""

    runtime: Runtime
    client: Client
    world: World
    http: HttpSink
    mail: SmtpSink

    @contextlib.asynccontextmanager
    async def worker(self) -> AsyncGenerator[None]:
        """A worker process's workers, in this one."""
        async with contextlib.AsyncExitStack() as stack:
            for worker in make_workers(self.client, self.runtime):
                await stack.enter_async_context(worker)
            yield

    async def create(
        self, *, starts_in: timedelta = timedelta(hours=48), reminders: Sequence[int] = (),
        **fields: Any,
    ) -> Event:  # fmt: skip
        """As POST /api/events does it."""
        owner = await self.organizer()
        data = EventCreate(name="Summer party", start_date=utc_now() + starts_in, **fields)
        async with self.runtime.db.write() as session:
            return await events.create(session, owner, data, utc_now(), default_reminders=reminders)

    async def organizer(self) -> User:
        known = [user for user in await self.world.rows(User) if user.email == ORGANIZER]
        return known[0] if known else await self.world.user(ORGANIZER, name="Olga")

    async def change(self, event: Event, reminders: Sequence[int] = (), **fields: Any) -> None:
        """As PATCH does it."""
        organizer = await self.organizer()
        patch = EventPatch(**fields)
        async with self.runtime.db.write() as session:
            await events.update(
                session, event.id, organizer, patch, utc_now(), default_reminders=reminders
            )

    async def cancel(self, event: Event) -> None:
        async with self.runtime.db.write() as session:
            row = await session.get_one(Event, event.id, with_for_update=True)
            await events.cancel_locked(session, row, utc_now())

    async def welcome(self, event: Event, path: str = "/hook", **channel: Any) -> Subscription:
        """Subscribe somebody whose channel POSTs to the sink's path."""
        url = self.http.apprise_url(path)
        subscription = await self.world.through(event, url, **channel)
        payload = {"subscription_id": subscription.id}
        await self.world.tell(event, streams.PARTICIPANT_ADDED, payload)
        return subscription

    async def titles(self, count: int, path: str = "/hook") -> list[str]:
        """The titles of the first `count` messages to the path, once they are here."""
        await eventually(lambda: len(self.http.at(path)) >= count, 30, f"{count} at {path}")
        return [request.json()["title"] for request in self.http.at(path)]

    async def completed(self, notification_id: int) -> Notification:
        async def done() -> Notification | None:
            row = await self.world.one(Notification, Notification.id == notification_id)
            return row if row.completed_at else None

        return await eventually(done, 30, f"notification {notification_id} to be completed")

    def handle(self, workflow_id: str, run_id: str | None = None) -> WorkflowHandle[Any, Any]:
        return self.client.get_workflow_handle(workflow_id, run_id=run_id)

    async def result(self, workflow_id: str) -> Any:
        """What it returned, once it was started and has ended."""
        async with asyncio.timeout(40):
            return await (await self.started(workflow_id)).result()

    async def started(self, workflow_id: str) -> WorkflowHandle[Any, Any]:
        async def known() -> bool:
            return await self.runtime.temporal.describe(workflow_id) is not None

        await eventually(known, 20, f"{workflow_id} to start")
        return self.handle(workflow_id)

    async def workflow_ids(self, workflow_type: str) -> list[str]:
        query = f"WorkflowType = '{workflow_type}'"
        return [found.id async for found in self.client.list_workflows(query)]

    async def schedule_ids(self) -> list[str]:
        return sorted([found.id async for found in await self.client.list_schedules()])

    async def events_of(self, workflow_id: str) -> list[str]:
        """The types of the events of a workflow's latest run."""
        history = await self.handle(workflow_id).fetch_history()
        return [EventType.Name(event.event_type) for event in history.events]

    async def keep(self, name: str, workflow_id: str, run_id: str | None = None) -> None:
        """Commit this history for the replay tests, where its file was deleted on purpose."""
        path = HISTORIES / f"{name}.json"
        if not path.exists():
            history = await self.handle(workflow_id, run_id).fetch_history()
            path.parent.mkdir(exist_ok=True)
            path.write_text(scrubbed(history.to_json()))


async def new_namespace(address: str) -> str:
    """Ids start at 1 in each test's database, so each has its own workflows too."""
    client, name = await Client.connect(address), f"test-{uuid4()}"
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(
            namespace=name, workflow_execution_retention_period=Duration(seconds=86_400)
        )
    )
    return name


@pytest.fixture
async def runtime(
    database: Database,  # the empty one
    database_url: str,
    tmp_path: Path,
    temporal_server: TemporalServer,
    smtp_sink: SmtpSink,
) -> AsyncGenerator[Runtime]:
    settings = make_settings(
        tmp_path,
        database_url=database_url,
        temporal_url=temporal_server.address,
        temporal_namespace=await new_namespace(temporal_server.address),
        smtp_server="127.0.0.1",
        smtp_port=smtp_sink.port,
        smtp_security="none",
        smtp_from="soonish@example.com",
        egress_allowed_networks=["127.0.0.0/8"],
    )
    made = make_runtime(settings)
    yield made
    await made.close()


@pytest.fixture
async def installation(runtime: Runtime, http_sink: HttpSink, smtp_sink: SmtpSink) -> Running:
    """Everything but a worker."""
    client = await runtime.temporal.client()
    return Running(runtime, client, World(runtime.db, runtime.settings), http_sink, smtp_sink)


@pytest.fixture
async def running(installation: Running) -> AsyncGenerator[Running]:
    """With a worker and the relay."""
    async with installation.worker():
        relay = asyncio.create_task(installation.runtime.relay.run())
        yield installation
        relay.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await relay
