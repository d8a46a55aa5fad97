"""The audit log: actor, action, object, time, client and outcome."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from soonish.infra.db.base import Base, HasCreatedAt, HasId
from soonish.infra.db.types import Id, Json


class AuditEntry(HasId, HasCreatedAt, Base):
    """One entry; append only. `details` holds ids and names of fields, never their values."""

    __tablename__ = "audit_entries"
    __table_args__ = (
        Index("ix_audit_entries_created_at", "created_at"),
        Index("ix_audit_entries_actor_user_id", "actor_user_id"),
        Index("ix_audit_entries_event_id", "event_id"),
    )

    # NULL: nobody was signed in, or Soonish itself acted (maintenance)
    actor_user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    action: Mapped[str] = mapped_column(String(64))  # object.verb: `event.cancel`, `session.start`
    outcome: Mapped[str] = mapped_column(String(16), default="ok")  # or denied, failed
    object_type: Mapped[str | None] = mapped_column(String(32))
    object_id: Mapped[int | None] = mapped_column(Id)
    # without a foreign key: the entry outlives the event
    event_id: Mapped[int | None] = mapped_column(Id)
    client: Mapped[str | None] = mapped_column(String(64))  # network address; gone with erasure
    details: Mapped[dict[str, Any] | None] = mapped_column(Json)
