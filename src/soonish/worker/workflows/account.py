"""UserVerificationWorkflow and SessionWorkflow: durable timers; the database decides."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy

with workflow.unsafe.imports_passed_through():
    from soonish.worker.workflows.passes import HEARTBEAT_TIMEOUT
    from soonish.workflow_types import Deadline, SessionInput, VerificationInput

_ATTEMPT = timedelta(seconds=30)
_RETRY = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1))


class _SignalInbox:
    """An inbox that signals fill and the run loop empties."""

    def __init__(self) -> None:
        self._inbox: list[Any] = []

    async def _wait_for_signal(self, seconds: float) -> None:
        """Wait for the next signal, at most `seconds`."""
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: bool(self._inbox), timeout=timedelta(seconds=seconds)
            )

    def _is_idle(self) -> bool:
        return not self._inbox and workflow.all_handlers_finished()


@workflow.defn(name="UserVerificationWorkflow")
class UserVerificationWorkflow(_SignalInbox):
    """Requests the verification mail, then waits for the proof or the end of its 7 days."""

    @workflow.init
    def __init__(self, request: VerificationInput) -> None:
        super().__init__()

    @workflow.run
    async def run(self, request: VerificationInput) -> None:
        if not request.begun:
            await workflow.execute_activity(
                "begin_verification",
                request,
                start_to_close_timeout=_ATTEMPT,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=_RETRY,
            )
            request.begun = True
        while True:
            self._inbox.clear()
            deadline = await self._check(request)
            if deadline.seconds is None and self._is_idle():
                return
            if workflow.info().is_continue_as_new_suggested() and self._is_idle():
                workflow.continue_as_new(request)
            await self._wait_for_signal(deadline.seconds or 0)

    async def _check(self, request: VerificationInput) -> Deadline:
        return await workflow.execute_activity(
            "check_verification",
            request,
            result_type=Deadline,
            start_to_close_timeout=_ATTEMPT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRY,
        )

    @workflow.signal
    def verification_completed(self, items: Any = None) -> None:
        self._inbox.append(items)

    @workflow.signal
    def wake(self, items: Any = None) -> None:
        self._inbox.append(items)


@workflow.defn(name="SessionWorkflow")
class SessionWorkflow(_SignalInbox):
    """Ends a session when it has been idle too long or its time is up."""

    @workflow.init
    def __init__(self, request: SessionInput) -> None:
        super().__init__()

    @workflow.run
    async def run(self, request: SessionInput) -> None:
        while True:
            self._inbox.clear()
            deadline = await self._check(request)
            if deadline.seconds is None and self._is_idle():
                return
            if workflow.info().is_continue_as_new_suggested() and self._is_idle():
                workflow.continue_as_new(request)
            await self._wait_for_signal(deadline.seconds or 0)

    async def _check(self, request: SessionInput) -> Deadline:
        return await workflow.execute_activity(
            "check_session",
            request,
            result_type=Deadline,
            start_to_close_timeout=_ATTEMPT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=_RETRY,
        )

    @workflow.signal
    def ended(self, items: Any = None) -> None:
        self._inbox.append(items)

    @workflow.signal
    def wake(self, items: Any = None) -> None:
        self._inbox.append(items)
