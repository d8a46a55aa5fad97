"""The databases, and the accounts API of tests/accounts."""

from tests.accounts.conftest import scene
from tests.support.database import (
    database,
    database_url,
    migrated_postgres,
    migrated_sqlite,
    settings,
)

__all__ = [
    "database",
    "database_url",
    "migrated_postgres",
    "migrated_sqlite",
    "scene",
    "settings",
]
