from tests.support.scene import (
    database,
    database_url,
    migrated_postgres,
    migrated_sqlite,
    scene,
    sender,
    settings,
)

__all__ = [
    "database",
    "database_url",
    "migrated_postgres",
    "migrated_sqlite",
    "scene",
    "sender",
    "settings",
]
