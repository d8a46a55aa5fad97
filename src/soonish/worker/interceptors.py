"""Interceptors that send heartbeats and log activities and workflows.

Every activity with a heartbeat timeout sends heartbeats, so that a dead worker's work soon moves
to another instead of waiting for the timeout of the whole attempt.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import structlog
from temporalio import activity, workflow
from temporalio.worker import (
    ActivityInboundInterceptor,
    ExecuteActivityInput,
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

HEARTBEAT_SECONDS = 2.0


class HeartbeatInterceptor(Interceptor):
    """Sends heartbeats for activities that have a heartbeat timeout."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _HeartbeatingActivities(next)


class _HeartbeatingActivities(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        if not activity.info().heartbeat_timeout:
            return await super().execute_activity(input)
        heartbeats = asyncio.create_task(_send_heartbeats())
        try:
            return await super().execute_activity(input)
        finally:
            heartbeats.cancel()


async def _send_heartbeats() -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(HEARTBEAT_SECONDS)


log = structlog.get_logger()
# Our formatter takes the ids from the record, so keep them out of the message.
workflow.logger.workflow_info_on_message = False
activity.logger.activity_info_on_message = False


class LogInterceptor(Interceptor):
    """Logs the start and end of workflows and activities."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Activities(next)

    def workflow_interceptor_class(
        self, input: WorkflowInterceptorClassInput
    ) -> type[WorkflowInboundInterceptor]:
        return _Workflows


class _Activities(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info, started = activity.info(), time.perf_counter()
        structlog.contextvars.bind_contextvars(workflow_id=info.workflow_id)
        try:
            result = await super().execute_activity(input)
        except Exception as error:
            log.warning(
                "activity failed",
                activity=info.activity_type,
                attempt=info.attempt,
                error=type(error).__name__,
                exc_info=True,
            )
            raise
        log.info(
            "activity",
            activity=info.activity_type,
            attempt=info.attempt,
            duration_ms=round((time.perf_counter() - started) * 1000, 1),
        )
        return result


class _Workflows(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        name = workflow.info().workflow_type
        workflow.logger.info("%s started", name)
        try:
            result = await super().execute_workflow(input)
        except workflow.ContinueAsNewError:
            workflow.logger.info("%s continues as new", name)
            raise
        except Exception:
            workflow.logger.warning("%s failed", name)
            raise
        workflow.logger.info("%s completed", name)
        return result
