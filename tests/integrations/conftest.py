from tests.support.scene import (
    database,
    database_url,
    migrated_postgres,
    migrated_sqlite,
    scene,
    sender,
    settings,
)
from tests.support.world import world

__all__ = [
    "database",
    "database_url",
    "migrated_postgres",
    "migrated_sqlite",
    "scene",
    "sender",
    "settings",
    "world",
]
