"""Alembic's entry point: one history for SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import warnings

from alembic import context
from sqlalchemy import Connection

from soonish.config import SECRET_NAMES, Settings, load_settings
from soonish.infra.db.models import registry
from soonish.infra.db.session import Database
from soonish.infra.secrets_file import ensure_secrets

# SQLite's expression indexes cannot be reflected; a test in tests/db compares it instead.
warnings.filterwarnings("ignore", message="autogenerate skipping metadata-specified")
warnings.filterwarnings("ignore", message="Skipped unsupported reflection of expression-based")
target_metadata = registry.Base.metadata


def _run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=target_metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


def _settings() -> Settings:
    """Return the caller's settings, else the environment's; then also create missing secrets."""
    given: Settings | None = context.config.attributes.get("settings")
    if given is not None:
        return given
    settings = load_settings()
    if not settings.production:
        present = frozenset(n for n in SECRET_NAMES if getattr(settings, n.lower()))
        ensure_secrets(settings.soonish_home, present)
    return settings


async def _run_online() -> None:
    database = Database(_settings())
    try:
        async with database.engine.connect() as connection:
            await connection.run_sync(_run)
            await connection.commit()
    finally:
        await database.close()


if context.is_offline_mode():
    raise SystemExit("Soonish migrates a live database only; offline SQL is not supported.")
if connection := context.config.attributes.get("connection"):
    _run(connection)
else:
    asyncio.run(_run_online())
