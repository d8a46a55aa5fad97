"""SQL conditions: rows that may be claimed, and rows that may no longer be sent.

See docs/architecture.md#ledger.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BindParameter, and_, case, exists, or_
from sqlalchemy.sql.elements import ColumnElement

from soonish.delivery.ledger.routing import is_active
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import (
    FAREWELLS,
    Delivery,
    DeliveryState,
    Notification,
    NotificationKind,
)
from soonish.infra.db.models.subscriptions import Subscription

Instant = datetime | BindParameter[datetime]
MAX_CLAIMS = 10


def claimable(now: Instant) -> ColumnElement[bool]:
    """Match rows that may be sent now: untried, due again, or abandoned by a dead worker."""
    is_due = or_(Delivery.next_attempt_at.is_(None), Delivery.next_attempt_at <= now)
    return or_(
        and_(Delivery.state == DeliveryState.PENDING, Delivery.outcome.is_(None), is_due),
        and_(Delivery.state == DeliveryState.RETRYING, Delivery.next_attempt_at <= now),
        and_(Delivery.state == DeliveryState.SENDING, Delivery.lease_until < now),
    )


def claimable_by(previous: Sequence[str], now: Instant) -> ColumnElement[bool]:
    """Match claimable rows and those leased by `previous`, earlier attempts of the claimer."""
    abandoned = and_(Delivery.state == DeliveryState.SENDING, Delivery.lease_token.in_(previous))
    return or_(claimable(now), abandoned) if previous else claimable(now)


def unsendable(now: Instant) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Return (expired, suppressed): rows that may no longer be sent. Correlated with Delivery."""
    expired = and_(Delivery.expires_at.is_not(None), Delivery.expires_at <= now)
    notice = Notification.id == Delivery.notification_id
    ended = and_(
        Delivery.subscription_id.is_not(None),
        exists().where(notice, Notification.kind.not_in(FAREWELLS)),
        ~exists().where(Subscription.id == Delivery.subscription_id, is_active()),
    )
    cancelled = exists().where(
        notice,
        Notification.kind.not_in((*FAREWELLS, NotificationKind.CANCELLED)),
        Event.id == Notification.event_id,
        Event.cancelled_at.is_not(None),
    )
    anchor = case((Notification.anchor == "end", Event.end_date), else_=Event.start_date)
    moved = exists().where(
        notice,
        Notification.anchor_at.is_not(None),
        Event.id == Notification.event_id,
        anchor.is_distinct_from(Notification.anchor_at),
    )
    return expired, or_(ended, cancelled, moved)
