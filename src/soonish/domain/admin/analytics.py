"""Delivery statistics: success rate, latency, failures by kind of channel and by day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import ColumnElement, Float, Numeric, String, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, DeliveryState
from soonish.infra.db.sql import is_sqlite

MAIL = "mail"
_MEDIAN, _P95 = 0.5, 0.95


@dataclass(frozen=True)
class Latency:
    """Seconds from creation of a delivery to its success; None without any success."""

    median: float | None
    p95: float | None


@dataclass(frozen=True)
class FailureCount:
    """The number of failed deliveries with one outcome, for a kind of channel and a day (UTC)."""

    day: date
    kind: str
    outcome: str
    count: int


@dataclass(frozen=True)
class Analytics:
    """Deliveries created since an instant. `by_day`: {day: {state: count}}."""

    counts: dict[str, int]
    by_kind: dict[str, dict[str, int]]
    by_day: dict[date, dict[str, int]]
    failures: list[FailureCount]
    latency: Latency

    @property
    def success_rate(self) -> float | None:
        """Return the share of finished deliveries that were sent, 0 to 1; None without any."""
        return success_rate(self.counts)


def success_rate(counts: dict[str, int]) -> float | None:
    """Return sent / (sent + failed + expired); suppressed deliveries do not count."""
    decided = sum(
        counts.get(state, 0)
        for state in (DeliveryState.SENT, DeliveryState.FAILED, DeliveryState.EXPIRED)
    )
    return counts.get(DeliveryState.SENT, 0) / decided if decided else None


async def analyse(session: AsyncSession, since: datetime) -> Analytics:
    """Aggregate the deliveries created since then: one GROUP BY, and two queries for the
    latency."""
    day, kind = _day(session), func.coalesce(Integration.kind, MAIL)
    query = (
        select(day, kind, Delivery.state, Delivery.outcome, func.count())
        .join(Integration, Integration.id == Delivery.integration_id, isouter=True)
        .where(Delivery.created_at >= since)
        .group_by(day, kind, Delivery.state, Delivery.outcome)
        .order_by(day, kind)
    )
    rows = [(date.fromisoformat(str(d)), *rest) for d, *rest in await session.execute(query)]
    return _add_up(rows, await _latency(session, since))


def _add_up(rows: list[tuple[Any, ...]], latency: Latency) -> Analytics:
    counts: dict[str, int] = {}
    by_kind: dict[str, dict[str, int]] = {}
    by_day: dict[date, dict[str, int]] = {}
    failures: list[FailureCount] = []
    for day, kind, state, outcome, number in rows:
        for group in (counts, by_kind.setdefault(kind, {}), by_day.setdefault(day, {})):
            group[state] = group.get(state, 0) + number
        if state in (DeliveryState.FAILED, DeliveryState.EXPIRED):
            failures.append(FailureCount(day, kind, outcome or "unknown", number))
    return Analytics(counts, by_kind, by_day, failures, latency)


async def _latency(session: AsyncSession, since: datetime) -> Latency:
    sent = (
        Delivery.created_at >= since,
        Delivery.state == DeliveryState.SENT,
        _seconds(session) >= 0,
    )
    count = await session.scalar(select(func.count()).select_from(Delivery).where(*sent)) or 0
    if not count:
        return Latency(None, None)
    ordered = select(_seconds(session)).where(*sent).order_by(_seconds(session)).limit(1)
    found = [await session.scalar(ordered.offset(int((count - 1) * p))) for p in (_MEDIAN, _P95)]
    return Latency(*(round(float(value or 0), 3) for value in found))


def _seconds(session: AsyncSession) -> ColumnElement[float]:
    """Return the seconds from due (or creation) to finish."""
    begin, end = func.coalesce(Delivery.due_at, Delivery.created_at), Delivery.finished_at
    if is_sqlite(session):
        days = cast(func.julianday(end) - func.julianday(begin), Float)
        return days * 86_400
    return cast(func.extract("epoch", end - begin), Numeric)


def _day(session: AsyncSession) -> ColumnElement[str]:
    if is_sqlite(session):
        return func.date(Delivery.created_at)
    return cast(func.date(func.timezone("UTC", Delivery.created_at)), String)
