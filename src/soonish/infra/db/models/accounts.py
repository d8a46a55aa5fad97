"""Users with their sessions, registrations and tokens."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from soonish.infra.db.base import Base, HasCreatedAt, HasId
from soonish.infra.db.types import Encrypted


class User(HasId, HasCreatedAt, Base):
    """A user, one row per address; without credentials an anonymous subscriber."""

    __tablename__ = "users"
    __table_args__ = (UniqueConstraint("email_fingerprint"),)

    email: Mapped[str | None] = mapped_column(Encrypted)
    email_fingerprint: Mapped[str | None] = mapped_column(String(64))
    name: Mapped[str | None] = mapped_column(String(200))
    timezone: Mapped[str | None] = mapped_column(String(64))
    locale: Mapped[str | None] = mapped_column(String(16))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    is_verified: Mapped[bool] = mapped_column(default=False)
    is_admin: Mapped[bool] = mapped_column(default=False)
    token_epoch: Mapped[int] = mapped_column(default=0)
    # set when another account takes over this address: links in old mails then act on it
    merged_into_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    verified_at: Mapped[datetime | None]
    deactivated_at: Mapped[datetime | None]
    erased_at: Mapped[datetime | None]


class Registration(HasId, HasCreatedAt, Base):
    """A claim on the user's address, which takes effect only with proof by mail.

    Without `claimant_user_id` it is a registration; with it that account wants to move to this
    address. Password and browser are deleted when the claim is decided.
    """

    __tablename__ = "registrations"
    __table_args__ = (UniqueConstraint("workflow_id"),)

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    workflow_id: Mapped[str] = mapped_column(String(120))
    name: Mapped[str | None] = mapped_column(String(200))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    browser_hash: Mapped[str | None] = mapped_column(String(64))  # SHA-256 of the register cookie
    claimant_user_id: Mapped[int | None] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), index=True
    )
    expires_at: Mapped[datetime]
    completed_at: Mapped[datetime | None]


class Session(HasId, HasCreatedAt, Base):
    """A session of a browser or API client."""

    __tablename__ = "sessions"
    __table_args__ = (UniqueConstraint("token_hash"),)

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64))
    user_agent: Mapped[str | None] = mapped_column(String(300))
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Token(HasId, HasCreatedAt, Base):
    """A mailed token for one purpose; only its SHA-256 is stored."""

    __tablename__ = "tokens"
    __table_args__ = (UniqueConstraint("token_hash"), Index("ix_tokens_expires_at", "expires_at"))

    token_hash: Mapped[str] = mapped_column(String(64))
    purpose: Mapped[str] = mapped_column(String(32))
    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    registration_id: Mapped[int | None] = mapped_column(
        ForeignKey("registrations.id", ondelete="CASCADE"), index=True
    )
    subscription_id: Mapped[int | None] = mapped_column(
        ForeignKey("subscriptions.id", ondelete="CASCADE"), index=True
    )
    invitation_id: Mapped[int | None] = mapped_column(
        ForeignKey("invitations.id", ondelete="CASCADE"), index=True
    )
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class ApiToken(HasId, HasCreatedAt, Base):
    """A personal token for programs (`Authorization: Bearer`); shown once, stored as SHA-256."""

    __tablename__ = "api_tokens"
    __table_args__ = (UniqueConstraint("token_hash"),)

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    name: Mapped[str] = mapped_column(String(100))
    token_hash: Mapped[str] = mapped_column(String(64))
    scope: Mapped[str] = mapped_column(String(8))  # read or write
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class OidcIdentity(HasId, HasCreatedAt, Base):
    """An OpenID Connect identity that signs in to the account."""

    __tablename__ = "oidc_identities"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    user_id: Mapped[int] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    issuer: Mapped[str] = mapped_column(String(255))
    subject: Mapped[str] = mapped_column(String(255))
