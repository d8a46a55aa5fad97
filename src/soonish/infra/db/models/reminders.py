"""Reminders, fired by Temporal schedules, and one-off remind-mes."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from soonish.infra.db.base import Base, HasCreatedAt, HasId

START = "start"
END = "end"


class Reminder(HasId, HasCreatedAt, Base):
    """A reminder, which gets a Temporal schedule.

    `subscription_id` NULL: for all subscribers without reminders of their own. A countdown has
    `every_seconds`; its `due_at` is the next instant. `removed_at` marks a row whose schedule
    `sync_reminders` must delete before the row.
    """

    __tablename__ = "reminders"
    __table_args__ = (
        Index("uq_reminders_schedule_id", "schedule_id", unique=True),
        Index("ix_reminders_event_id", "event_id"),
        Index("ix_reminders_subscription_id", "subscription_id"),
        Index(
            "ix_reminders_due",
            "due_at",
            sqlite_where=text("fired_at IS NULL AND expired_at IS NULL"),
            postgresql_where=text("fired_at IS NULL AND expired_at IS NULL"),
        ),
    )

    event_id: Mapped[int] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"))
    subscription_id: Mapped[int | None] = mapped_column(
        ForeignKey("subscriptions.id", ondelete="CASCADE")
    )
    schedule_id: Mapped[str] = mapped_column(String(160))
    anchor: Mapped[str] = mapped_column(String(8), default=START)
    offset_seconds: Mapped[int]
    every_seconds: Mapped[int | None]
    anchor_at: Mapped[datetime]
    due_at: Mapped[datetime]
    armed_at: Mapped[datetime | None]
    fired_at: Mapped[datetime | None]
    expired_at: Mapped[datetime | None]
    removed_at: Mapped[datetime | None]


class RemindMe(HasId, HasCreatedAt, Base):
    """One extra reminder that subscribers set for themselves."""

    __tablename__ = "remind_mes"

    subscription_id: Mapped[int] = mapped_column(
        ForeignKey("subscriptions.id", ondelete="CASCADE"), index=True
    )
    at: Mapped[datetime]
    fired_at: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
