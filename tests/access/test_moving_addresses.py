"""An account that moves to an address takes over what the address was invited to."""

from __future__ import annotations

from sqlalchemy import select

from soonish.domain.accounts import access_tokens, address_change, sessions
from soonish.identity import tokens
from soonish.infra.db.models.accounts import Registration, User
from soonish.infra.db.models.events import EventOrganizer
from soonish.infra.db.models.subscriptions import Subscription
from tests.access.conftest import Party

NINA = "nina@example.org"


async def move(party: Party, who: str, address: str) -> User:
    """The person proves this address to be theirs."""
    async with party.scene.db.write() as session:
        user = await session.get_one(User, party.scene.users[who].id)
        await address_change.claim_address(session, user, address)
        claim = (
            await session.scalars(
                select(Registration).where(Registration.claimant_user_id == user.id)
            )
        ).one()
        token = await tokens.issue(session, "new_email", claim.user_id, registration_id=claim.id)
    async with party.scene.db.write() as session:
        return await address_change.take_address(session, token, "http://localhost")


async def test_roles_and_invitations_come_along(party: Party) -> None:
    event, both, own = await party.private(), await party.private(), await party.private()
    for one, emails in ((event, [NINA]), (both, [NINA, "member@example.com"])):
        for email in emails:
            body = {"email": email}
            path = f"/api/events/{one['id']}/organizers"
            assert (await party.ask("owner", "POST", path, json=body)).status_code == 201
    await party.invite(own, emails=[NINA])
    user = await move(party, "member", NINA)
    rows = await party.scene.rows(EventOrganizer)
    assert sorted((row.event_id, row.user_id) for row in rows) == [
        (event["id"], user.id),
        (both["id"], user.id),
    ]
    async with party.scene.db.write() as session:  # the old ones ended with the move
        row, _ = await sessions.start(session, party.scene.runtime.settings, user.id, None)
    party.scene.tokens["member"] = access_tokens.issue(party.scene.runtime.settings, row).token
    for one in (event, both, own):
        answer = await party.ask("member", "GET", f"/api/events/{one['id']}")
        assert answer.status_code == 200


async def test_an_approved_subscription_wins_over_one_that_waits(party: Party) -> None:
    event = await party.private()
    await party.scene.subscribe(event["id"], "member", status="pending_approval")
    await party.subscribe(event, NINA, await party.link(event))
    user = await move(party, "member", NINA)
    rows = await party.scene.rows(Subscription, Subscription.ended_at.is_(None))
    assert [(row.user_id, row.status) for row in rows] == [(user.id, "active")]
