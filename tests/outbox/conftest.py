from tests.support.database import (
    database,
    database_url,
    migrated_postgres,
    migrated_sqlite,
    settings,
)
from tests.support.world import world

__all__ = ["database", "database_url", "migrated_postgres", "migrated_sqlite", "settings", "world"]
