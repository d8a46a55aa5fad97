"""Retention rules: one per kind of row, in the order they are applied.

Each rule selects the rows that are too old. Dependent rows go first, so that no transaction deletes
a whole event at once (docs/architecture.md#sqlite).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select

from soonish.identity.signed_tokens import LIFETIME as LINKS_LIVE
from soonish.infra.db.models.accounts import (
    ApiToken,
    OidcIdentity,
    Registration,
    Session,
    Token,
    User,
)
from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.models.events import Event, EventOrganizer, Invitation
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import OPEN_STATES, Delivery, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.subscriptions import Subscription

Condition = Callable[[datetime], ColumnElement[bool]]
LATE = timedelta(hours=1)  # how long rows are left to the workflow that should remove them


@dataclass(frozen=True)
class Rule:
    """Rows of `table` matching `is_old(before)` may go after `setting` days (0: keep forever).

    Without a setting the rule is a safety net for rows that should not exist.
    """

    name: str
    table: type[Any]
    is_old: Condition
    setting: str | None = None

    def ids(self, before: datetime) -> Select[int]:
        return select(self.table.id).where(self.is_old(before)).order_by(self.table.id)


def _event_is_old(before: datetime) -> ColumnElement[bool]:
    """Match events that ended or were cancelled before then and whose workflow has completed."""
    over = func.coalesce(Event.end_date, Event.start_date) < before
    return and_(Event.completed_at.is_not(None), or_(over, Event.cancelled_at < before))


def _of_old_event(column: Any) -> Condition:
    return lambda before: column.in_(select(Event.id).where(_event_is_old(before)))


def _delivery_of_old_event(before: datetime) -> ColumnElement[bool]:
    old = select(Notification.id).where(_of_old_event(Notification.event_id)(before))
    return Delivery.notification_id.in_(old)


def _event_left_alone(before: datetime) -> ColumnElement[bool]:
    return and_(
        _event_is_old(before),
        ~exists().where(Subscription.event_id == Event.id),
        ~exists().where(Notification.event_id == Event.id),
    )


def _delivery_is_old(before: datetime) -> ColumnElement[bool]:
    ended = func.coalesce(Delivery.finished_at, Delivery.created_at)
    return and_(Delivery.state.not_in(OPEN_STATES), ended < before)


def _account_mail_is_old(before: datetime) -> ColumnElement[bool]:
    return and_(Notification.event_id.is_(None), Notification.completed_at < before)


def _session_is_old(before: datetime) -> ColumnElement[bool]:
    return or_(Session.ended_at < before, Session.expires_at < before)


def _token_is_old(before: datetime) -> ColumnElement[bool]:
    return or_(Token.expires_at < before, Token.used_at < before)


def _api_token_is_old(before: datetime) -> ColumnElement[bool]:
    return or_(ApiToken.expires_at < before, ApiToken.revoked_at < before)


def _registration_is_over(before: datetime) -> ColumnElement[bool]:
    return and_(Registration.completed_at.is_(None), Registration.expires_at < before - LATE)


def _invitation_is_old(before: datetime) -> ColumnElement[bool]:
    return or_(Invitation.expires_at < before, Invitation.revoked_at < before)


def _outbox_row_is_old(before: datetime) -> ColumnElement[bool]:
    """Match done rows; failed ones stay until they are retried or their stream is gone."""
    return and_(OutboxRow.done_at < before, OutboxRow.error.is_(None))


def _address_is_left(before: datetime) -> ColumnElement[bool]:
    """Match users without an account whom nothing refers to any more.

    These are addresses that subscribed to deleted events, and rows of erased people. A merged
    address stays while links in its mails act on the subscriptions of its new account.
    """
    nobody = and_(
        User.is_verified.is_(False),
        User.is_admin.is_(False),
        User.password_hash.is_(None),
        User.deactivated_at.is_(None),
        func.coalesce(User.erased_at, User.created_at) < before,
        or_(User.merged_into_id.is_(None), User.erased_at < before - LINKS_LIVE),
    )
    refers = (
        Subscription.user_id,
        Event.owner_user_id,
        EventOrganizer.user_id,
        Integration.user_id,
        Session.user_id,
        Token.user_id,
        ApiToken.user_id,
        OidcIdentity.user_id,
        Registration.user_id,
        Registration.claimant_user_id,
        Invitation.user_id,
        Notification.requested_by,
        Delivery.user_id,
    )
    heirs = User.__table__.alias("heirs")
    return and_(
        nobody,
        *(~exists().where(column == User.id) for column in refers),
        ~exists().where(heirs.c.merged_into_id == User.id),
    )


def _channel_is_left(before: datetime) -> ColumnElement[bool]:
    """Match channels of erased people, kept only for ledger rows that are gone by now."""
    return and_(
        Integration.deleted_at < before,
        exists().where(User.id == Integration.user_id, User.erased_at.is_not(None)),
        ~exists().where(Delivery.integration_id == Integration.id),
    )


RULES: tuple[Rule, ...] = (
    Rule("unverified_registrations", Registration, _registration_is_over),
    Rule("event_deliveries", Delivery, _delivery_of_old_event, "retention_events_days"),
    Rule(
        "event_subscriptions",
        Subscription,
        _of_old_event(Subscription.event_id),
        "retention_events_days",
    ),
    Rule(
        "event_notifications",
        Notification,
        _of_old_event(Notification.event_id),
        "retention_events_days",
    ),
    Rule("events", Event, _event_left_alone, "retention_events_days"),
    Rule("deliveries", Delivery, _delivery_is_old, "retention_deliveries_days"),
    Rule("account_mails", Notification, _account_mail_is_old, "retention_deliveries_days"),
    Rule("outbox", OutboxRow, _outbox_row_is_old, "retention_outbox_days"),
    Rule("sessions", Session, _session_is_old, "retention_sessions_days"),
    Rule("tokens", Token, _token_is_old, "retention_tokens_days"),
    Rule("api_tokens", ApiToken, _api_token_is_old, "retention_tokens_days"),
    Rule(
        "registrations",
        Registration,
        lambda before: Registration.completed_at < before,
        "retention_tokens_days",
    ),
    Rule("invitations", Invitation, _invitation_is_old, "retention_invitations_days"),
    Rule(
        "audit", AuditEntry, lambda before: AuditEntry.created_at < before, "retention_audit_days"
    ),
    Rule("erased_channels", Integration, _channel_is_left, "retention_addresses_days"),
    Rule("addresses", User, _address_is_left, "retention_addresses_days"),
)
BY_NAME = {rule.name: rule for rule in RULES}
