"""The stage of the table: two events, and one person for every role, made anew for each row."""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx2
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.accounts import access_tokens, api_tokens, sessions
from soonish.domain.integrations.service import url_fingerprint
from soonish.identity import tokens
from soonish.identity.addresses import fingerprint_of
from soonish.identity.signed_tokens import Purpose, make_token
from soonish.infra.db.models.accounts import OidcIdentity, User
from soonish.infra.db.models.events import Event, EventOrganizer, Invitation
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.reminders import RemindMe
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import streams
from soonish.runtime import Runtime
from soonish.web.cookies import SESSION

PEOPLE = ("ended", "outs", "admin", "member", "invit", "subs", "co", "owner", "asker")
BROWSER = {"accept": "text/html", "sec-fetch-site": "same-origin"}
_HOOK = "json://127.0.0.1:9/new"  # nobody listens there
_FORM_DATE = "%Y-%m-%dT%H:%M"


@dataclass
class Person:
    user: User
    bearer: str
    cookie: str
    session_id: int


@dataclass
class Stage:
    """Where one row of the table is played: what its path names, and how each role asks."""

    runtime: Runtime
    people: dict[str, Person]
    event: Event
    other: Event
    values: dict[str, Any]
    read_token: str
    remind_mes: dict[str, int] = field(default_factory=dict[str, int])

    def manage(self, name: str, event: Event, purpose: Purpose = "manage") -> str:
        return make_token(
            self.runtime.settings.secret_key,
            purpose,
            event_id=event.id,
            user_id=self.people[name].user.id,
            epoch=0,
            issued_at=utc_now(),
        )

    def headers(self, role: str, *, page: bool) -> dict[str, str]:
        base = BROWSER if page else {}
        match role:
            case "anon":
                return {**base}
            case "other":
                return {**base, "X-Manage-Token": self.manage("subs", self.other)}
            case "manage":
                return {**base, "X-Manage-Token": self.manage("owner", self.event)}
            case "read":
                return {**base, "Authorization": f"Bearer {self.read_token}"}
            case _ if page:
                return {**base, "Cookie": f"{SESSION}={self.people[role].cookie}"}
            case _:
                return {**base, "Authorization": f"Bearer {self.people[role].bearer}"}

    def address(self, role: str, path: str) -> str:
        """The path with what it names; a remind-me is the asking role's own, if it has one."""
        whose = "token" if path.startswith("/manage/") else role
        own = self.remind_mes.get(whose, self.remind_mes["subs"])
        values = self.values | {"remind_me_id": own}
        if "/admin/" in path:
            values["user_id"] = self.people["asker"].user.id
        if path.startswith(("/u/", "/confirm/")):
            kind = "unsubscribe" if path.startswith("/u/") else "confirm"
            values["token"] = self.values[kind]
        return path.format(**values)


_numbers = itertools.count(1)


async def make_stage(runtime: Runtime, *, public: bool) -> Stage:
    number = next(_numbers)
    async with runtime.db.write() as session:
        people = {name: await _person(session, runtime, f"{name}{number}") for name in PEOPLE}
        ids = {name: one.user.id for name, one in people.items()}
        event = await _event(session, ids["owner"], is_public=public)
        other = await _event(session, ids["owner"], is_public=False)
        await _take_part(session, event, other, ids)
        subscription, waiting, remind_mes = await _subscribe(session, event, other, ids)
        rows = await _things(session, event, ids)
        _, read_token = await api_tokens.create(
            session, ids["owner"], name="Reader", scope=api_tokens.Scope.READ, expires_at=None
        )
        people["admin"].user.is_admin = True
        second, _ = await sessions.start(session, runtime.settings, ids["owner"], None)
        await sessions.end(session, ids["ended"], people["ended"].session_id)
        confirm = await tokens.issue(
            session, "confirm_subscription", ids["subs"], subscription_id=subscription
        )
    stage = Stage(runtime, people, event, other, {}, read_token, remind_mes)
    stage.values = {
        "event_id": event.id,
        "slug": event.slug,
        "subscription_id": waiting,
        "user_id": ids["co"],
        "session_id": second.id,
        "token": stage.manage("subs", event),
        "unsubscribe": stage.manage("subs", event, "unsubscribe"),
        "confirm": confirm,
        **{name: row.id for name, row in rows.items()},
        "name": "url",
    }
    return stage


async def _person(session: AsyncSession, runtime: Runtime, name: str) -> Person:
    address = f"{name}@example.com"
    user = User(email=address, email_fingerprint=fingerprint_of(address), is_verified=True)
    session.add(user)
    await session.flush()
    row, cookie = await sessions.start(session, runtime.settings, user.id, None)
    return Person(user, access_tokens.issue(runtime.settings, row).token, cookie, row.id)


async def _event(session: AsyncSession, owner_id: int, *, is_public: bool) -> Event:
    key = uuid.uuid4()
    event = Event(
        owner_user_id=owner_id,
        name="Party",
        start_date=utc_now() + timedelta(days=3),
        is_public=is_public,
        slug=f"party-{key}",
        temporal_workflow_id=f"new-{key}",
    )
    session.add(event)
    await session.flush()
    event.temporal_workflow_id = streams.event(event.id)
    return event


async def _take_part(
    session: AsyncSession, event: Event, other: Event, ids: dict[str, int]
) -> None:
    for where, who in ((event, "co"), (other, "member")):
        session.add(EventOrganizer(event_id=where.id, user_id=ids[who], added_by=ids["owner"]))
    session.add(Invitation(event_id=event.id, user_id=ids["invit"], max_uses=1))


async def _subscribe(
    session: AsyncSession, event: Event, other: Event, ids: dict[str, int]
) -> tuple[int, int, dict[str, int]]:
    """The subscriber's subscription, one that waits, and remind-mes by who is subscribed."""
    own: dict[str, Subscription] = {}
    for name in ("subs", "owner"):
        own[name] = Subscription(event_id=event.id, user_id=ids[name])
    waiting = Subscription(event_id=event.id, user_id=ids["asker"], status="pending_approval")
    elsewhere = [Subscription(event_id=other.id, user_id=ids[name]) for name in ("subs", "member")]
    session.add_all([*own.values(), waiting, *elsewhere])
    await session.flush()
    at = utc_now() + timedelta(days=1)
    whose = {"subs": "subs", "token": "subs", "owner": "owner", "manage": "owner"}
    extra = {
        name: RemindMe(subscription_id=own[who].id, at=at + timedelta(minutes=number))
        for number, (name, who) in enumerate(whose.items())
    }
    session.add_all(extra.values())
    await session.flush()
    return own["subs"].id, waiting.id, {name: row.id for name, row in extra.items()}


async def _things(session: AsyncSession, event: Event, ids: dict[str, int]) -> dict[str, Any]:
    """What a path may name, all of the event or its owner."""
    url = f"json://127.0.0.1:9/{uuid.uuid4()}"
    rows: dict[str, Any] = {
        "notification_id": Notification(
            event_id=event.id,
            kind="manual",
            title="News",
            body="Hello",
            dedup_key=f"test:{uuid.uuid4()}",
            expanded_at=utc_now(),
            completed_at=utc_now(),
        ),
        "identity_id": OidcIdentity(
            user_id=ids["owner"], issuer="https://id.example", subject=str(uuid.uuid4())
        ),
        "invitation_id": Invitation(event_id=event.id, token_hash=str(uuid.uuid4())),
        "integration_id": Integration(
            user_id=ids["owner"],
            name="Hook",
            apprise_url=url,
            url_fingerprint=url_fingerprint(url),
            tag="chat",
            kind="json",
            target="127.0.0.1",
        ),
    }
    token, _ = await api_tokens.create(
        session, ids["owner"], name="Writer", scope=api_tokens.Scope.WRITE, expires_at=None
    )
    session.add_all(rows.values())
    await session.flush()
    return rows | {"token_id": token}


def routes_of(app: FastAPI) -> Iterator[tuple[str, str, bool]]:
    """(method, path, whether the OpenAPI document has it) of every route of the application."""
    yield from _routes(app.router, "")


def _routes(router: Any, prefix: str) -> Iterator[tuple[str, str, bool]]:
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from _routes(inner, prefix + route.include_context.prefix)
        elif methods := getattr(route, "methods", None):
            for method in sorted(methods - {"HEAD"}):
                yield method, prefix + route.path, route.include_in_schema


def body_of(method: str, path: str, stage: Stage, role: str) -> dict[str, Any]:
    """The arguments of a well-formed request."""
    if method in ("GET", "DELETE"):
        return {}
    soon = utc_now() + timedelta(days=5)
    email = "nobody@example.org"
    message = {"title": "Hi", "body": "All"}
    form: dict[str, dict[str, Any]] = {
        "/new": {"name": "New", "start_date": soon.strftime(_FORM_DATE), "timezone": "UTC"},
        "/events/{event_id}/edit": {
            "name": "Changed",
            "start_date": soon.strftime(_FORM_DATE),
            "timezone": "UTC",
        },
        "/events/{event_id}/notify": message,
        "/events/{event_id}/compose": message,
        "/events/{event_id}/review": message,
        "/events/{event_id}/preview/mail": message,
        "/events/{event_id}/add": {"addresses": email},
        "/events/{event_id}/organizers": {"co_organizer": email},
        "/events/{event_id}/transfer": {"new_owner": stage.people["co"].user.email},
        "/e/{slug}/subscribe": {"email": email},
        "/e/{slug}/remind-me": {"in_seconds": "3600"},
        "/manage/{token}/remind-me": {"in_seconds": "3600"},
        "/account": {"name": "New name"},
        "/account/tokens": {"token_name": "New", "token_scope": "read", "token_days": "30"},
        "/integrations/new/{name}": {"name": "Chat", "tag": "new", "apprise_url": _HOOK},
        "/integrations/new/{name}/test": {"name": "Chat", "tag": "new", "apprise_url": _HOOK},
        "/integrations/{integration_id}/edit": {"name": "Renamed", "tag": "chat"},
        "/login": {"email": email, "password": "wrong password 1"},
        "/forgot": {"email": email},
        "/magic-link": {"email": email},
        "/register": {"email": email},
        "/reset": {"token": "none", "password": "a long password 1"},
        "/verify": {"token": "none"},
        "/api/auth/token": {"username": email, "password": "wrong password 1"},
    }
    if path in form or not path.startswith("/api/"):
        return {"data": form.get(path, {})}
    bulk = {"action": "add", "emails": [email]}
    body: dict[str, Any] = {
        "/api/auth/login": {"email": email, "password": "wrong password 1"},
        "/api/auth/magic-link": {"email": email},
        "/api/auth/password/forgot": {"email": email},
        "/api/auth/password/reset": {"token": "none", "password": "a long password 1"},
        "/api/auth/register": {"email": email},
        "/api/auth/verify": {"token": "none"},
        "/api/confirm": {"token": stage.values["confirm"]},
        "/api/unsubscribe": {"token": stage.values["unsubscribe"]},
        "/api/events": {"name": "New", "start_date": soon.isoformat()},
        "/api/events/{event_id}": {"location": f"Cellar {role}"},
        "/api/events/{event_id}/invitations": {},
        "/api/events/{event_id}/notify": message,
        "/api/events/{event_id}/notify/preview": message,
        "/api/events/{event_id}/organizers": {"email": email},
        "/api/events/{event_id}/transfer": {"email": stage.people["co"].user.email},
        "/api/events/{event_id}/remind-me": {"in_seconds": 3600},
        "/api/events/{event_id}/reminders": {"offset_seconds": [7200]},
        "/api/events/{event_id}/subscribe": {},
        "/api/events/{event_id}/subscriptions/bulk": bulk,
        "/api/admin/events/{event_id}/subscriptions/bulk": bulk,
        "/api/events/{event_id}/preview": {},
        "/api/integrations": {
            "name": "Chat",
            "apprise_url": _HOOK,
            "tag": "chat",
            "verify": False,
        },
        "/api/integrations/{integration_id}": {"name": "Renamed"},
        "/api/users/me": {"name": "New name"},
        "/api/users/me/tokens": {"name": "New", "scope": "read"},
    }.get(path, {})
    return {"json": body}


async def ask(
    client: httpx2.AsyncClient, stage: Stage, role: str, method: str, path: str
) -> httpx2.Response:
    """One cell: the role's request."""
    page = not path.startswith("/api/")
    client.cookies.clear()
    return await client.request(
        method,
        stage.address(role, path),
        headers=stage.headers(role, page=page),
        **body_of(method, path, stage, role),
    )
