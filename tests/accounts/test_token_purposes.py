"""Every kind of token at every place that takes one: each opens its own door and no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.config import Settings
from soonish.domain.accounts import access_tokens, api_tokens, service, sessions
from soonish.domain.accounts.api_tokens import Scope
from soonish.identity import links, tokens
from soonish.identity.signed_tokens import Purpose as MailPurpose
from soonish.identity.signed_tokens import make_token
from soonish.identity.tokens import Purpose
from soonish.identity.users import find_or_create_by_address
from soonish.infra.db.models.accounts import Registration, User
from soonish.infra.db.models.subscriptions import ACTIVE, Subscription
from soonish.infra.db.types import utc_now
from tests.accounts.scene import OTHER_PASSWORD
from tests.web.site import Site, Visitor

ONCE, OFTEN = "once", "often"
REFUSED = (401, 404, 410, 422)  # 422: too long to be one
# Each kind with the doors that it opens, and how often.
KINDS: dict[str, tuple[set[str], str]] = {
    Purpose.VERIFICATION: ({"verify", "verify page"}, ONCE),
    Purpose.MAGIC_LINK: ({"verify", "verify page"}, ONCE),
    Purpose.NEW_EMAIL: ({"verify", "verify page"}, ONCE),
    Purpose.PASSWORD_RESET: ({"reset", "reset page"}, ONCE),
    Purpose.CONFIRM_SUBSCRIPTION: ({"confirm", "confirm page"}, OFTEN),
    Purpose.INVITATION: ({"invitation"}, OFTEN),
    "invitation link": ({"invitation"}, OFTEN),
    "unsubscribe": ({"unsubscribe", "one click"}, OFTEN),
    "manage": ({"manage header", "manage page"}, OFTEN),
    "session": ({"session cookie"}, OFTEN),
    "access token": ({"bearer"}, OFTEN),
    "API token": ({"bearer"}, OFTEN),
}


@dataclass
class People:
    """An organizer with a public and a private event, and whoever else comes along."""

    site: Site
    organizer: Visitor
    event_id: int
    private_id: int

    async def invitation(self, address: str) -> str:
        """The token of an invitation to the private event: of a link, or mailed to the address."""
        body = {"emails": [address]} if address else {}
        path = f"/api/events/{self.private_id}/invitations"
        answer = await self.organizer.client.post(path, json=body)
        assert answer.status_code == 201, answer.text
        if not address:
            return answer.json()["url"].partition("invitation=")[2]
        async with self.site.runtime.db.write() as session:
            invitation_id = answer.json()["items"][0]["id"]
            url = await links.issue_invitation_url(session, invitation_id, "")
        return url.partition("invitation=")[2]

    def doors(self) -> dict[str, Callable[[str], Awaitable[int]]]:
        """Every place that takes a token; each is asked by somebody whom nobody knows."""
        reset = {"password": OTHER_PASSWORD}
        return {
            "verify": lambda t: self.ask("POST", "/api/auth/verify", json={"token": t}),
            "verify page": lambda t: self.ask("POST", "/verify", data={"token": t}),
            "reset": lambda t: self.ask(
                "POST", "/api/auth/password/reset", json={"token": t} | reset
            ),
            "reset page": lambda t: self.ask("POST", "/reset", data={"token": t} | reset),
            "confirm": lambda t: self.ask("POST", "/api/confirm", json={"token": t}),
            "confirm page": lambda t: self.ask("POST", f"/confirm/{t}"),
            "unsubscribe": lambda t: self.ask("POST", "/api/unsubscribe", json={"token": t}),
            "one click": lambda t: self.ask("POST", f"/u/{t}"),
            "manage page": lambda t: self.ask("GET", f"/manage/{t}"),
            "manage header": lambda t: self.ask(
                "GET", f"/api/events/{self.event_id}/subscribe", headers={"X-Manage-Token": t}
            ),
            "invitation": lambda t: self.ask(
                "GET", f"/api/events/{self.private_id}", params={"invitation": t}
            ),
            "bearer": lambda t: self.ask(
                "GET", "/api/users/me", headers={"Authorization": f"Bearer {t}"}
            ),
            "session cookie": lambda t: self.ask(
                "GET", "/api/users/me", headers={"Cookie": f"soonish_session={t}"}
            ),
        }

    async def ask(self, method: str, path: str, **more: Any) -> int:
        client = self.site.visitor().client
        return (await client.request(method, path, **more)).status_code


@pytest.fixture
async def people(site: Site) -> People:
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    private_id, _ = await ana.create_event(is_public="0")
    return People(site, ana, event_id, private_id)


async def test_a_token_opens_its_own_door_and_no_other(people: People) -> None:
    doors = people.doors()
    assert set(Purpose) <= set(KINDS), "a new purpose needs its row in KINDS"
    assert set(doors) == set().union(*(own for own, _ in KINDS.values()))
    for number, (kind, (own, times)) in enumerate(KINDS.items()):
        token = await make(people, kind, f"person{number}")
        for door in sorted(set(doors) - own):
            status = await doors[door](token)
            assert status in REFUSED, f"{kind} at {door}: {status}"
        # The wrong doors did not use it up, and its own open until it is.
        opened = [await doors[door](token) < 400 for door in sorted(own) * 2]
        assert opened == [True] + [times == OFTEN] * (len(opened) - 1), kind


async def test_what_the_database_holds_opens_nothing(people: People) -> None:
    """Whoever reads the tables has only hashes."""
    for kind in (Purpose.MAGIC_LINK, Purpose.PASSWORD_RESET, "session", "API token"):
        stored = tokens.hash_of(await make(people, kind, f"person-{kind.replace(' ', '-')}"))
        for name, door in people.doors().items():
            for text in (stored, api_tokens.PREFIX + stored):
                assert await door(text) in REFUSED, f"{kind} at {name}"


async def make(people: People, kind: str, name: str) -> str:
    """A good token of this kind, of somebody who has nothing to do with the others."""
    if kind in ("invitation link", Purpose.INVITATION):
        return await people.invitation(f"{name}@example.org" if kind == Purpose.INVITATION else "")
    user = await people.site.user(name)
    async with people.site.runtime.db.write() as session:
        if kind in ("session", "access token", "API token"):
            return await credential(session, people.site.runtime.settings, kind, user)
        subscription = await subscribe(session, people.event_id, user)
        if kind in ("unsubscribe", "manage"):
            purpose: MailPurpose = "manage" if kind == "manage" else "unsubscribe"
            return make_token(
                people.site.runtime.settings.secret_key,
                purpose,
                event_id=people.event_id,
                user_id=user.id,
                epoch=0,
                issued_at=utc_now(),
            )
        return await mailed(session, kind, user, subscription)


async def credential(session: AsyncSession, settings: Settings, kind: str, user: User) -> str:
    (await session.get_one(User, user.id)).is_verified = True
    if kind == "API token":
        made = await api_tokens.create(
            session, user.id, name="script", scope=Scope.WRITE, expires_at=None
        )
        return made[1]
    row, secret = await sessions.start(session, settings, user.id, None)
    return secret if kind == "session" else access_tokens.issue(settings, row).token


async def subscribe(session: AsyncSession, event_id: int, user: User) -> Subscription:
    made = Subscription(event_id=event_id, user_id=user.id, status=ACTIVE)
    session.add(made)
    await session.flush()
    return made


async def mailed(session: AsyncSession, kind: str, user: User, subscription: Subscription) -> str:
    if kind == Purpose.CONFIRM_SUBSCRIPTION:
        return await tokens.issue(session, kind, user.id, subscription_id=subscription.id)
    if kind != Purpose.NEW_EMAIL:
        return await tokens.issue(session, kind, user.id)
    claimant = await find_or_create_by_address(session, "claimant@example.org")
    claimant.is_verified = True
    claim = Registration(user_id=user.id, claimant_user_id=claimant.id)
    await service.open_registration(session, claim)
    return await tokens.issue(session, kind, user.id, registration_id=claim.id)
