"""Activities of MaintenanceWorkflow."""

from __future__ import annotations

import structlog
from temporalio import activity

from soonish.config import Settings
from soonish.domain.retention import service as retention
from soonish.domain.retention.rules import BY_NAME
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.workflow_types import RemovalWork, Removed

log = structlog.get_logger()


class RetentionActivities:
    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings

    @activity.defn
    async def list_retention_rules(self) -> list[str]:
        """Return the names of the rules, in order."""
        return list(BY_NAME)

    @activity.defn
    async def remove_old_rows(self, work: RemovalWork) -> Removed:
        """Apply one batch of a rule; a rule that no longer exists removes nothing."""
        rule = BY_NAME.get(work.rule)
        if rule is None:
            return Removed(0, more=False)
        rows, more = await retention.remove(self._db, self._settings, rule, utc_now())
        if rows:
            log.info("removed what was too old", rule=rule.name, rows=rows)
        return Removed(rows, more)
