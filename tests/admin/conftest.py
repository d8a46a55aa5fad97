"""The whole application, as tests/web visits it."""

from __future__ import annotations

from tests.support.database import (
    database,
    database_url,
    migrated_postgres,
    migrated_sqlite,
    settings,
)
from tests.web.conftest import site

__all__ = ["database", "database_url", "migrated_postgres", "migrated_sqlite", "settings", "site"]
