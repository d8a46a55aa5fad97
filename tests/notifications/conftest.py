"""The stage of the event tests, for the routes of notifications."""

from tests.events.conftest import (
    database,
    database_url,
    migrated_postgres,
    migrated_sqlite,
    settings,
    stage,
)
from tests.notifications.delivering import delivering
from tests.support.scene import scene, sender
from tests.support.world import world
from tests.workflows.running import installation, running, runtime

__all__ = [
    "database",
    "database_url",
    "delivering",
    "installation",
    "migrated_postgres",
    "migrated_sqlite",
    "running",
    "runtime",
    "scene",
    "sender",
    "settings",
    "stage",
    "world",
]
