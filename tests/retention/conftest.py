"""The databases, rows made without HTTP, and a running system for the workflow."""

from tests.support.database import (
    database,
    database_url,
    migrated_postgres,
    migrated_sqlite,
    settings,
)
from tests.support.world import world
from tests.workflows.running import installation, running, runtime

__all__ = [
    "database",
    "database_url",
    "installation",
    "migrated_postgres",
    "migrated_sqlite",
    "running",
    "runtime",
    "settings",
    "world",
]
