from tests.support.scene import (
    database_url,
    migrated_postgres,
    migrated_sqlite,
    scene,
    sender,
)

__all__ = ["database_url", "migrated_postgres", "migrated_sqlite", "scene", "sender"]
