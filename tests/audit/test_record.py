"""What an entry says: who, what, to what, from where; and that it stays as it was written."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError

from soonish.config import Settings
from soonish.infra.audit import origin
from soonish.infra.audit import service as audit
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.session import Database
from soonish.web.install import install_web


async def entries(database: Database) -> list[AuditEntry]:
    async with database.read() as session:
        return list(await session.scalars(select(AuditEntry).order_by(AuditEntry.id)))


async def test_an_entry_is_written_with_what_it_is_about(database: Database) -> None:
    async with database.write() as session:
        audit.record(session, "event.cancel", None, on=("event", 7), event_id=7, fields=["name"])
    [entry] = await entries(database)
    assert (entry.action, entry.outcome, entry.object_type) == ("event.cancel", "ok", "event")
    assert (entry.object_id, entry.event_id, entry.actor_user_id) == (7, 7, None)
    assert (entry.client, entry.details) == (None, {"fields": ["name"]})


async def test_an_entry_goes_with_its_transaction(database: Database) -> None:
    async def fail() -> None:
        async with database.write() as session:
            audit.record(session, "event.cancel", None)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await entries(database) == []


async def test_the_command_line_is_a_source(database: Database) -> None:
    with origin.recorded_as_from(origin.Origin(source=origin.CLI)):
        async with database.write() as session:
            audit.record(session, "user.create", None)
    [entry] = await entries(database)
    assert (entry.client, entry.details) == (None, {"source": "cli"})


@pytest.mark.parametrize(
    ("trusted", "expected"), [([], "192.0.2.1"), (["192.0.2.0/24"], "203.0.113.9")]
)
async def test_the_client_is_the_peer_or_what_a_trusted_proxy_says(
    database: Database, settings: Settings, trusted: list[str], expected: str
) -> None:
    app = FastAPI()

    @app.get("/")
    async def act() -> None:  # pyright: ignore[reportUnusedFunction] (FastAPI calls it)
        async with database.write() as session:
            audit.record(session, "thing.do", None)

    install_web(app, settings.model_copy(update={"trusted_proxies": trusted}))
    transport = httpx2.ASGITransport(app=app, client=("192.0.2.1", 50_000))
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as browser:
        await browser.get("/", headers={"X-Forwarded-For": "203.0.113.9"})
    [entry] = await entries(database)
    assert entry.client == expected


async def test_an_entry_may_lose_its_identity_and_nothing_else(database: Database) -> None:
    async with database.write() as session:
        audit.record(session, "event.cancel", None, fields=["name"])
        user = User(email=None, is_verified=True)
        session.add(user)
        await session.flush()
        audit.record(session, "event.update", user.id)

    async def change(**values: Any) -> None:
        async with database.write() as session:
            await session.execute(update(AuditEntry).values(**values))

    for values in ({"action": "x"}, {"outcome": "denied"}, {"details": {}}, {"client": "here"}):
        with pytest.raises(DBAPIError, match="append only"):
            await change(**values)
    await change(client=None, actor_user_id=None)
    assert [entry.actor_user_id for entry in await entries(database)] == [None, None]
