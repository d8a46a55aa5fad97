"""Co-organizers, and events that change hands."""

from __future__ import annotations

import asyncio
from typing import Any

from sqlalchemy import update

from soonish.domain.access import organizers
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.models.events import EventOrganizer
from soonish.infra.db.types import utc_now
from tests.access.conftest import Party, text_of
from tests.support.api import code_of, fields_of, in_hours

MEMBER = "member@example.com"


def path(event: dict[str, Any], rest: str = "") -> str:
    return f"/api/events/{event['id']}/organizers{rest}"


async def add(party: Party, event: dict[str, Any], email: str = MEMBER) -> Any:
    return await party.ask("owner", "POST", path(event), json={"email": email})


async def test_a_co_organizer_is_told_and_may_do_everything_but_three_things(party: Party) -> None:
    event = await party.private()
    base = f"/api/events/{event['id']}"
    assert (await party.ask("member", "GET", base)).status_code == 404
    made = await add(party, event)
    assert made.status_code == 201
    assert made.json() | {"created_at": ""} == {
        "user_id": party.scene.users["member"].id,
        "name": None,
        "address": MEMBER,
        "role": "co_organizer",
        "created_at": "",
    }
    [mail] = [m for _ in [await party.work()] for m in party.mails(MEMBER)]
    assert mail["subject"] == "You help to organize Secret party"
    assert f"/events/{event['id']}" in text_of(mail)
    for method, rest, body in (
        ("GET", "", None),
        ("PATCH", "", {"location": "Cellar"}),
        ("POST", "/notify", {"title": "Hello", "body": "Bring cake."}),
        ("GET", "/subscriptions", None),
        ("GET", "/notifications", None),
        ("GET", "/workflow/status", None),
        ("POST", "/invitations", {}),
        ("GET", "/invitations", None),
    ):
        answer = await party.ask("member", method, base + rest, json=body)
        assert answer.status_code in (200, 201, 202), (method, rest, answer.text)
    for method, rest, body in (
        ("DELETE", "", None),
        ("POST", "/transfer", {"email": MEMBER}),
        ("GET", "/organizers", None),
        ("POST", "/organizers", {"email": MEMBER}),
        ("DELETE", f"/organizers/{party.scene.users['member'].id}", None),
    ):
        answer = await party.ask("member", method, base + rest, json=body)
        assert code_of(answer) == (403, "forbidden"), (method, rest)


async def test_a_co_organizer_has_the_event_among_their_own(party: Party) -> None:
    event = await party.private()
    other = await party.scene.make_event()
    await add(party, event)
    mine = await party.ask("member", "GET", "/api/events", params={"mine": "true"})
    assert [one["id"] for one in mine.json()["items"]] == [event["id"]]
    mine = await party.ask("owner", "GET", "/api/events", params={"mine": "true"})
    assert {one["id"] for one in mine.json()["items"]} == {event["id"], other["id"]}


async def test_an_address_without_an_account_is_added_too(party: Party) -> None:
    event = await party.private()
    assert (await add(party, event, "Nina@example.org")).status_code == 201
    assert await party.titles("Nina@example.org") == ["You help to organize Secret party"]
    again = await add(party, event, "nina@example.org")
    assert (again.status_code, again.json()["role"]) == (200, "co_organizer")
    assert len(await party.titles("Nina@example.org")) == 1, "told once"
    listed = (await party.ask("owner", "GET", path(event))).json()
    roles = [(one["address"], one["role"]) for one in listed["items"]]
    assert roles == [("owner@example.com", "owner"), ("Nina@example.org", "co_organizer")]


async def test_what_is_removed_is_gone_at_once_and_again_changes_nothing(party: Party) -> None:
    event = await party.private()
    await add(party, event)
    user_id = party.scene.users["member"].id
    for _ in range(2):
        assert (await party.ask("owner", "DELETE", path(event, f"/{user_id}"))).status_code == 204
    assert (await party.ask("member", "GET", f"/api/events/{event['id']}")).status_code == 404
    owner = await party.ask("owner", "DELETE", path(event, f"/{event['owner_user_id']}"))
    assert code_of(owner) == (409, "already_owner")
    actions = [row.action for row in await party.scene.rows(AuditEntry, AuditEntry.event_id == 1)]
    assert [one for one in actions if one.startswith("organizer.")] == [
        "organizer.add",
        "organizer.remove",
    ]


async def test_bad_input_names_the_field(party: Party) -> None:
    event = await party.private()
    for body, fields in (
        ({}, ["email"]),
        ({"email": "nobody"}, ["email"]),
        ({"email": MEMBER, "role": "owner"}, ["role"]),
        ({"email": MEMBER, "admin": True}, ["admin"]),
    ):
        answer = await party.ask("owner", "POST", path(event), json=body)
        assert fields_of(answer) == fields
    assert code_of(await add(party, event, "OWNER@example.com")) == (409, "already_owner")


async def test_there_is_a_limit(party: Party, monkeypatch: Any) -> None:
    monkeypatch.setattr(organizers, "MAX_CO_ORGANIZERS", 2)
    event = await party.private()
    for number in (1, 2):
        assert (await add(party, event, f"p{number}@example.org")).status_code == 201
    assert code_of(await add(party, event, "p3@example.org")) == (409, "too_many_organizers")
    assert len(await party.scene.rows(EventOrganizer)) == 2


async def test_the_list_comes_in_pages(party: Party) -> None:
    event = await party.private()
    for number in (1, 2, 3):
        await add(party, event, f"p{number}@example.org")
    seen: list[str] = []
    cursor: dict[str, Any] | None = {}
    while cursor is not None:
        answer = await party.ask("owner", "GET", path(event), params={"limit": 2, **cursor})
        page = answer.json()
        assert len(page["items"]) <= 2
        seen += [one["role"] for one in page["items"]]
        cursor = {"cursor": page["next_cursor"]} if page["next_cursor"] else None
    assert seen == ["owner"] + ["co_organizer"] * 3
    answer = await party.ask("owner", "GET", path(event), params={"limit": 201})
    assert fields_of(answer) == ["limit"]


async def test_the_same_address_twice_at_once_is_one_co_organizer(party: Party) -> None:
    event = await party.private()
    answers = await asyncio.gather(*(add(party, event) for _ in range(5)))
    assert sorted(one.status_code for one in answers) == [200, 200, 200, 200, 201]
    assert len(await party.titles(MEMBER)) == 1


async def transfer(party: Party, event: dict[str, Any], who: str, email: str) -> Any:
    url = f"/api/events/{event['id']}/transfer"
    return await party.ask(who, "POST", url, json={"email": email})


async def test_an_event_changes_hands(party: Party) -> None:
    event = await party.private()
    await add(party, event)
    given = await transfer(party, event, "owner", "MEMBER@example.com")
    assert given.status_code == 200
    assert given.json()["owner_user_id"] == party.scene.users["member"].id
    assert "Secret party is yours now" in await party.titles(MEMBER)
    listed = (await party.ask("member", "GET", path(event))).json()["items"]
    assert [(one["address"], one["role"]) for one in listed] == [
        (MEMBER, "owner"),
        ("owner@example.com", "co_organizer"),
    ]
    assert code_of(await party.ask("owner", "GET", path(event))) == (403, "forbidden")
    base = f"/api/events/{event['id']}"
    assert (await party.ask("owner", "DELETE", base)).status_code == 403
    assert (await party.ask("member", "DELETE", base)).status_code == 204


async def test_only_an_account_takes_an_event_over(party: Party) -> None:
    event = await party.private()
    await party.scene.add_person("unproven", verified=False)
    await party.subscribe(await party.scene.make_event(), "anna@example.org")
    for email in ("unproven@example.com", "anna@example.org", "new@example.org", "no address"):
        assert fields_of(await transfer(party, event, "owner", email)) == ["email"]
    async with party.scene.db.write() as session:
        gone = update(User).where(
            User.email_fingerprint == party.scene.users["outsider"].email_fingerprint
        )
        await session.execute(gone.values(deactivated_at=utc_now()))
    assert fields_of(await transfer(party, event, "owner", "outsider@example.com")) == ["email"]
    same = await transfer(party, event, "owner", "owner@example.com")
    assert (same.status_code, same.json()["owner_user_id"]) == (200, event["owner_user_id"])
    assert await party.scene.rows(EventOrganizer) == []


async def test_two_transfers_at_once_leave_one_owner(party: Party) -> None:
    event = await party.scene.make_event(start_date=in_hours(30))
    answers = await asyncio.gather(
        transfer(party, event, "owner", MEMBER),
        transfer(party, event, "owner", "outsider@example.com"),
    )
    assert sorted(one.status_code for one in answers) == [200, 403]
    assert len(await party.scene.rows(EventOrganizer)) == 1
