"""BroadcastWorkflow: delivers one notification until no row is claimable, sending or retrying."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from soonish.worker.workflows.passes import broadcast_state, deliver_pass, pause
    from soonish.workflow_types import (
        BroadcastInput,
        BroadcastProgress,
        BroadcastState,
        DeliveryReport,
    )


@workflow.defn(name="BroadcastWorkflow")
class BroadcastWorkflow:
    """Id `notification-{id}`. First pass, then retry passes on durable timers."""

    @workflow.init
    def __init__(self, work: BroadcastInput) -> None:
        self._id = work.notification_id
        self._parent_id = work.parent_id
        self._woken = False
        self._total = DeliveryReport()
        self._passes = 0

    @workflow.run
    async def run(self, work: BroadcastInput) -> str:
        state = await broadcast_state(self._id)
        while True:
            if state.claimable:
                state = await self._pass(state)
            await self._tell_parent()
            if self._woken or (not state.completed and not state.claimable):
                await self._wait(state)
                state = await self._look()
            elif state.completed:
                return "completed"

    async def _pass(self, state: BroadcastState) -> BroadcastState:
        self._passes += 1
        return await deliver_pass(self._id, state.claimable, self._total)

    async def _tell_parent(self) -> None:
        """Signal the event's workflow, which starts the next broadcast after this first pass."""
        if self._parent_id is None:
            return
        parent = workflow.get_external_workflow_handle(self._parent_id)
        self._parent_id = None
        try:
            await parent.signal("first_pass_done", self._id)
        except Exception:
            workflow.logger.info("the event's workflow has ended; nobody waits for this pass")

    async def _wait(self, state: BroadcastState) -> None:
        try:
            await workflow.wait_condition(
                lambda: self._woken, timeout=timedelta(seconds=pause(state))
            )
        except TimeoutError:
            workflow.logger.debug("a retry is due")

    async def _look(self) -> BroadcastState:
        if workflow.info().is_continue_as_new_suggested() and workflow.all_handlers_finished():
            workflow.continue_as_new(BroadcastInput(self._id))
        self._woken = False
        return await broadcast_state(self._id)

    @workflow.signal
    def wake(self, payload: Any = None) -> None:
        self._woken = True

    @workflow.query
    def get_progress(self) -> BroadcastProgress:
        return BroadcastProgress(self._id, self._total.delivered, self._total.failed, self._passes)
