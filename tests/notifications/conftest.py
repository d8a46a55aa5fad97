"""The stage of the event tests, for the routes of notifications."""

from tests.events.conftest import database_url, migrated_postgres, migrated_sqlite, stage

__all__ = ["database_url", "migrated_postgres", "migrated_sqlite", "stage"]
