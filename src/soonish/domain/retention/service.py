"""Delete rows that are too old, in bounded batches with a transaction each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.config import Settings
from soonish.domain.accounts import registration
from soonish.domain.retention.rules import RULES, Rule
from soonish.infra.db.models.accounts import Registration
from soonish.infra.db.session import Database
from soonish.infra.db.sql import id_list

BATCH = 500  # rows per transaction
BATCHES = 40  # per run, so that an activity takes seconds
PAUSE_SECONDS = 0.02  # between transactions: SQLite's writers do not queue fairly


@dataclass(frozen=True)
class DueCount:
    """The number of rows a rule would remove now; `days` is its setting, None without one."""

    rule: str
    days: float | None
    rows: int


def cutoff(rule: Rule, settings: Settings, now: datetime) -> datetime | None:
    """Return the instant before which rows are too old; None if they are kept forever."""
    if rule.setting is None:
        return now
    days: float = getattr(settings, rule.setting)
    return now - timedelta(days=days) if days else None


async def count_due(db: Database, settings: Settings, now: datetime) -> list[DueCount]:
    """Count the rows to remove now, without those that only become removable by that."""
    return [await _due(db, settings, rule, now) for rule in RULES]


async def _due(db: Database, settings: Settings, rule: Rule, now: datetime) -> DueCount:
    before = cutoff(rule, settings, now)
    days = getattr(settings, rule.setting) if rule.setting else None
    if before is None:
        return DueCount(rule.name, days, 0)
    async with db.read() as session:
        old = rule.ids(before).order_by(None).subquery()
        rows = await session.scalar(select(func.count()).select_from(old))
    return DueCount(rule.name, days, rows or 0)


async def remove(
    db: Database,
    settings: Settings,
    rule: Rule,
    now: datetime,
    *,
    batch: int = BATCH,
    batches: int = BATCHES,
) -> tuple[int, bool]:
    """Remove up to `batches` batches; return the number of rows and whether more may be left."""
    before = cutoff(rule, settings, now)
    removed = 0
    if before is None:
        return 0, False
    for _ in range(batches):
        ids = await _oldest(db, rule, before, batch)
        if not ids:
            return removed, False
        async with db.write() as session:
            gone = await _remove(session, rule, ids, before)
        removed += gone
        await asyncio.sleep(PAUSE_SECONDS)
        if not gone:  # still referenced: the next run tries again
            return removed, False
    return removed, True


async def _oldest(db: Database, rule: Rule, before: datetime, limit: int) -> Sequence[int]:
    async with db.read() as session:
        return (await session.scalars(rule.ids(before).limit(limit))).all()


async def _remove(session: AsyncSession, rule: Rule, ids: Sequence[int], before: datetime) -> int:
    """Delete those of the rows that are still too old: one may have been used again since."""
    if rule.table is Registration and rule.setting is None:
        return await _end_registrations(session, ids)
    which = rule.table.id.in_(id_list(session, ids)) & rule.is_old(before)
    query = delete(rule.table).where(which).execution_options(synchronize_session=False)
    result: Any = await session.execute(query)
    return int(result.rowcount)


async def _end_registrations(session: AsyncSession, ids: Sequence[int]) -> int:
    """End the registrations as their workflows do: the user goes only if nothing else needs
    them."""
    query = select(Registration.workflow_id).where(Registration.id.in_(id_list(session, ids)))
    found = (await session.scalars(query)).all()
    for workflow_id in found:
        await registration.expire_if_due(session, workflow_id)
    return len(found)
