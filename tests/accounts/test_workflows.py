"""UserVerificationWorkflow and SessionWorkflow on a real Temporal server."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import update
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle, WorkflowHistory
from temporalio.worker import Replayer, Worker

from soonish.infra.db.models.accounts import Registration, Session, User
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.worker.activities.accounts import AccountActivities
from soonish.worker.workflows.account import SessionWorkflow, UserVerificationWorkflow
from soonish.workflow_types import SessionInput, VerificationInput
from tests.accounts.scene import PASSWORD, Scene
from tests.support.temporal import TemporalServer
from tests.support.wait import eventually

ADDRESS = "ada@example.com"
WORKFLOWS = [UserVerificationWorkflow, SessionWorkflow]
HISTORIES = Path(__file__).parent / "histories"
SECOND = 1 / 3600  # in hours

Handle = WorkflowHandle[object, object]


class Running:
    """A worker with the accounts' workflows, on a queue of its own."""

    def __init__(self, client: Client, scene: Scene) -> None:
        self.client, self.scene, self.queue = client, scene, f"queue-{uuid4()}"

    async def start_verification(self, *, signal: str | None = None) -> Handle:
        (row,) = await self.scene.rows(Registration)
        return await self.client.start_workflow(
            "UserVerificationWorkflow",
            VerificationInput(user_id=row.user_id, workflow_id=row.workflow_id),
            id=row.workflow_id,
            task_queue=self.queue,
            start_signal=signal,
            start_signal_args=[[{"outbox_id": 1}]] if signal else [],
        )

    async def start_session(self, session_id: int) -> Handle:
        return await self.client.start_workflow(
            "SessionWorkflow",
            SessionInput(session_id=session_id),
            id=f"session-{session_id}-{uuid4()}",
            task_queue=self.queue,
        )


@pytest.fixture
async def running(scene: Scene, temporal_server: TemporalServer) -> AsyncGenerator[Running]:
    client = await Client.connect(temporal_server.address)
    made = Running(client, scene)
    activities = AccountActivities(scene.db, scene.settings)
    async with Worker(
        client,
        task_queue=made.queue,
        workflows=WORKFLOWS,
        activities=[
            activities.begin_verification,
            activities.check_verification,
            activities.check_session,
        ],
    ):
        yield made


async def has_outbox(scene: Scene, stream: str) -> bool:
    return any(r.stream == stream and r.done_at is None for r in await scene.rows(OutboxRow))


async def register(scene: Scene) -> None:
    body = {"email": ADDRESS, "password": PASSWORD}
    answer = await scene.browser().post("/api/auth/register", json=body)
    assert answer.status_code == 202


async def test_a_registration_is_mailed_and_proven(running: Running) -> None:
    scene = running.scene
    await register(scene)
    handle = await running.start_verification(signal="wake")
    await eventually(scene.mails, what="the verification mail")
    await eventually(lambda: is_idle(scene, handle), what="the outbox rows to be done")
    token = await scene.last_token()
    answer = await scene.browser().post("/api/auth/verify", json={"token": token})
    assert answer.status_code == 200
    await handle.signal("verification_completed", {"registration_id": 1})
    await handle.result(rpc_timeout=timedelta(seconds=20))
    assert not await has_outbox(scene, handle.id)
    assert [mail.kind for mail in await scene.mails()] == ["verification"]
    await keep_history(handle, "verification-proven")


async def is_idle(scene: Scene, handle: Handle) -> bool:
    return not await has_outbox(scene, handle.id)


async def test_an_expired_registration_is_cleaned_up_by_its_timer(running: Running) -> None:
    scene = running.scene
    await register(scene)
    await expire(scene)
    handle = await running.start_verification()
    await handle.result(rpc_timeout=timedelta(seconds=20))
    assert await scene.rows(User) == []
    await keep_history(handle, "verification-expired")


async def expire(scene: Scene) -> None:
    soon = utc_now() + timedelta(seconds=1.5)
    async with scene.db.write() as session:
        await session.execute(update(Registration).values(expires_at=soon))


async def test_the_owner_is_told_and_the_workflow_ends(running: Running) -> None:
    scene = running.scene
    await scene.account(ADDRESS)
    async with scene.db.write() as session:
        for row in await scene.rows(Registration):
            await session.delete(row)
    await register(scene)
    handle = await running.start_verification()
    await handle.result(rpc_timeout=timedelta(seconds=20))
    assert (await scene.mails())[-1].kind == "already_registered"


async def test_nonsense_sent_by_hand_does_no_harm(running: Running) -> None:
    scene = running.scene
    await register(scene)
    handle = await running.start_verification()
    for payload in (None, "text", 7, [1, {"x": []}], {}):
        await handle.signal("wake", payload)
        await handle.signal("verification_completed", payload)
    await handle.signal("wake")
    await eventually(scene.mails)
    described = await handle.describe()
    assert described.status == WorkflowExecutionStatus.RUNNING
    await handle.terminate()
    gone = await running.client.start_workflow(
        "UserVerificationWorkflow",
        VerificationInput(user_id=4711, workflow_id="user-verification-4711-x"),
        id=f"user-verification-4711-{uuid4()}",
        task_queue=running.queue,
    )
    await gone.result(rpc_timeout=timedelta(seconds=20))


async def test_a_session_is_ended_when_it_has_been_idle(running: Running) -> None:
    scene = running.scene
    browser = await scene.account(ADDRESS)
    scene.settings.session_idle_hours = 2 * SECOND
    (row,) = await scene.rows(Session)
    handle = await running.start_session(row.id)
    await handle.result(rpc_timeout=timedelta(seconds=20))
    (row,) = await scene.rows(Session)
    assert row.ended_at is not None
    assert not await has_outbox(scene, f"session-{row.id}")
    assert (await browser.get("/api/users/me")).status_code == 401
    await keep_history(handle, "session-idle")


async def test_a_session_that_logs_out_ends_its_workflow(running: Running) -> None:
    scene = running.scene
    browser = await scene.account(ADDRESS)
    (row,) = await scene.rows(Session)
    handle = await running.start_session(row.id)
    stream = f"session-{row.id}"
    await eventually(lambda: no_outbox(scene, stream), what="its first look")
    assert (await browser.post("/api/auth/logout")).status_code == 204
    assert await has_outbox(scene, stream)
    await handle.signal("ended", {"session_id": row.id})
    await handle.result(rpc_timeout=timedelta(seconds=20))
    assert not await has_outbox(scene, stream)
    await keep_history(handle, "session-ended")


async def no_outbox(scene: Scene, stream: str) -> bool:
    return not await has_outbox(scene, stream)


async def test_a_waiting_session_costs_nothing(running: Running) -> None:
    scene = running.scene
    await scene.account(ADDRESS)
    (row,) = await scene.rows(Session)
    handle = await running.start_session(row.id)
    await eventually(lambda: no_outbox(scene, f"session-{row.id}"))
    async with scene.db.write() as session:
        outbox.add(session, f"session-{row.id}", "wake", {})
    await handle.signal("wake", {})
    await eventually(lambda: no_outbox(scene, f"session-{row.id}"))
    history = await handle.fetch_history()
    timers = [e for e in history.events if e.HasField("timer_started_event_attributes")]
    assert len(timers) <= 2
    await handle.terminate()


async def keep_history(handle: Handle, name: str) -> None:
    """Rewrite a committed history; only where its file was deleted on purpose."""
    path = HISTORIES / f"{name}.json"
    if not path.exists():
        history = await handle.fetch_history()
        path.parent.mkdir(exist_ok=True)
        path.write_text(history.to_json() + "\n")


@pytest.mark.parametrize(
    "name", ["verification-proven", "verification-expired", "session-idle", "session-ended"]
)
async def test_committed_histories_replay(name: str) -> None:
    recorded = json.loads((HISTORIES / f"{name}.json").read_text())
    history = WorkflowHistory.from_json(f"replayed-{name}", recorded)
    await Replayer(workflows=WORKFLOWS).replay_workflow(history)
