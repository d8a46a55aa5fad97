"""MaintenanceWorkflow against a real Temporal: made by reconcile, run at once, on a schedule."""

from __future__ import annotations

from datetime import timedelta

from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.types import utc_now
from soonish.worker.reconcile import MAINTENANCE_ID, Reconcile
from tests.support.wait import eventually
from tests.workflows.running import SOON, Running


async def test_reconcile_makes_the_schedule_and_what_is_old_goes(running: Running) -> None:
    await running.world.add(AuditEntry(action="a", created_at=utc_now() - timedelta(days=4000)))
    kept = await running.world.add(AuditEntry(action="b"))
    runtime = running.runtime
    reconcile = Reconcile(runtime.db, runtime.temporal, runtime.relay, runtime.settings)
    for _ in range(2):
        assert await reconcile.once()

    async def removed() -> bool:
        return [row.id for row in await running.world.rows(AuditEntry)] == [kept.id]

    await eventually(removed, SOON.total_seconds(), "the old entry to go")
    assert MAINTENANCE_ID in await running.schedule_ids()
    [workflow_id] = await running.workflow_ids("MaintenanceWorkflow")
    report = await running.result(workflow_id)
    assert report["removed"]["audit"] == 1
    await running.keep("maintenance", workflow_id)


async def test_a_rule_that_fails_does_not_keep_the_others_from_it(running: Running) -> None:
    await running.world.add(AuditEntry(action="a", created_at=utc_now() - timedelta(days=4000)))
    report = await running.client.execute_workflow(
        "MaintenanceWorkflow",
        {"rules": ["no such rule", "audit"]},
        id="maintenance-test",
        task_queue=running.runtime.settings.workflow_queue,
        execution_timeout=SOON,
    )
    assert report["removed"] == {"no such rule": 0, "audit": 1}
