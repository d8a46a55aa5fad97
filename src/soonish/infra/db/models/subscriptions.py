"""Subscriptions, and the selectors of their channels."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from soonish.infra.db.base import Base, HasCreatedAt, HasId
from soonish.infra.db.types import Json


class SubscriptionStatus(StrEnum):
    """The status of a subscription."""

    ACTIVE = "active"
    PENDING_APPROVAL = "pending_approval"
    PENDING_CONFIRMATION = "pending_confirmation"  # of its address by mail; hidden until then


ACTIVE = SubscriptionStatus.ACTIVE
PENDING_APPROVAL = SubscriptionStatus.PENDING_APPROVAL
PENDING_CONFIRMATION = SubscriptionStatus.PENDING_CONFIRMATION
_UNCONFIRMED = text("status = 'pending_confirmation' AND ended_at IS NULL")


class Subscription(HasId, HasCreatedAt, Base):
    """One period of a user's subscription to an event; a new period is a new row.

    `reminder_offsets` and `end_reminder_offsets` are seconds before start and end; NULL means
    the defaults, an empty list none. The countdown fires every `countdown_every_seconds` from
    `countdown_from_seconds` before the start. `created_at` is the start of the period or, while
    `pending_confirmation`, the last request. `admitted_as` is set if an invitation or an
    organizer admits somebody: it is the status after the address is confirmed, `active` or
    `pending_approval`.
    """

    __tablename__ = "subscriptions"
    __table_args__ = (
        Index(
            "uq_subscriptions_event_id_user_id",
            "event_id",
            "user_id",
            unique=True,
            sqlite_where=text("ended_at IS NULL"),
            postgresql_where=text("ended_at IS NULL"),
        ),
        Index("ix_subscriptions_user_id", "user_id"),
        Index("ix_subscriptions_event_id", "event_id"),
        Index(
            "ix_subscriptions_unconfirmed",
            "created_at",
            sqlite_where=_UNCONFIRMED,
            postgresql_where=_UNCONFIRMED,
        ),
    )

    event_id: Mapped[int] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    status: Mapped[str] = mapped_column(String(20), default=ACTIVE)
    admitted_as: Mapped[str | None] = mapped_column(String(20))
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[str | None] = mapped_column(String(20))  # an EndReason, or merged
    reminder_offsets: Mapped[list[int] | None] = mapped_column(Json)
    end_reminder_offsets: Mapped[list[int] | None] = mapped_column(Json)
    countdown_every_seconds: Mapped[int | None]
    countdown_from_seconds: Mapped[int | None]


class SubscriptionSelector(HasId, HasCreatedAt, Base):
    """A selector of channels: one of the user's integrations, or one of their tags."""

    __tablename__ = "subscription_selectors"
    __table_args__ = (
        CheckConstraint("(integration_id IS NULL) <> (tag IS NULL)", name="integration_or_tag"),
        Index(
            "uq_subscription_selectors_integration",
            "subscription_id",
            "integration_id",
            unique=True,
            sqlite_where=text("integration_id IS NOT NULL"),
            postgresql_where=text("integration_id IS NOT NULL"),
        ),
        Index(
            "uq_subscription_selectors_tag",
            "subscription_id",
            "tag",
            unique=True,
            sqlite_where=text("tag IS NOT NULL"),
            postgresql_where=text("tag IS NOT NULL"),
        ),
        Index("ix_subscription_selectors_subscription_id", "subscription_id"),
        Index("ix_subscription_selectors_integration_id", "integration_id"),
    )

    subscription_id: Mapped[int] = mapped_column(ForeignKey("subscriptions.id", ondelete="CASCADE"))
    integration_id: Mapped[int | None] = mapped_column(ForeignKey("integrations.id"))
    tag: Mapped[str | None] = mapped_column(String(64))
