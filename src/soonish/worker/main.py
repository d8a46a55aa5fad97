"""Run a worker process (`python -m soonish.worker`): workflows, activities, relay, reconcile."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

import structlog
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from soonish.config import Settings, load_settings
from soonish.delivery.sending.deliverer import Deliverer
from soonish.infra.db.errors import DATABASE_ERRORS, error_name
from soonish.local.parent import notify_ready, watch_parent
from soonish.ops import installation
from soonish.ops.key_watch import KeyWatch
from soonish.ops.logging import configure_logging
from soonish.runtime import Runtime, make_runtime, tune_garbage_collection
from soonish.worker.activities.accounts import AccountActivities
from soonish.worker.activities.broadcasts import BroadcastActivities
from soonish.worker.activities.events import EventActivities
from soonish.worker.activities.maintenance import RetentionActivities
from soonish.worker.activities.reminders import ReminderActivities, ScheduleActivities
from soonish.worker.interceptors import HeartbeatInterceptor, LogInterceptor
from soonish.worker.reconcile import Reconcile
from soonish.worker.workflows.account import SessionWorkflow, UserVerificationWorkflow
from soonish.worker.workflows.broadcast import BroadcastWorkflow
from soonish.worker.workflows.event import EventWorkflow
from soonish.worker.workflows.maintenance import MaintenanceWorkflow
from soonish.worker.workflows.reminder import AdhocReminderWorkflow, ReminderWorkflow

WORKFLOWS = [
    EventWorkflow,
    BroadcastWorkflow,
    ReminderWorkflow,
    AdhocReminderWorkflow,
    UserVerificationWorkflow,
    SessionWorkflow,
    MaintenanceWorkflow,
]
GRACE = timedelta(seconds=8)  # the time that attempts in flight get at shutdown
CACHED_WORKFLOWS = 300  # each takes about 150 KB; others are replayed from their history
CLOSE_SECONDS = 1.0  # after that grace
log = structlog.get_logger()


def activities_of(runtime: Runtime) -> list[Any]:
    """Return all activities, as bound methods of the objects that hold their dependencies."""
    deliverer = Deliverer(
        runtime.db, runtime.settings, runtime.sender, runtime.mailer, runtime.slow_sends
    )
    accounts = AccountActivities(runtime.db, runtime.settings)
    broadcast = BroadcastActivities(runtime.db, deliverer)
    events = EventActivities(runtime.db, runtime.settings)
    schedules = ScheduleActivities(runtime.db, runtime.settings, runtime.temporal)
    reminders = ReminderActivities(runtime.db, broadcast)
    retention = RetentionActivities(runtime.db, runtime.settings)
    return [
        method
        for owner in (accounts, broadcast, events, schedules, reminders, retention)
        for method in _activity_methods(owner)
    ]


def _activity_methods(owner: object) -> list[Any]:
    methods = [getattr(owner, name) for name in dir(owner) if not name.startswith("_")]
    return [m for m in methods if hasattr(m, "__temporal_activity_definition")]


def make_workers(client: Client, runtime: Runtime, queues: Collection[str] = ()) -> list[Worker]:
    """Return one worker, or one for workflows and one for activities if their queues differ.

    `queues` limits them to those that serve one of these queues.
    """
    settings = runtime.settings
    activities = activities_of(runtime)
    if settings.workflow_queue == settings.activity_queue:
        return [_worker(client, settings, settings.workflow_queue, WORKFLOWS, activities)]
    duties = [(settings.workflow_queue, WORKFLOWS, []), (settings.activity_queue, [], activities)]
    return [
        _worker(client, settings, queue, workflows, acts)
        for queue, workflows, acts in duties
        if not queues or queue in queues
    ]


def _worker(
    client: Client,
    settings: Settings,
    queue: str,
    workflows: Sequence[type],
    activities: Sequence[Any],
) -> Worker:
    return Worker(
        client,
        task_queue=queue,
        workflows=workflows,
        activities=activities,
        workflow_runner=SandboxedWorkflowRunner(
            restrictions=SandboxRestrictions.default.with_passthrough_modules("soonish")
        ),
        interceptors=[LogInterceptor(), HeartbeatInterceptor()],
        max_concurrent_activities=settings.max_concurrent_activities,
        max_concurrent_workflow_tasks=settings.max_concurrent_workflow_tasks,
        max_concurrent_activity_task_polls=settings.max_concurrent_activity_task_polls,
        max_concurrent_workflow_task_polls=settings.max_concurrent_workflow_task_polls,
        graceful_shutdown_timeout=GRACE,
        max_cached_workflows=CACHED_WORKFLOWS,
    )


async def run(settings: Settings, stop: asyncio.Event, queues: Collection[str] = ()) -> None:
    """Work until `stop` is set, on these task queues (default: all). Waits for Temporal."""
    runtime = make_runtime(settings, in_background=True)
    await installation.check_fingerprint_key(runtime.db)
    reconcile = Reconcile(runtime.db, runtime.temporal, runtime.relay, settings)
    background = [
        asyncio.create_task(runtime.relay.run()),
        asyncio.create_task(installation.keep_worker_lease(runtime.db)),
    ]
    try:
        async with KeyWatch(runtime.db, settings).running():
            client = await _connected(runtime, stop)
            if client is not None:
                background.append(asyncio.create_task(reconcile.run()))
                await _work(client, runtime, stop, queues)
    finally:
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
        await _release_leases(runtime, reconcile)
        await runtime.close(CLOSE_SECONDS)


async def _release_leases(runtime: Runtime, reconcile: Reconcile) -> None:
    try:
        await reconcile.step_down()
        await installation.release_worker_lease(runtime.db)
    except DATABASE_ERRORS as error:
        log.warning("the worker's leases stay until they end", error=error_name(error))


async def _connected(runtime: Runtime, stop: asyncio.Event) -> Client | None:
    """Wait until Temporal answers for the namespace; return None if `stop` is set before."""
    tries = 0
    while not stop.is_set():
        try:
            client = await runtime.temporal.client()
            await client.count_workflows("WorkflowType = 'EventWorkflow'")
        except (RPCError, RuntimeError) as error:
            if tries % 60 == 0:
                log.warning("waiting for Temporal", error=type(error).__name__)
            tries += 1
            await _sleep_or_stop(stop, 0.1 if tries < 50 else 1.0)
        else:
            return client
    return None


async def _sleep_or_stop(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _work(
    client: Client, runtime: Runtime, stop: asyncio.Event, queues: Collection[str]
) -> None:
    workers = make_workers(client, runtime, queues)
    running = [asyncio.create_task(worker.run()) for worker in workers]
    notify_ready()
    log.info("worker ready", queue=runtime.settings.workflow_queue)
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait([stopped, *running], return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    ending = [worker.shutdown() for worker in workers]
    await asyncio.gather(*ending, runtime.slow_sends.close(GRACE.total_seconds()))
    await asyncio.gather(*running)


async def _main(queues: Collection[str]) -> None:
    settings = load_settings()
    configure_logging(settings, "worker")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    watch_parent()
    tune_garbage_collection()
    await run(settings, stop, queues)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one worker process until SIGTERM or SIGINT; `--queue NAME` chooses its task queues."""
    from soonish.kit.exits import exiting_clearly

    parser = argparse.ArgumentParser(prog="python -m soonish.worker")
    parser.add_argument("--queue", action="append", default=[], help="serve this task queue only")
    queues: list[str] = parser.parse_args(arguments).queue
    with exiting_clearly():
        asyncio.run(_main(queues))
