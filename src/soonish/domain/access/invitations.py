"""Invitations to an event: one per mailed address, or a single link to share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger.account_mail import add_account_mail
from soonish.domain.access import invitation_queries
from soonish.domain.access.schemas import InvitationInput
from soonish.errors import FieldError, InvalidInput, NotFound
from soonish.identity import tokens
from soonish.identity.addresses import fingerprint_of, normalise
from soonish.identity.tokens import Purpose
from soonish.identity.users import find_or_create_by_address
from soonish.infra.audit.service import record
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event, Invitation

MAIL_LIFETIME = timedelta(days=3)


def status_of(invitation: Invitation, now: datetime) -> str:
    """Return `active`, `used_up`, `expired` or `revoked`."""
    if invitation.revoked_at:
        return "revoked"
    if invitation.expires_at and invitation.expires_at <= now:
        return "expired"
    return "active" if invitation_queries.has_uses_left(invitation) else "used_up"


async def create_link(
    session: AsyncSession, event: Event, organizer: User, wanted: InvitationInput, now: datetime
) -> tuple[Invitation, str]:
    """Create a shareable invitation; return it and its token, which is stored only as a hash."""
    token = tokens.new_secret()
    invitation = _made(event, organizer, wanted, now)
    invitation.token_hash = tokens.hash_of(token)
    await _add(session, invitation, organizer)
    return invitation, token


async def create_by_mail(
    session: AsyncSession,
    event: Event,
    organizer: User,
    wanted: InvitationInput,
    now: datetime,
    *,
    muted: Collection[str] = (),
) -> list[tuple[Invitation, str | None]]:
    """Create and mail one invitation per address.

    An address that already has a valid invitation gets it updated and mailed again, at most once an
    hour. Addresses whose fingerprint is in `muted` are invited without a mail. Raise InvalidInput
    `emails.N` for an invalid address.
    """
    made: list[tuple[Invitation, str | None]] = []
    for address in _addresses(wanted.emails or []):
        user = await find_or_create_by_address(session, address)
        invitation = await _renewed(session, event, user, wanted, now)
        if invitation is None:
            invitation = _made(event, organizer, wanted, now)
            invitation.user_id = user.id
            await _add(session, invitation, organizer)
        is_muted = user.email_fingerprint in muted
        await _mail(session, event, organizer, invitation, now, muted=is_muted)
        made.append((invitation, user.email))
    return made


async def list_invitations(
    session: AsyncSession, event: Event, limit: int, before_id: int | None
) -> Sequence[tuple[Invitation, str | None]]:
    """Return a page of the event's invitations with the addresses they were mailed to, newest
    first."""
    return await invitation_queries.list_of_event(session, event.id, limit, before_id)


async def revoke(
    session: AsyncSession, event: Event, organizer: User, invitation_id: int, now: datetime
) -> None:
    """Revoke the invitation; existing subscriptions stay. Revoking twice does nothing.

    Raise NotFound for an invitation of another event.
    """
    invitation = await invitation_queries.lock(session, event.id, invitation_id)
    if invitation is None:
        raise NotFound("This event has no such invitation.")
    if invitation.revoked_at is None:
        invitation.revoked_at = now
        _record(session, "invitation.revoke", invitation, organizer)


def _addresses(given: Sequence[str]) -> list[str]:
    """Return the normalised addresses without duplicates.

    Raise InvalidInput listing every bad one.
    """
    found: dict[str, str] = {}
    errors: list[FieldError] = []
    for index, address in enumerate(given):
        try:
            plain = normalise(address)
            found.setdefault(fingerprint_of(plain), plain)
        except InvalidInput as error:
            errors.append(FieldError(f"emails.{index}", error.errors[0].message))
    if errors:
        raise InvalidInput(errors=errors)
    return list(found.values())


def _made(event: Event, organizer: User, wanted: InvitationInput, now: datetime) -> Invitation:
    if wanted.expires_at is not None and wanted.expires_at <= now:
        raise InvalidInput("expires_at", "must lie in the future")
    return Invitation(
        event_id=event.id,
        created_by=organizer.id,
        needs_approval=wanted.needs_approval,
        max_uses=wanted.max_uses,
        uses=0,
        expires_at=wanted.expires_at,
        created_at=now,
    )


async def _renewed(
    session: AsyncSession, event: Event, user: User, wanted: InvitationInput, now: datetime
) -> Invitation | None:
    found = await invitation_queries.of_user(session, event.id, user.id, now)
    if found is None or not invitation_queries.has_uses_left(found):
        return None
    found.needs_approval, found.expires_at = wanted.needs_approval, wanted.expires_at
    found.max_uses = wanted.max_uses and found.uses + wanted.max_uses
    return found


async def _add(session: AsyncSession, invitation: Invitation, organizer: User) -> None:
    session.add(invitation)
    await session.flush()
    _record(session, "invitation.create", invitation, organizer)


async def _mail(
    session: AsyncSession,
    event: Event,
    organizer: User,
    invitation: Invitation,
    now: datetime,
    *,
    muted: bool,
) -> None:
    lasts = invitation.expires_at - now if invitation.expires_at else MAIL_LIFETIME
    await add_account_mail(
        session,
        invitation.user_id or 0,
        Purpose.INVITATION,
        dedup_key=f"{Purpose.INVITATION}:{invitation.id}:{now:%Y-%m-%dT%H}",
        lifetime=min(lasts, MAIL_LIFETIME),
        extra={
            "purpose": Purpose.INVITATION.value,
            "invitation_id": invitation.id,
            "event": event.name,
            "organizer": organizer.name or "",
        },
        muted=muted,
    )


def _record(session: AsyncSession, action: str, invitation: Invitation, organizer: User) -> None:
    on = ("invitation", invitation.id)
    record(session, action, organizer.id, on=on, event_id=invitation.event_id)
