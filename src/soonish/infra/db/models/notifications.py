"""Notifications and the delivery ledger (docs/architecture.md#ledger)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from soonish.infra.db.base import Base, HasCreatedAt, HasId
from soonish.infra.db.types import Json


class DeliveryState(StrEnum):
    """The state of a delivery."""

    PENDING = "pending"
    SENDING = "sending"
    SENT = "sent"
    RETRYING = "retrying"
    FAILED = "failed"
    EXPIRED = "expired"
    SUPPRESSED = "suppressed"


class NotificationKind(StrEnum):
    """The kind of a notification."""

    CREATED = "created"
    WELCOME = "welcome"
    UPDATE = "update"
    CANCELLED = "cancelled"
    MANUAL = "manual"
    REMINDER_1DAY = "reminder_1day"
    REMINDER_1HOUR = "reminder_1hour"
    REMINDER = "reminder"
    COUNTDOWN = "countdown"
    REMOVED = "removed"
    UNSUBSCRIBED = "unsubscribed"
    VERIFICATION = "verification"
    ALREADY_REGISTERED = "already_registered"
    MAGIC_LINK = "magic_link"
    PASSWORD_RESET = "password_reset"  # noqa: S105 - a kind of mail # nosec B105
    PASSWORD_NEEDED = "password_needed"  # noqa: S105 - a kind of mail # nosec B105
    NEW_EMAIL = "new_email"
    EMAIL_CHANGED = "email_changed"
    CONFIRM_SUBSCRIPTION = "confirm_subscription"
    INVITATION = "invitation"
    CO_ORGANIZER = "co_organizer"
    NEW_OWNER = "new_owner"
    APPROVAL_WANTED = "approval_wanted"
    REJECTED = "rejected"
    CHANNEL_FAILING = "channel_failing"
    CHANNEL_OFF = "channel_off"
    TEST = "test"


# also sent to people whose subscription has ended, and on cancelled events
FAREWELLS = (NotificationKind.REMOVED, NotificationKind.UNSUBSCRIBED)
OPEN_STATES = (DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.RETRYING)


class Notification(HasId, HasCreatedAt, Base):
    """One message to an audience. `content` has the data of its texts (Content.to_json)."""

    __tablename__ = "notifications"
    __table_args__ = (
        UniqueConstraint("dedup_key"),
        Index("ix_notifications_event_id", "event_id"),
        Index(
            "ix_notifications_open",
            "expanded_at",
            sqlite_where=text("completed_at IS NULL"),
            postgresql_where=text("completed_at IS NULL"),
        ),
        Index(
            "uq_notifications_idempotency",
            "event_id",
            "requested_by",
            "idempotency_key",
            unique=True,
            sqlite_where=text("idempotency_key IS NOT NULL"),
            postgresql_where=text("idempotency_key IS NOT NULL"),
        ),
    )

    event_id: Mapped[int | None] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(32))
    dedup_key: Mapped[str] = mapped_column(String(200))
    title: Mapped[str | None] = mapped_column(String(500))
    body: Mapped[str | None] = mapped_column(Text)
    content: Mapped[dict[str, Any] | None] = mapped_column(Json)
    # subscription ids of a selected audience; NULL means all as of created_at
    audience: Mapped[list[int] | None] = mapped_column(Json)
    requested_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    request_hash: Mapped[str | None] = mapped_column(String(64))
    anchor: Mapped[str | None] = mapped_column(String(8))
    anchor_at: Mapped[datetime | None]
    expanded_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class Delivery(HasId, HasCreatedAt, Base):
    """A row of the ledger, one per (notification, subscription or user, target)."""

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint(
            "state IN ('pending','sending','sent','retrying','failed','expired','suppressed')",
            name="state",
        ),
        Index(
            "uq_deliveries_recipient_target",
            "notification_id",
            text("COALESCE(subscription_id, -user_id)"),
            "target_key",
            unique=True,
        ),
        Index(
            "uq_deliveries_subscription_id_target_key_due_at",
            "subscription_id",
            "target_key",
            "due_at",
            unique=True,
            sqlite_where=text("due_at IS NOT NULL"),
            postgresql_where=text("due_at IS NOT NULL"),
        ),
        Index(
            "ix_deliveries_open",
            "notification_id",
            "state",
            sqlite_where=text("state IN ('pending','sending','retrying')"),
            postgresql_where=text("state IN ('pending','sending','retrying')"),
        ),
        Index("ix_deliveries_user_id", "user_id"),
        Index("ix_deliveries_subscription_id", "subscription_id"),
    )

    notification_id: Mapped[int] = mapped_column(ForeignKey("notifications.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    subscription_id: Mapped[int | None] = mapped_column(
        ForeignKey("subscriptions.id", ondelete="CASCADE")
    )
    target_key: Mapped[str] = mapped_column(String(80))
    integration_id: Mapped[int | None] = mapped_column(ForeignKey("integrations.id"))
    due_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(String(12), default=DeliveryState.PENDING)
    attempts: Mapped[int] = mapped_column(default=0)
    claims: Mapped[int] = mapped_column(default=0)
    lease_token: Mapped[str | None] = mapped_column(String(120))
    lease_until: Mapped[datetime | None]
    next_attempt_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(20))
    outcome_detail: Mapped[str | None] = mapped_column(String(300))
    first_attempt_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class DeliveryAttempt(HasId, Base):
    """An attempt; a success at the first one has no row, as the delivery says it all."""

    __tablename__ = "delivery_attempts"

    delivery_id: Mapped[int] = mapped_column(
        ForeignKey("deliveries.id", ondelete="CASCADE"), index=True
    )
    attempt: Mapped[int]
    at: Mapped[datetime]
    outcome: Mapped[str] = mapped_column(String(20))
    detail: Mapped[str | None] = mapped_column(String(300))
    status: Mapped[int | None]
