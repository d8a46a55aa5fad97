"""Removing what is too old, a bounded batch in a transaction of its own at a time."""

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

BATCH = 500  # rows of one transaction
BATCHES = 40  # of one turn, so that an activity takes seconds
PAUSE_SECONDS = 0.02  # between transactions: SQLite's writers do not take fair turns (DESIGN 3)


@dataclass(frozen=True)
class Due:
    """How many rows a rule would remove now; `days` is its setting, None where it has none."""

    rule: str
    days: float | None
    rows: int


def limit_of(rule: Rule, settings: Settings, now: datetime) -> datetime | None:
    """Rows older than this go; None where the setting keeps them for ever."""
    if rule.setting is None:
        return now
    days: float = getattr(settings, rule.setting)
    return now - timedelta(days=days) if days else None


async def due(db: Database, settings: Settings, now: datetime) -> list[Due]:
    """What would go at this moment. What only the going of others sets free is not counted."""
    return [await _due(db, settings, rule, now) for rule in RULES]


async def _due(db: Database, settings: Settings, rule: Rule, now: datetime) -> Due:
    before = limit_of(rule, settings, now)
    days = getattr(settings, rule.setting) if rule.setting else None
    if before is None:
        return Due(rule.name, days, 0)
    async with db.read() as session:
        old = rule.ids(before).order_by(None).subquery()
        rows = await session.scalar(select(func.count()).select_from(old))
    return Due(rule.name, days, rows or 0)


async def remove(
    db: Database,
    settings: Settings,
    rule: Rule,
    now: datetime,
    *,
    batch: int = BATCH,
    batches: int = BATCHES,
) -> tuple[int, bool]:
    """Run one turn: how many rows went, and whether there may be more."""
    before = limit_of(rule, settings, now)
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
        if not gone:  # somebody holds on to them: the next run looks again
            return removed, False
    return removed, True


async def _oldest(db: Database, rule: Rule, before: datetime, limit: int) -> Sequence[int]:
    async with db.read() as session:
        return (await session.scalars(rule.ids(before).limit(limit))).all()


async def _remove(session: AsyncSession, rule: Rule, ids: Sequence[int], before: datetime) -> int:
    """They must be too old still: somebody may have come back to one since."""
    if rule.table is Registration and rule.setting is None:
        return await _end_registrations(session, ids)
    which = rule.table.id.in_(id_list(session, ids)) & rule.is_old(before)
    query = delete(rule.table).where(which).execution_options(synchronize_session=False)
    result: Any = await session.execute(query)
    return int(result.rowcount)


async def _end_registrations(session: AsyncSession, ids: Sequence[int]) -> int:
    """As their own workflows do: the user goes only if nothing else needs them."""
    query = select(Registration.workflow_id).where(Registration.id.in_(id_list(session, ids)))
    found = (await session.scalars(query)).all()
    for workflow_id in found:
        await registration.check(session, workflow_id)
    return len(found)
