"""Invitations to an event: one per mailed address, or a single link to share."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger.account_mail import add_account_mail
from soonish.domain.access import invitation_queries, policy
from soonish.domain.access.schemas import InvitationInput, InvitationLink, InvitationOut, Invited
from soonish.errors import FieldError, InvalidInput, NotFound
from soonish.identity import links, tokens
from soonish.identity.addresses import fingerprint_of, normalise
from soonish.identity.mail_limits import MailAllowance
from soonish.identity.tokens import Purpose
from soonish.identity.users import find_or_create_by_address
from soonish.infra.audit.service import record
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event, Invitation
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.kit.paging import id_cursor, page
from soonish.kit.schemas import Page

MAIL_LIFETIME = timedelta(days=3)


def _status_of(invitation: Invitation, now: datetime) -> str:
    """Return `active`, `used_up`, `expired` or `revoked`."""
    if invitation.revoked_at:
        return "revoked"
    if invitation.expires_at and invitation.expires_at <= now:
        return "expired"
    return "active" if invitation_queries.has_uses_left(invitation) else "used_up"


async def invite(
    db: Database,
    allowance: MailAllowance,
    event_id: int,
    organizer: User,
    wanted: InvitationInput,
    *,
    base_url: str,
) -> InvitationLink | Invited:
    """Invite the addresses by mail, or create a link to share if there are none.

    Only the event's organizers may do so. Raise Conflict if the event is over or cancelled.
    """
    async with db.read() as session:
        await policy.require_organizer(session, event_id, organizer)
    muted = await allowance.take(wanted.emails or [])
    async with db.write() as session:
        event = await policy.require_organizer(session, event_id, organizer, lock="share")
        policy.require_open(event, utc_now())
        if not wanted.emails:
            return await _create_link(session, event, organizer, wanted, base_url)
        made = await _create_by_mail(session, event, organizer, wanted, utc_now(), muted=muted)
        return Invited(items=[_out(*one) for one in made])


async def _create_link(
    session: AsyncSession, event: Event, organizer: User, wanted: InvitationInput, base_url: str
) -> InvitationLink:
    """Create a shareable invitation; its token is stored only as a hash."""
    token = tokens.new_secret()
    invitation = _made(event, organizer, wanted, utc_now())
    invitation.token_hash = tokens.hash_of(token)
    await _add(session, invitation, organizer)
    url = links.invitation_url(base_url, event.slug, token)
    return InvitationLink(url=url, **_out(invitation, None).model_dump())


async def _create_by_mail(
    session: AsyncSession,
    event: Event,
    organizer: User,
    wanted: InvitationInput,
    now: datetime,
    *,
    muted: Collection[str],
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
    session: AsyncSession, event_id: int, user: User, *, limit: int, cursor: str | None = None
) -> Page[InvitationOut]:
    """Return a page of the event's invitations for its organizers, newest first.

    They come with the addresses they were mailed to, and never with their links.
    """
    event = await policy.require_organizer(session, event_id, user)
    before = id_cursor(cursor)
    rows = await invitation_queries.list_of_event(session, event.id, limit + 1, before)
    shown, following = page(rows, limit, lambda row: row[0].id)
    return Page(items=[_out(*one) for one in shown], next_cursor=following)


async def revoke(
    session: AsyncSession, event_id: int, organizer: User, invitation_id: int, now: datetime
) -> None:
    """Revoke the invitation; existing subscriptions stay. Revoking twice does nothing.

    Raise NotFound for an invitation of another event.
    """
    event = await policy.require_organizer(session, event_id, organizer, lock="share")
    invitation = await invitation_queries.lock(session, event.id, invitation_id)
    if invitation is None:
        raise NotFound("This event has no such invitation.")
    if invitation.revoked_at is None:
        invitation.revoked_at = now
        _record(session, "invitation.revoke", invitation, organizer)


def _out(invitation: Invitation, address: str | None) -> InvitationOut:
    fields = {name: getattr(invitation, name, None) for name in InvitationOut.model_fields}
    status = _status_of(invitation, utc_now())
    return InvitationOut.model_validate(fields | {"address": address, "status": status})


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
