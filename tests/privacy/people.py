"""Somebody of whom Soonish holds something in every table, each value with a mark to look for."""

from __future__ import annotations

from typing import Any

import httpx2
from sqlalchemy import select

from soonish.delivery.ledger.account_mail import add_account_mail
from soonish.domain.accounts import api_tokens
from soonish.domain.accounts.api_tokens import Scope
from soonish.domain.accounts.passwords import hash_password
from soonish.identity import tokens
from soonish.identity.tokens import Purpose
from soonish.infra.db.models.accounts import OidcIdentity, Registration
from soonish.infra.db.models.events import EventOrganizer, Invitation
from soonish.infra.db.models.notifications import DeliveryAttempt
from soonish.infra.db.models.registry import Base
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import streams
from tests.support.api import in_hours
from tests.support.world import World
from tests.web.site import Site, Visitor

MARK = "zanzibar"
PASSWORD = "correct horse battery"
SAME_SITE = {"sec-fetch-site": "same-origin"}


async def api(visitor: Visitor, method: str, path: str, **body: Any) -> httpx2.Response:
    return await visitor.client.request(method, path, headers=SAME_SITE, json=body or None)


async def signed_in(site: Site, world: World, address: str, password: str | None) -> Visitor:
    visitor = await site.member(address.partition("@")[0])
    if password:
        user = await site.user(address.partition("@")[0])
        hashed = await hash_password(password)
        await world.change(type(user), user.id, password_hash=hashed)
    return visitor


async def make_event(visitor: Visitor, **fields: Any) -> dict[str, Any]:
    body = {"name": "Tea", "start_date": in_hours(48), **fields}
    made = await api(visitor, "POST", "/api/events", **body)
    assert made.status_code == 201, made.text
    return made.json()


async def with_everything(site: Site, world: World) -> tuple[Visitor, int]:
    """Zanzibar: organizer, co-organizer, subscriber, invited, with channels and mails."""
    visitor = await signed_in(site, world, f"{MARK}@example.org", PASSWORD)
    me = await site.user(MARK)
    await api(visitor, "PATCH", "/api/users/me", name=f"{MARK} name", timezone="Europe/Berlin")
    event = await make_event(visitor, name="Own tea", contact=f"{MARK}@contact.example")
    path = f"/api/events/{event['id']}"
    await api(visitor, "PATCH", path, contact=f"{MARK}@new.example", location="Park")
    key = {"Idempotency-Key": f"{MARK}-key", **SAME_SITE}
    message = {"title": "Hello", "body": "There"}
    await visitor.client.post(f"{path}/notify", json=message, headers=key)
    channel = {"name": f"{MARK} chat", "apprise_url": f"json://127.0.0.1/{MARK}", "tag": MARK}
    await api(visitor, "POST", "/api/integrations", **channel, verify=False)
    await _elsewhere(visitor, world, me.id)
    await _access(world, me.id)
    return visitor, me.id


async def _elsewhere(visitor: Visitor, world: World, user_id: int) -> None:
    """At an event of somebody else."""
    event = await world.event(name="Other tea")
    subscription = await world.subscribe(
        event, await world.user(f"{MARK}-other@example.com", name="Other"), reminder_offsets=[600]
    )
    assert subscription.id
    await api(visitor, "POST", f"/api/events/{event.id}/subscribe", tags=[MARK])
    path = f"/api/events/{event.id}/reminders"
    reminders = {"offset_seconds": [7200, 600], "countdown": None}
    assert (await api(visitor, "PUT", path, **reminders)).status_code == 200
    await api(visitor, "POST", f"/api/events/{event.id}/remind-me", in_seconds=3600)
    sent = await world.expanded(event)
    for row in await world.deliveries(sent.id):
        if row.user_id == user_id:
            detail = f"refused by {MARK}"
            await world.change(type(row), row.id, outcome_detail=detail)
            tried = DeliveryAttempt(
                delivery_id=row.id, attempt=1, at=utc_now(), outcome="rejected", detail=detail
            )
            await world.add(tried)
    await world.add(EventOrganizer(event_id=event.id, user_id=user_id))
    await world.add(Invitation(event_id=event.id, user_id=user_id, token_hash=f"{MARK}-hash"))


async def _access(world: World, user_id: int) -> None:
    async with world.db.write() as session:
        await tokens.issue(session, Purpose.MAGIC_LINK, user_id)
        await api_tokens.create(
            session, user_id, name=f"{MARK} bot", scope=Scope.READ, expires_at=None
        )
        extra = {"url": f"http://localhost/{MARK}"}
        await add_account_mail(
            session, user_id, "email_changed", dedup_key=MARK, lifetime=_WEEK, extra=extra
        )
        session.add(OidcIdentity(user_id=user_id, issuer="https://id.example", subject=MARK))
        session.add(
            Registration(
                user_id=user_id,
                workflow_id=streams.verification(user_id),
                name=MARK,
                expires_at=utc_now() + _WEEK,
            )
        )


_WEEK = tokens.LIFETIMES[Purpose.VERIFICATION]


async def whole_database(database: Database) -> dict[str, str]:
    """Every row of every table as text, decrypted."""
    made: dict[str, str] = {}
    async with database.read() as session:
        for table in Base.metadata.sorted_tables:
            made[table.name] = str((await session.execute(select(table))).all())
    return made
