"""ReminderWorkflow (started by a schedule) and AdhocReminderWorkflow (a remind-me)."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from soonish.worker.workflows.passes import (
        HEARTBEAT_TIMEOUT,
        RETRY,
        broadcast_state,
        deliver_pass,
        pause,
    )
    from soonish.workflow_types import (
        FiredReminder,
        ReminderInput,
        RemindMePlan,
        RemindMeWork,
    )

FIRE_TIMEOUT = timedelta(hours=1)  # it may send a few hundred mails through a slow server


async def broadcast_to_the_end(notification_id: int, fired: FiredReminder) -> str:
    """Run passes on durable timers until no row is claimable, sending or retrying."""
    total = fired.report
    state = fired.state or await broadcast_state(notification_id)
    while True:
        if state.claimable:
            state = await deliver_pass(notification_id, state.claimable, total)
        if state.completed:
            return f"delivered {total.delivered}, failed {total.failed}"
        await asyncio.sleep(0.1 if state.claimable else pause(state))
        state = await broadcast_state(notification_id)


async def fire_and_broadcast(firing: str, work: ReminderInput | RemindMeWork) -> str:
    """Run the activity `firing`, which writes and may send the notification; deliver the rest."""
    fired = await workflow.execute_activity(
        firing,
        work,
        result_type=FiredReminder,
        start_to_close_timeout=FIRE_TIMEOUT,
        heartbeat_timeout=HEARTBEAT_TIMEOUT,
        retry_policy=RETRY,
    )
    if fired.notification_id is None:
        return "not wanted any more"
    return await broadcast_to_the_end(fired.notification_id, fired)


@workflow.defn(name="ReminderWorkflow")
class ReminderWorkflow:
    """Has the id of its schedule's run, and broadcasts by itself."""

    @workflow.run
    async def run(self, work: ReminderInput) -> str:
        return await fire_and_broadcast("fire_reminder", work)

    @workflow.signal
    def wake(self, payload: Any = None) -> None:
        workflow.logger.debug("the next pass looks into the database anyway")


@workflow.defn(name="AdhocReminderWorkflow")
class AdhocReminderWorkflow:
    """Id `remind-me-{id}`: sleeps durably, then delivers once."""

    @workflow.init
    def __init__(self, work: RemindMeWork) -> None:
        self._woken = False

    @workflow.run
    async def run(self, work: RemindMeWork) -> str:
        while True:
            self._woken = False
            plan = await workflow.execute_activity(
                "load_remind_me",
                work,
                result_type=RemindMePlan,
                start_to_close_timeout=timedelta(minutes=1),
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=RETRY,
            )
            if not plan.alive:
                return "not wanted any more"
            if await self._slept_until(datetime.fromisoformat(plan.at)):
                return await fire_and_broadcast("fire_remind_me", work)

    async def _slept_until(self, at: datetime) -> bool:
        """Sleep until the instant; return False if a signal comes first."""
        left = at - workflow.now()
        if left <= timedelta(0):
            return True
        try:
            await workflow.wait_condition(lambda: self._woken, timeout=left)
        except TimeoutError:
            return True
        return False

    @workflow.signal
    def wake(self, payload: Any = None) -> None:
        self._woken = True
