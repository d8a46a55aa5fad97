"""Events, their tags and their public update log."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from soonish.infra.db.base import Base, HasCreatedAt, HasId
from soonish.infra.db.types import Json, utc_now


class Event(HasId, HasCreatedAt, Base):
    __tablename__ = "events"
    __table_args__ = (
        UniqueConstraint("temporal_workflow_id"),
        UniqueConstraint("slug"),
        Index("ix_events_start_date_id", "start_date", "id"),
    )

    owner_user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    start_date: Mapped[datetime]
    end_date: Mapped[datetime | None]
    description: Mapped[str | None] = mapped_column(Text)
    location: Mapped[str | None] = mapped_column(String(500))
    contact: Mapped[str | None] = mapped_column(String(320))
    category: Mapped[str | None] = mapped_column(String(64), index=True)
    timezone: Mapped[str] = mapped_column(String(64), default="UTC")
    is_public: Mapped[bool] = mapped_column(default=True)
    slug: Mapped[str] = mapped_column(String(120))
    temporal_workflow_id: Mapped[str] = mapped_column(String(120))
    updated_at: Mapped[datetime] = mapped_column(default=utc_now)
    cancelled_at: Mapped[datetime | None]
    # set by the event's workflow when it is done; reconcile then ignores the event
    completed_at: Mapped[datetime | None]

    @property
    def over_at(self) -> datetime:
        """The instant from which the event is past: its end, or its start if it has none."""
        return self.end_date or self.start_date


class EventTag(Base):
    __tablename__ = "event_tags"
    __table_args__ = (Index("ix_event_tags_tag", "tag"),)

    event_id: Mapped[int] = mapped_column(
        ForeignKey("events.id", ondelete="CASCADE"), primary_key=True
    )
    tag: Mapped[str] = mapped_column(String(64), primary_key=True)


class EventUpdate(HasId, HasCreatedAt, Base):
    """One entry of the update log; `changes` holds [{field, old, new}] of a PATCH."""

    __tablename__ = "event_updates"

    event_id: Mapped[int] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"), index=True)
    category: Mapped[str] = mapped_column(String(32))
    title: Mapped[str] = mapped_column(String(300))
    body: Mapped[str] = mapped_column(Text)
    changes: Mapped[list[dict[str, Any]] | None] = mapped_column(Json)


class EventOrganizer(HasId, HasCreatedAt, Base):
    """A co-organizer, who may not cancel or transfer the event or choose its organizers."""

    __tablename__ = "event_organizers"
    __table_args__ = (UniqueConstraint("event_id", "user_id"),)

    event_id: Mapped[int] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    role: Mapped[str] = mapped_column(String(20), default="co_organizer")
    added_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))


class Invitation(HasId, HasCreatedAt, Base):
    """An invitation to see a private event and subscribe, by address (`user_id`) or by link.

    The token of its link is stored as SHA-256. `max_uses` NULL means no limit.
    """

    __tablename__ = "invitations"
    __table_args__ = (
        UniqueConstraint("token_hash"),
        Index("ix_invitations_event_id_user_id", "event_id", "user_id"),
    )

    event_id: Mapped[int] = mapped_column(ForeignKey("events.id", ondelete="CASCADE"))
    user_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    created_by: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    token_hash: Mapped[str | None] = mapped_column(String(64))
    needs_approval: Mapped[bool] = mapped_column(default=False)
    max_uses: Mapped[int | None]
    uses: Mapped[int] = mapped_column(default=0)
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
