"""Users' own channels."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from soonish.infra.db.base import Base, HasCreatedAt, HasId
from soonish.infra.db.types import Encrypted


class Integration(HasId, HasCreatedAt, Base):
    """An Apprise URL with a name and one tag. Deleting erases the URL and keeps the row.

    `not_before` to `open_until` and `last_failure` are the channel's health, shared by all
    workers (docs/architecture.md#channel-health).
    """

    __tablename__ = "integrations"
    __table_args__ = (
        Index(
            "uq_integrations_user_id_url_fingerprint_tag",
            "user_id",
            "url_fingerprint",
            "tag",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_integrations_user_id_tag", "user_id", "tag"),
    )

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    apprise_url: Mapped[str | None] = mapped_column(Encrypted)
    url_fingerprint: Mapped[str] = mapped_column(String(64))
    tag: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(255))  # masked, for people
    is_active: Mapped[bool] = mapped_column(default=True)
    deleted_at: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    fail_streak: Mapped[int] = mapped_column(default=0)
    failing_since: Mapped[datetime | None]
    open_until: Mapped[datetime | None]
    last_delivery_at: Mapped[datetime | None]
    last_failure: Mapped[str | None] = mapped_column(String(200))  # why; no secrets, in English
