"""Schemas for administrators: addresses masked, no channel URLs, no message texts."""

from __future__ import annotations

from datetime import date, datetime

from soonish.domain.admin.analytics import Analytics, success_rate
from soonish.domain.admin.queries import Health, UserWithCounts, health_of
from soonish.infra.db.models.integrations import Integration
from soonish.kit.masking import mask_address
from soonish.kit.schemas import Instant, Output


class AdminUser(Output):
    """`address` is masked; `events` are owned ones, `subscriptions` current ones."""

    id: int
    name: str | None
    address: str | None
    is_verified: bool
    is_admin: bool
    events: int
    subscriptions: int
    created_at: Instant
    deactivated_at: Instant | None
    erased_at: Instant | None

    @classmethod
    def of(cls, found: UserWithCounts) -> AdminUser:
        user = found.user
        names = ("id", "name", "is_verified", "is_admin", "created_at")
        return cls(
            **{name: getattr(user, name) for name in names},
            address=mask_address(user.email),
            events=found.events,
            subscriptions=found.subscriptions,
            deactivated_at=user.deactivated_at,
            erased_at=user.erased_at,
        )


class AdminIntegration(Output):
    """A channel's health. `target` is a host or the service's name, never a full address."""

    id: int
    user_id: int
    kind: str
    target: str
    health: Health
    fail_streak: int
    failing_since: Instant | None
    open_until: Instant | None
    last_delivery_at: Instant | None
    created_at: Instant

    @classmethod
    def of(cls, row: Integration, now: datetime) -> AdminIntegration:
        names = [name for name in cls.model_fields if name != "health"]
        return cls(**{name: getattr(row, name) for name in names}, health=health_of(row, now))


class LatencyOut(Output):
    """Seconds from the due (or creation) time to success."""

    median: float | None
    p95: float | None


class KindOut(Output):
    kind: str
    counts: dict[str, int]
    success_rate: float | None


class DayOut(Output):
    """A day in UTC."""

    day: date
    counts: dict[str, int]
    success_rate: float | None


class FailuresOut(Output):
    day: date
    kind: str
    outcome: str
    count: int


class AnalyticsOut(Output):
    """Deliveries made in the last `days`; counts are by state."""

    days: int
    counts: dict[str, int]
    success_rate: float | None
    latency_seconds: LatencyOut
    by_kind: list[KindOut]
    by_day: list[DayOut]
    failures: list[FailuresOut]

    @classmethod
    def of(cls, found: Analytics, days: int) -> AnalyticsOut:
        return cls(
            days=days,
            counts=found.counts,
            success_rate=found.success_rate,
            latency_seconds=LatencyOut.model_validate(found.latency),
            by_kind=[
                KindOut(kind=kind, counts=counts, success_rate=success_rate(counts))
                for kind, counts in found.by_kind.items()
            ],
            by_day=[
                DayOut(day=day, counts=counts, success_rate=success_rate(counts))
                for day, counts in found.by_day.items()
            ],
            failures=[FailuresOut.model_validate(one) for one in found.failures],
        )
