"""Prometheus metrics: this process's requests, and counts from the database."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from sqlalchemy import func, select

from soonish.delivery.ledger.routing import is_active
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Delivery
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from soonish.runtime import Runtime

registry = CollectorRegistry()
requests_total = Counter(
    "soonish_http_requests_total", "Requests", ["method", "route", "status"], registry=registry
)
request_seconds = Histogram(
    "soonish_http_request_seconds", "Duration of requests", ["method", "route"], registry=registry
)
_deliveries = Gauge("soonish_deliveries", "Ledger rows by state", ["state"], registry=registry)
_events = Gauge("soonish_events_live", "Events that are not over", registry=registry)
_subscriptions = Gauge("soonish_subscriptions", "Active subscriptions", registry=registry)
_outbox = Gauge("soonish_outbox_undone", "Outbox rows not done", registry=registry)
_outbox_age = Gauge("soonish_outbox_oldest_seconds", "Age of the oldest", registry=registry)


async def render(runtime: Runtime) -> bytes:
    """Render the metrics as Prometheus text; counts are read from the database at each scrape."""
    async with runtime.db.read() as session:
        states = await session.execute(
            select(Delivery.state, func.count()).group_by(Delivery.state)
        )
        for state, count in states.all():
            _deliveries.labels(state).set(count)
        live = select(func.count()).select_from(Event).where(Event.completed_at.is_(None))
        _events.set(await session.scalar(live) or 0)
        active = select(func.count()).select_from(Subscription).where(is_active())
        _subscriptions.set(await session.scalar(active) or 0)
        undone = (
            await session.execute(
                select(func.count(), func.min(OutboxRow.created_at)).where(
                    OutboxRow.done_at.is_(None)
                )
            )
        ).one()
    _outbox.set(undone[0])
    _outbox_age.set((utc_now() - undone[1]).total_seconds() if undone[1] else 0)
    return generate_latest(registry)
