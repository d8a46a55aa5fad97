"""MaintenanceWorkflow: applies the retention rules one after the other; started by a schedule."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError

with workflow.unsafe.imports_passed_through():
    from soonish.worker.workflows.passes import HEARTBEAT_TIMEOUT
    from soonish.workflow_types import (
        MaintenanceInput,
        MaintenanceReport,
        RemovalWork,
        Removed,
    )

_ATTEMPT = timedelta(minutes=5)
# Limited, so that a rule that keeps failing does not block the others.
_RETRY = RetryPolicy(initial_interval=timedelta(seconds=5), maximum_attempts=5)


@workflow.defn(name="MaintenanceWorkflow")
class MaintenanceWorkflow:
    @workflow.init
    def __init__(self, request: MaintenanceInput) -> None:
        self._report = MaintenanceReport()

    @workflow.run
    async def run(self, request: MaintenanceInput) -> MaintenanceReport:
        rules = await self._rules() if request.rules is None else request.rules
        for number, name in enumerate(rules):
            while (await self._turn(name)).more:
                if workflow.info().is_continue_as_new_suggested():
                    workflow.continue_as_new(MaintenanceInput(rules[number:]))
        return self._report

    @workflow.signal
    def wake(self, items: Any = None) -> None:
        """Accept the signal that every workflow has; this one never waits."""

    async def _rules(self) -> list[str]:
        return await workflow.execute_activity(
            "list_retention_rules",
            result_type=list[str],
            start_to_close_timeout=_ATTEMPT,
            retry_policy=_RETRY,
        )

    async def _turn(self, name: str) -> Removed:
        try:
            done = await workflow.execute_activity(
                "remove_old_rows",
                RemovalWork(name),
                result_type=Removed,
                start_to_close_timeout=_ATTEMPT,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=_RETRY,
            )
        except ActivityError:
            workflow.logger.error("a rule of retention cannot be applied", extra={"rule": name})
            return Removed(0, more=False)
        self._report.removed[name] = self._report.removed.get(name, 0) + done.rows
        return done
