"""`party`: a private event's people before the real routers, and a worker that mails them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select

from soonish.delivery.ledger import completion
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.types import utc_now
from soonish.worker.advance import Advance
from tests.notifications.delivering import Delivering
from tests.support.api import ApiClient


@dataclass
class Party:
    """The scene, and what its mails say."""

    scene: ApiClient
    post: Delivering

    async def private(self, **fields: Any) -> dict[str, Any]:
        return await self.scene.make_event(is_public=False, name="Secret party", **fields)

    async def ask(self, who: str | None, method: str, path: str, **arguments: Any) -> Any:
        return await self.scene.ask(who, method, path, **arguments)

    async def invite(self, event: dict[str, Any], **body: Any) -> dict[str, Any]:
        """One invitation's link, or all by mail, made by the owner."""
        path = f"/api/events/{event['id']}/invitations"
        answer = await self.scene.ask("owner", "POST", path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def link(self, event: dict[str, Any], **body: Any) -> str:
        """The token of a new link."""
        return token_in((await self.invite(event, **body))["url"])

    async def subscribe(
        self, event: dict[str, Any], email: str, invitation: str | None = None
    ) -> int:
        """Anonymously; the status of the answer."""
        body = {"email": email} | ({"invitation": invitation} if invitation else {})
        path = f"/api/events/{event['id']}/subscribe"
        return (await self.scene.ask(None, "POST", path, json=body)).status_code

    async def work(self) -> None:
        """What the workers do: expand what is to be told, and send all of it."""
        async with self.scene.db.write() as session:
            for event in (await session.scalars(select(Event))).all():
                await Advance(session, event, self.post.settings, utc_now()).run(())
        query = select(Notification.id).where(Notification.completed_at.is_(None))
        async with self.scene.db.read() as session:
            waiting = (await session.scalars(query.order_by(Notification.id))).all()
        for notification_id in waiting:
            await self.post.first.run(notification_id, str(uuid4()), 1, lambda: False)
            async with self.scene.db.write() as session:
                await completion.complete_if_done(session, notification_id, utc_now())

    def mails(self, address: str, title: str = "") -> list[EmailMessage]:
        """What arrived at an address, with this in the subject."""
        found = [one.message for one in self.post.mail.to(address)]
        return [one for one in found if title in str(one["subject"])]

    async def titles(self, address: str) -> list[str]:
        """The subjects of all that has arrived, after the workers have done what there is."""
        await self.work()
        return [str(one["subject"]) for one in self.mails(address)]


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def token_in(text: str) -> str:
    found = re.search(r"[?&]invitation=([\w-]+)", text)
    assert found, text
    return found[1]


@pytest.fixture
def party(scene: ApiClient, delivering: Delivering) -> Party:
    return Party(scene, delivering)


@pytest.fixture
def double(party: Party) -> Party:
    """With ANONYMOUS_OPT_IN=double."""
    party.scene.runtime.settings.anonymous_opt_in = "double"
    return party
