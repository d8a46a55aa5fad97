from tests.support.database import (
    database,
    database_url,
    migrated_postgres,
    migrated_sqlite,
    settings,
)
from tests.support.world import world
from tests.workflows.running import installation, parts, running

__all__ = [
    "database",
    "database_url",
    "installation",
    "migrated_postgres",
    "migrated_sqlite",
    "parts",
    "running",
    "settings",
    "world",
]
