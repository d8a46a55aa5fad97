"""The accounts API on a real database, with what its workflows and mails would do at hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

import httpx2
from sqlalchemy import select

from soonish.app import make_app
from soonish.config import Settings
from soonish.delivery.transports.sender import Sender
from soonish.domain.accounts import registration
from soonish.identity import tokens
from soonish.identity.tokens import Purpose
from soonish.identity.users import find_by_address, find_or_create_by_address
from soonish.infra.db.base import Base
from soonish.infra.db.models.accounts import Registration, Session, Token, User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import streams
from tests.support.api import quiet_runtime

Row = TypeVar("Row", bound=Base)
PASSWORD = "correct horse battery"
OTHER_PASSWORD = "another horse battery"


@dataclass
class Mail:
    """An account mail in the ledger: to whom, of which kind, and what its link is made from."""

    user_id: int
    kind: str
    extra: dict[str, Any]


@dataclass
class Scene:
    settings: Settings
    db: Database
    sender: Sender
    clients: list[httpx2.AsyncClient] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.app = make_app(quiet_runtime(self.settings, self.db, self.sender))

    def browser(self, *, address: str = "192.0.2.1", **headers: str) -> httpx2.AsyncClient:
        """A new browser with cookies of its own, at this IP address."""
        transport = httpx2.ASGITransport(app=self.app, client=(address, 50_000))
        made = httpx2.AsyncClient(
            transport=transport, base_url=self.settings.base_url, headers=headers
        )
        self.clients.append(made)
        return made

    async def user(self, address: str) -> User | None:
        async with self.db.read() as session:
            return await find_by_address(session, address)

    async def rows(self, table: type[Row]) -> list[Row]:
        async with self.db.read() as session:
            return list(await session.scalars(select(table)))

    async def mails(self) -> list[Mail]:
        """All account mails in the ledger, oldest first."""
        async with self.db.read() as session:
            found = await session.execute(
                select(Notification, Delivery)
                .join(Delivery, Delivery.notification_id == Notification.id)
                .where(Notification.event_id.is_(None))
                .order_by(Notification.id)
            )
            return [Mail(d.user_id, n.kind, (n.content or {})["extra"]) for n, d in found]

    async def begin_verifications(self) -> None:
        """What every UserVerificationWorkflow does first."""
        for row in await self.rows(Registration):
            async with self.db.write() as session:
                await registration.send_mail(session, row.workflow_id, self.settings.base_url)

    async def token_of(self, mail: Mail) -> str:
        """What the deliver activity does just before it sends this mail."""
        async with self.db.write() as session:
            return await tokens.issue(
                session,
                mail.extra["purpose"],
                mail.user_id,
                registration_id=mail.extra.get("registration_id"),
            )

    async def last_token(self) -> str:
        return await self.token_of((await self.mails())[-1])

    async def register(
        self, browser: httpx2.AsyncClient, address: str, password: str | None = None, **more: str
    ) -> str:
        """Register over the API and return the token of the verification mail."""
        body = {"email": address, **more} | ({"password": password} if password else {})
        answer = await browser.post("/api/auth/register", json=body)
        assert answer.status_code == 202, answer.text
        await self.begin_verifications()
        return await self.last_token()

    async def account(self, address: str, password: str | None = PASSWORD) -> httpx2.AsyncClient:
        """A browser that is signed in to a new account with this address."""
        browser = self.browser()
        token = await self.register(browser, address, password)
        answer = await browser.post("/api/auth/verify", json={"token": token})
        assert answer.status_code == 200, answer.text
        return browser

    async def subscriber(self, address: str) -> User:
        """An anonymous address."""
        async with self.db.write() as session:
            return await find_or_create_by_address(session, address)

    async def issue(self, purpose: Purpose, user_id: int) -> str:
        async with self.db.write() as session:
            return await tokens.issue(session, purpose, user_id)

    async def sessions_of(self, user_id: int) -> list[Session]:
        return [row for row in await self.rows(Session) if row.user_id == user_id]

    async def tokens_of(self, user_id: int) -> list[Token]:
        return [row for row in await self.rows(Token) if row.user_id == user_id]

    async def event(self, owner_id: int, **values: Any) -> Event:
        now = utc_now()
        async with self.db.write() as session:
            made = Event(
                **{
                    "owner_user_id": owner_id,
                    "name": "Tea",
                    "start_date": now,
                    "slug": f"tea-{uuid4()}",
                    "temporal_workflow_id": streams.event(0),
                    **values,
                }
            )
            session.add(made)
        return made
