"""Build the links in account mails. None of them acts on GET."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.identity.tokens import Purpose, issue
from soonish.infra.db.models.events import Event, Invitation

_NEVER = datetime(2201, 1, 1, tzinfo=UTC)  # no event is later than 2200

_PATHS = {
    Purpose.VERIFICATION: "/verify?token={}",
    Purpose.MAGIC_LINK: "/verify?token={}",
    Purpose.NEW_EMAIL: "/verify?token={}",
    Purpose.PASSWORD_RESET: "/reset?token={}",
    Purpose.CONFIRM_SUBSCRIPTION: "/confirm/{}",
}


def action_url(base_url: str, purpose: str, token: str) -> str:
    """Return the page for a token of this purpose. Raise ValueError if the purpose has no page."""
    return base_url + _PATHS[Purpose(purpose)].format(token)


def invitation_url(base_url: str, slug: str, token: str) -> str:
    """Return the link of an invitation; tokens are URL-safe."""
    return f"{base_url}/e/{slug}?invitation={token}"


async def issue_invitation_url(session: AsyncSession, invitation_id: int, base_url: str) -> str:
    """Return the link of a mailed invitation with a new token; earlier ones stay valid."""
    invitation = await session.get_one(Invitation, invitation_id)
    event = await session.get_one(Event, invitation.event_id)
    if invitation.user_id is None:
        raise ValueError(f"invitation {invitation_id} is to nobody's address")
    token = await issue(
        session,
        Purpose.INVITATION,
        invitation.user_id,
        invitation_id=invitation.id,
        expires_at=invitation.expires_at or _NEVER,
    )
    return invitation_url(base_url, event.slug, token)
