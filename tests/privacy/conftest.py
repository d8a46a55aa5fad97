"""The whole application, rows made without HTTP, and a deliverer with real sinks."""

from tests.notifications.delivering import delivering
from tests.support.database import (
    database,
    database_url,
    migrated_postgres,
    migrated_sqlite,
    settings,
)
from tests.support.world import world
from tests.web.conftest import site

__all__ = [
    "database",
    "database_url",
    "delivering",
    "migrated_postgres",
    "migrated_sqlite",
    "settings",
    "site",
    "world",
]
