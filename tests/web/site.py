"""The whole application on a real database, visited as a browser without JavaScript does."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any, TypeVar

import httpx2
import pytest
from sqlalchemy import ColumnElement, select

from soonish.app import create_app
from soonish.config import Settings
from soonish.domain.accounts import sessions
from soonish.identity.users import find_or_create_by_address
from soonish.infra.db.base import Base
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Database
from soonish.runtime import Runtime
from soonish.web.cookies import SESSION
from tests.support.ports import free_port

Row = TypeVar("Row", bound=Base)
BROWSER = {"accept": "text/html", "sec-fetch-site": "same-origin"}


def local_in(**distance: float) -> str:
    """An instant that far ahead as a `datetime-local` field has it, in UTC."""
    return (datetime.now(UTC) + timedelta(**distance)).strftime("%Y-%m-%dT%H:%M")


class Visitor:
    """One browser: its cookies, and where it is."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self.client = client

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.client.get(path, headers=BROWSER | headers)

    async def post(self, path: str, htmx: bool = False, **fields: Any) -> httpx2.Response:
        headers = BROWSER | ({"hx-request": "true"} if htmx else {})
        return await self.client.post(path, data=fields, headers=headers)

    async def follow(self, answer: httpx2.Response) -> httpx2.Response:
        assert answer.status_code == 303, answer.text
        return await self.get(answer.headers["location"])

    async def create_event(self, **fields: Any) -> tuple[int, str]:
        """Make an event on the page; its id and slug."""
        values: dict[str, Any] = {
            "name": "Picnic",
            "start_date": local_in(days=3),
            "timezone": "UTC",
            "is_public": ["0", "1"],
        }
        made = await self.post("/new", **(values | fields))
        page = await self.follow(made)
        slug = re.search(r"/e/([a-z0-9-]+)", page.text)
        assert slug
        return int(made.headers["location"].rsplit("/", 1)[1]), slug[1]


class Site:
    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)
        self.runtime: Runtime = self.app.state.soonish
        self._clients: list[httpx2.AsyncClient] = []

    def visitor(self, address: str = "127.0.0.1") -> Visitor:
        """A browser at this IP address that knows nothing yet."""
        transport = httpx2.ASGITransport(app=self.app, client=(address, 40000))
        base_url = self.runtime.settings.base_url
        self._clients.append(httpx2.AsyncClient(transport=transport, base_url=base_url))
        return Visitor(self._clients[-1])

    async def member(self, name: str) -> Visitor:
        """The browser of somebody who is signed in."""
        visitor = self.visitor()
        async with self.runtime.db.write() as session:
            user = await find_or_create_by_address(session, f"{name}@example.org", name.title())
            user.is_verified = True
            _, token = await sessions.start(session, self.runtime.settings, user.id, "Test browser")
        visitor.client.cookies.set(SESSION, token)
        return visitor

    async def rows(self, model: type[Row], *conditions: ColumnElement[bool]) -> list[Row]:
        async with self.runtime.db.read() as session:
            return list(await session.scalars(select(model).where(*conditions)))

    async def user(self, name: str) -> User:
        async with self.runtime.db.write() as session:
            return await find_or_create_by_address(session, f"{name}@example.org")

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()
        await self.app.state.progress.close()
        await self.runtime.close()


@pytest.fixture
async def site(settings: Settings, database: Database) -> AsyncIterator[Site]:
    """The application, without Temporal: what it accepts waits in the outbox."""
    settings.temporal_url = f"127.0.0.1:{free_port()}"
    settings.egress_allowed_networks = ["127.0.0.0/8"]
    made = Site(settings)
    yield made
    await made.close()


def text_of(answer: httpx2.Response) -> str:
    """The page's words, without markup, in one line."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", answer.text)).split())
