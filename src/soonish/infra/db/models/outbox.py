"""The outbox: signals that workflows must still process (docs/architecture.md#outbox)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from soonish.infra.db.base import Base, HasCreatedAt, HasId
from soonish.infra.db.types import Json


class OutboxRow(HasId, HasCreatedAt, Base):
    """Work of a kind for a stream (a workflow's id); `payload` holds only ids."""

    __tablename__ = "outbox"
    __table_args__ = (
        Index(
            "ix_outbox_undone",
            "stream",
            "id",
            sqlite_where=text("done_at IS NULL"),
            postgresql_where=text("done_at IS NULL"),
        ),
    )

    stream: Mapped[str] = mapped_column(String(120))
    kind: Mapped[str] = mapped_column(String(40))
    payload: Mapped[dict[str, Any]] = mapped_column(Json)
    poked_at: Mapped[datetime | None]
    done_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)
