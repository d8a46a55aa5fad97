"""EventWorkflow: one per event, from its creation to the end of its grace period.

Signals only wake it; `advance_event` reads the database and plans the work. Intake and delivery
run concurrently, so that a long broadcast delays neither a cancellation nor reminders.
See docs/architecture.md#workflows.
"""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from soonish.infra.outbox import streams
    from soonish.worker.workflows.passes import HEARTBEAT_TIMEOUT, LARGE, RETRY, deliver_pass
    from soonish.workflow_types import (
        AdvanceInput,
        BroadcastInput,
        BroadcastWork,
        DeliveryReport,
        EventInput,
        EventPlan,
        EventRef,
        EventStatus,
        HandItem,
    )

MAX_WAIT = timedelta(days=30)
FIRST_PASS_ATTEMPTS = 10  # about two minutes; then a BroadcastWorkflow takes over
HAND_OVER_TRIES = 3


@workflow.defn(name="EventWorkflow")
class EventWorkflow:
    """Id `event-{event_id}-{uuid}`, kept in events.temporal_workflow_id."""

    @workflow.init
    def __init__(self, arg: EventInput) -> None:
        self._event_id = arg.event_id
        self._by_hand: list[HandItem] = []
        self._woken = True
        self._plan: EventPlan | None = None
        self._to_deliver: list[BroadcastWork] = []
        self._delivery: asyncio.Task[None] | None = None
        self._in_delivery: set[int] = set()
        self._look_again = False
        self._first_passes_done: set[int] = set()
        self._started_at = workflow.now()

    @workflow.run
    async def run(self, arg: EventInput) -> str:
        while True:
            if self._woken:
                await self._advance()
            self._start_delivery()
            if self._delivery is None and not self._woken:
                if self._may_close() and await self._close():
                    return self._plan.status if self._plan else "gone"
                if self._is_long() and not self._woken and workflow.all_handlers_finished():
                    workflow.continue_as_new(arg)
            await self._wait()

    async def _advance(self) -> None:
        self._woken = False
        by_hand, self._by_hand = self._by_hand, []
        plan = await workflow.execute_activity(
            "advance_event",
            AdvanceInput(self._event_id, by_hand),
            result_type=EventPlan,
            start_to_close_timeout=timedelta(minutes=2),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=RETRY,
        )
        self._plan = plan
        # A broadcast in delivery may be done before its next turn: plan again after it.
        others = [work for work in plan.broadcasts if work.notification_id not in self._in_delivery]
        self._to_deliver, self._look_again = others, len(others) < len(plan.broadcasts)
        self._woken = self._woken or plan.more
        if plan.sync_reminders:
            await self._sync_reminders()

    async def _sync_reminders(self) -> None:
        left = 1
        while left and not self._woken:
            left = await workflow.execute_activity(
                "sync_reminders",
                EventRef(self._event_id),
                result_type=int,
                start_to_close_timeout=timedelta(minutes=2),
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=RETRY,
            )

    def _start_delivery(self) -> None:
        if self._delivery is None and self._to_deliver:
            work, self._to_deliver = self._to_deliver, []
            self._in_delivery = {one.notification_id for one in work}
            self._delivery = asyncio.create_task(self._deliver_all(work))

    async def _deliver_all(self, broadcasts: list[BroadcastWork]) -> None:
        """Run the first passes in order; BroadcastWorkflows take over what they leave."""
        try:
            for work in broadcasts:
                await self._deliver(work)
        finally:
            self._delivery = None
            self._in_delivery.clear()
            self._woken, self._look_again = self._woken or self._look_again, False

    async def _deliver(self, work: BroadcastWork) -> None:
        if work.claimable > LARGE:
            await self._hand_over(work.notification_id, wait=True)
            return
        if not await self._first_pass(work):
            await self._hand_over(work.notification_id, wait=False)

    async def _first_pass(self, work: BroadcastWork) -> bool:
        """Run the first pass; return whether it completed the notification.

        A notification that cannot be sent does not hold up others.
        """
        try:
            state = await deliver_pass(
                work.notification_id, work.claimable, DeliveryReport(), FIRST_PASS_ATTEMPTS
            )
        except ActivityError:
            workflow.logger.exception("notification %s cannot be sent", work.notification_id)
            return False
        return state.completed

    async def _hand_over(self, notification_id: int, *, wait: bool) -> None:
        for _ in range(HAND_OVER_TRIES):
            child = await self._start_broadcast(notification_id, wait)
            if child is None and await self._wake_other(notification_id):
                return
            if child is not None:
                await self._first_pass_of(notification_id, child, wait)
                return

    async def _start_broadcast(
        self, notification_id: int, wait: bool
    ) -> workflow.ChildWorkflowHandle[Any, Any] | None:
        """Start the broadcast's workflow; return None if it is running already."""
        parent_id = workflow.info().workflow_id if wait else None
        self._first_passes_done.discard(notification_id)
        try:
            return await workflow.start_child_workflow(
                "BroadcastWorkflow",
                BroadcastInput(notification_id, parent_id),
                id=streams.broadcast(notification_id),
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
            )
        except WorkflowAlreadyStartedError:
            return None

    async def _first_pass_of(
        self, notification_id: int, child: workflow.ChildWorkflowHandle[Any, Any], wait: bool
    ) -> None:
        if wait:
            await workflow.wait_condition(
                lambda: notification_id in self._first_passes_done or child.done()
            )

    async def _wake_other(self, notification_id: int) -> bool:
        """Wake the broadcast's own workflow; return False if it has ended meanwhile."""
        stream = streams.broadcast(notification_id)
        try:
            await workflow.get_external_workflow_handle(stream).signal(streams.WAKE, {})
        except Exception:
            workflow.logger.info("%s ended meanwhile", stream)
            return False
        return True

    def _may_close(self) -> bool:
        plan = self._plan
        if plan is None or not plan.exists:
            return True
        return plan.close_at is None or workflow.now() >= datetime.fromisoformat(plan.close_at)

    async def _close(self) -> bool:
        """Complete the event unless new work came in meanwhile."""
        closed = await workflow.execute_activity(
            "close_event",
            EventRef(self._event_id),
            result_type=bool,
            start_to_close_timeout=timedelta(minutes=1),
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=RETRY,
        )
        self._woken = self._woken or not closed
        return closed and not self._woken and workflow.all_handlers_finished()

    def _is_long(self) -> bool:
        return (
            workflow.info().is_continue_as_new_suggested()
            or workflow.now() - self._started_at >= MAX_WAIT
        )

    async def _wait(self) -> None:
        """Wait for work: a signal, the end of a delivery, or the event's next instant."""
        delivering = self._delivery
        try:
            await workflow.wait_condition(
                lambda: self._woken or self._delivery is not delivering,
                timeout=self._next_instant(),
            )
        except TimeoutError:
            self._woken = True

    def _next_instant(self) -> timedelta:
        now = workflow.now()
        plan = self._plan
        known = [plan.over_at, plan.close_at] if plan else []
        times = [datetime.fromisoformat(at) for at in known if at]
        ahead = [at - now for at in times if at > now]
        return min([*ahead, MAX_WAIT])

    def _take(self, kind: str, payload: Any) -> None:
        """Take a signal: items with an `outbox_id` (the relay's) only wake, others are by hand."""
        self._woken = True
        items: list[Any] = payload if isinstance(payload, list) else [payload]
        for item in items:
            if isinstance(item, dict) and "outbox_id" not in item:
                self._by_hand.append(HandItem(kind, item, str(workflow.uuid4())))

    @workflow.signal
    def participant_added(self, payload: Any = None) -> None:
        self._take(streams.PARTICIPANT_ADDED, payload)

    @workflow.signal
    def participant_removed(self, payload: Any = None) -> None:
        self._take(streams.PARTICIPANT_REMOVED, payload)

    @workflow.signal
    def event_updated(self, payload: Any = None) -> None:
        self._take(streams.EVENT_UPDATED, payload)

    @workflow.signal
    def send_manual_notification(self, payload: Any = None) -> None:
        self._take(streams.SEND_MANUAL_NOTIFICATION, payload)

    @workflow.signal
    def cancel_event(self, payload: Any = None) -> None:
        self._take(streams.CANCEL_EVENT, payload or {})

    @workflow.signal
    def wake(self, payload: Any = None) -> None:
        self._woken = True

    @workflow.signal
    def first_pass_done(self, notification_id: int = 0) -> None:
        self._first_passes_done.add(notification_id)

    @workflow.query
    def get_status(self) -> EventStatus:
        plan = self._plan
        if plan is None:
            return EventStatus(self._event_id, "starting", 0, [])
        return EventStatus(self._event_id, plan.status, plan.subscriber_count, plan.reminders)
