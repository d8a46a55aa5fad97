"""What Temporal holds, as an operator sees it with a client of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import datetime
from typing import Any, TypeVar

from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from tests.support.system import SoonishSystem

T = TypeVar("T")


class TemporalView:
    """Asks the system's Temporal; every call connects anew, so it may be restarted between."""

    def __init__(self, system: SoonishSystem) -> None:
        self._address = system.temporal_address

    def _run(self, ask: Coroutine[Any, Any, T]) -> T:
        return asyncio.run(ask)

    async def _client(self) -> Client:
        return await Client.connect(self._address)

    def schedules(self, prefix: str) -> dict[str, list[datetime]]:
        """Schedule ids that begin so, with their next instants."""
        return self._run(self._schedules(prefix))

    async def _schedules(self, prefix: str) -> dict[str, list[datetime]]:
        client, found = await self._client(), dict[str, list[datetime]]()
        async for listed in await client.list_schedules():
            if listed.id.startswith(prefix):
                described = await client.get_schedule_handle(listed.id).describe()
                found[listed.id] = list(described.info.next_action_times)
        return found

    def trigger(self, schedule_id: str) -> None:
        """Have the schedule start its workflow now."""
        self._run(self._trigger(schedule_id))

    async def _trigger(self, schedule_id: str) -> None:
        await (await self._client()).get_schedule_handle(schedule_id).trigger()

    def started_by(self, schedule_id: str) -> list[str]:
        """The ids of the workflows that the schedule has started."""
        return self._run(self._started_by(schedule_id))

    async def _started_by(self, schedule_id: str) -> list[str]:
        described = await (await self._client()).get_schedule_handle(schedule_id).describe()
        actions = [result.action for result in described.info.recent_actions]
        return [one.workflow_id for one in actions if hasattr(one, "workflow_id")]

    def status(self, workflow_id: str) -> WorkflowExecutionStatus | None:
        return self._run(self._status(workflow_id))

    async def _status(self, workflow_id: str) -> WorkflowExecutionStatus | None:
        client = await self._client()
        return (await client.get_workflow_handle(workflow_id).describe()).status

    def running(self) -> list[str]:
        """The ids of all workflows that run."""
        return self._run(self._ids("ExecutionStatus = 'Running'"))

    async def _ids(self, query: str) -> list[str]:
        client = await self._client()
        return [one.id async for one in client.list_workflows(query)]

    def first_run_id(self, workflow_id: str) -> str:
        """The run that it began with, however often it has continued as new since."""
        return self._run(self._first_run_id(workflow_id))

    async def _first_run_id(self, workflow_id: str) -> str:
        described = await (await self._client()).get_workflow_handle(workflow_id).describe()
        return described.raw_info.first_run_id

    def wake(self, workflow_id: str) -> bool:
        """Send the signal that every workflow takes; False if it has ended."""
        return self._run(self._wake(workflow_id))

    async def _wake(self, workflow_id: str) -> bool:
        handle = (await self._client()).get_workflow_handle(workflow_id)
        try:
            await handle.signal("wake", {})
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise
        return True

    def event_types(self, workflow_id: str) -> list[str]:
        """The types of the events in the workflow's history, such as WorkflowTaskCompleted."""
        return self._run(self._event_types(workflow_id))

    async def _event_types(self, workflow_id: str) -> list[str]:
        history = await (await self._client()).get_workflow_handle(workflow_id).fetch_history()
        return [_camel(event.event_type) for event in history.events]

    def histories(self) -> dict[str, str]:
        """Every workflow's history as JSON with decoded payloads, by its id and run id."""
        return self._run(self._histories())

    async def _histories(self) -> dict[str, str]:
        client, found = await self._client(), dict[str, str]()
        async for one in client.list_workflows():
            handle = client.get_workflow_handle(one.id, run_id=one.run_id)
            history = await handle.fetch_history()
            raw = b"\n".join(event.SerializeToString() for event in history.events)
            found[f"{one.id}/{one.run_id}"] = history.to_json() + raw.decode("latin-1")
        return found


def _camel(event_type: int) -> str:
    from temporalio.api.enums.v1 import EventType

    name = EventType.Name(event_type).removeprefix("EVENT_TYPE_")  # type: ignore[arg-type]
    return "".join(part.capitalize() for part in name.split("_"))
