"""Private events: who is let in by which invitation, how often and until when."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import update

from soonish.identity.tokens import hash_of
from soonish.infra.db.models.accounts import Token
from soonish.infra.db.models.events import Invitation
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.access.conftest import Party, text_of, token_in
from tests.support.api import code_of, fields_of, in_hours, instant

ANNA = "anna@example.org"


def base(event: dict[str, Any], rest: str = "") -> str:
    return f"/api/events/{event['id']}{rest}"


async def seen(party: Party, event: dict[str, Any], token: str, who: str | None = None) -> int:
    params = {"invitation": token}
    answers = [
        await party.ask(who, "GET", base(event, rest), params=params) for rest in ("", "/updates")
    ]
    statuses = {one.status_code for one in answers}
    assert len(statuses) == 1
    return statuses.pop()


async def active(party: Party) -> list[Subscription]:
    return [one for one in await party.scene.rows(Subscription) if one.ended_at is None]


async def change(party: Party, **values: Any) -> None:
    async with party.scene.db.write() as session:
        await session.execute(update(Invitation).values(**values))


async def test_a_link_shows_the_event_and_lets_in(party: Party) -> None:
    event, other = await party.private(), await party.private()
    made = await party.invite(event)
    assert made["url"].startswith(f"{event['public_url']}?invitation=")
    token = token_in(made["url"])
    assert await seen(party, event, token) == 200
    assert await seen(party, event, token, "outsider") == 200
    for wrong in ("", "x", token[:-1], token + "x", "é", "' OR 1=1 --"):
        assert await seen(party, event, wrong) == 404
    assert await seen(party, other, token) == 404, "of one event only"
    assert await party.subscribe(other, ANNA, token) == 404
    assert await party.subscribe(event, ANNA) == 404
    assert await party.subscribe(event, ANNA, token) == 201
    assert await party.titles(ANNA) == ["You're subscribed to Secret party"]
    [row] = await party.scene.rows(Invitation, Invitation.event_id == event["id"])
    assert (row.uses, row.token_hash) == (1, hash_of(token)), "only the hash is kept"


async def test_signed_in_holders_subscribe_with_it_and_then_see_the_event_without(
    party: Party,
) -> None:
    event = await party.private()
    token = await party.link(event, max_uses=1)
    path = base(event, "/subscribe")
    assert (await party.ask("outsider", "POST", path, json={})).status_code == 404
    made = await party.ask("outsider", "POST", path, json={"invitation": token})
    assert (made.status_code, made.json()["status"]) == (201, "active")
    assert (await party.ask("outsider", "GET", base(event))).status_code == 200
    again = await party.ask("outsider", "POST", path, json={"invitation": token})
    assert again.status_code == 200
    again = await party.ask("outsider", "POST", path, json={})
    assert again.status_code == 200
    assert (await party.ask("member", "POST", path, json={"invitation": token})).status_code == 404


async def test_the_uses_of_a_link_are_counted(party: Party) -> None:
    event = await party.private()
    token = await party.link(event, max_uses=2)
    for _ in range(2):
        assert await party.subscribe(event, ANNA, token) == 201, "again costs nothing"
    assert await party.subscribe(event, "bo@example.org", token) == 201
    assert await party.subscribe(event, "cy@example.org", token) == 404
    assert await seen(party, event, token) == 404
    assert len(await active(party)) == 2
    [one] = (await party.ask("owner", "GET", base(event, "/invitations"))).json()["items"]
    assert (one["uses"], one["max_uses"], one["status"]) == (2, 2, "used_up")
    assert "url" not in one


async def test_a_race_lets_nobody_in_beyond_the_uses(party: Party) -> None:
    event = await party.private()
    token = await party.link(event, max_uses=3)
    people = [f"p{number}@example.org" for number in range(10)]
    statuses = await asyncio.gather(*(party.subscribe(event, one, token) for one in people))
    assert sorted(statuses)[:3] == [201, 201, 201]
    assert set(sorted(statuses)[3:]) <= {404, 409}
    assert len(await active(party)) == 3
    [row] = await party.scene.rows(Invitation)
    assert row.uses == 3


@pytest.mark.parametrize("values", [{"revoked_at": utc_now()}, {"expires_at": instant(-1)}])
async def test_revoked_or_expired_it_lets_nobody_in_but_who_is_in_stays(
    party: Party, values: dict[str, Any]
) -> None:
    event = await party.private()
    token = await party.link(event)
    await party.ask("outsider", "POST", base(event, "/subscribe"), json={"invitation": token})
    await change(party, **values)
    assert await seen(party, event, token) == 404
    assert await party.subscribe(event, ANNA, token) == 404
    assert (await party.ask("outsider", "GET", base(event))).status_code == 200
    assert len(await active(party)) == 1


async def test_revoking_is_for_the_events_organizers_and_repeatable(party: Party) -> None:
    event, other = await party.private(), await party.private()
    made = await party.invite(event)
    path = base(event, f"/invitations/{made['id']}")
    wrong = base(other, f"/invitations/{made['id']}")
    assert (await party.ask("owner", "DELETE", wrong)).status_code == 404
    assert (await party.ask("outsider", "DELETE", path)).status_code == 404
    for _ in range(2):
        assert (await party.ask("owner", "DELETE", path)).status_code == 204
    assert await seen(party, event, token_in(made["url"])) == 404
    [one] = (await party.ask("owner", "GET", base(event, "/invitations"))).json()["items"]
    assert (one["status"], one["revoked_at"] is None) == ("revoked", False)


async def test_by_address_each_gets_a_mail_with_a_link_of_its_own(party: Party) -> None:
    event = await party.private()
    given = [ANNA, "BO@example.org", "bo@EXAMPLE.org", "member@example.com"]
    made = (await party.invite(event, emails=given))["items"]
    assert [one["address"] for one in made] == [ANNA, "BO@example.org", "member@example.com"]
    assert {one["max_uses"] for one in made} == {1}
    await party.work()
    tokens = {}
    for address in (ANNA, "BO@example.org", "member@example.com"):
        [mail] = party.mails(address)
        assert mail["subject"] == "You're invited to Secret party"
        tokens[address] = token_in(text_of(mail))
    assert len(set(tokens.values())) == 3
    kept = {row.token_hash for row in await party.scene.rows(Token, Token.purpose == "invitation")}
    assert kept == {hash_of(one) for one in tokens.values()}, "only hashes"
    token = tokens[ANNA]
    assert await seen(party, event, token) == 200
    assert await party.subscribe(event, ANNA, token) == 201
    assert await seen(party, event, token) == 200, "its reader may look again"
    assert code_of(
        await party.ask(
            None, "POST", base(event, "/subscribe"), json={"email": "x@y.org", "invitation": token}
        )
    ) == (409, "invitation_used_up")


async def test_who_is_invited_by_address_needs_no_link_once_signed_in(party: Party) -> None:
    event = await party.private()
    await party.invite(event, emails=["member@example.com"])
    assert (await party.ask("member", "GET", base(event))).status_code == 200
    assert (await party.ask("outsider", "GET", base(event))).status_code == 404
    assert (
        await party.ask("member", "PATCH", base(event), json={"name": "Mine"})
    ).status_code == 403
    assert await party.subscribe(event, "member@example.com") == 404, "typing it proves nothing"
    made = await party.ask("member", "POST", base(event, "/subscribe"), json={})
    assert made.status_code == 201
    await change(party, revoked_at=utc_now())
    assert (await party.ask("member", "GET", base(event))).status_code == 200


async def test_inviting_an_address_again_renews_its_invitation_and_mails_once_an_hour(
    party: Party,
) -> None:
    event = await party.private()
    [first] = (await party.invite(event, emails=[ANNA]))["items"]
    for _ in range(5):
        [again] = (await party.invite(event, emails=[ANNA], needs_approval=True))["items"]
        assert (again["id"], again["needs_approval"]) == (first["id"], True)
    assert len(await party.titles(ANNA)) <= 2, "two, where the hour has just struck"
    await party.ask("owner", "DELETE", base(event, f"/invitations/{first['id']}"))
    [new] = (await party.invite(event, emails=[ANNA]))["items"]
    assert new["id"] != first["id"]


async def test_a_mailed_link_ends_with_its_invitation(party: Party) -> None:
    event = await party.private()
    [made] = (await party.invite(event, emails=[ANNA]))["items"]
    await party.work()
    token = token_in(text_of(party.mails(ANNA)[0]))
    await party.ask("owner", "DELETE", base(event, f"/invitations/{made['id']}"))
    assert await seen(party, event, token) == 404
    for purpose in ("/api/auth/verify", "/api/confirm", "/api/unsubscribe"):
        answer = await party.ask(None, "POST", purpose, json={"token": token})
        assert answer.status_code in (404, 410), "a token of one purpose works for no other"


async def test_after_a_revocation_and_a_removal_nobody_comes_back(party: Party) -> None:
    event = await party.private()
    made = await party.invite(event)
    token = token_in(made["url"])
    body = {"invitation": token}
    own = await party.ask("outsider", "POST", base(event, "/subscribe"), json=body)
    await party.ask("owner", "DELETE", base(event, f"/invitations/{made['id']}"))
    sid = own.json()["subscription_id"]
    await party.ask("owner", "DELETE", base(event, f"/subscriptions/{sid}"))
    for given in (body, {}):
        answer = await party.ask("outsider", "POST", base(event, "/subscribe"), json=given)
        assert answer.status_code == 404


async def test_whom_the_organizer_removes_is_not_invited_any_more(party: Party) -> None:
    event = await party.private()
    [invited] = (await party.invite(event, emails=["member@example.com"], max_uses=5))["items"]
    await party.invite(event, emails=[ANNA])
    await party.work()
    token = token_in(text_of(party.mails(ANNA)[0]))
    own = await party.ask("member", "POST", base(event, "/subscribe"), json={})
    sid = own.json()["subscription_id"]
    await party.ask("owner", "DELETE", base(event, f"/subscriptions/{sid}"))
    assert (await party.ask("member", "GET", base(event))).status_code == 404
    assert (
        await party.ask("member", "POST", base(event, "/subscribe"), json={})
    ).status_code == 404
    assert await seen(party, event, token) == 200, "others stay invited"
    [again] = (await party.invite(event, emails=["member@example.com"]))["items"]
    assert again["id"] != invited["id"]
    assert (await party.ask("member", "GET", base(event))).status_code == 200


async def test_who_leaves_stays_invited(party: Party) -> None:
    event = await party.private()
    await party.invite(event, emails=["member@example.com"], max_uses=5)
    await party.ask("member", "POST", base(event, "/subscribe"), json={})
    await party.ask("member", "DELETE", base(event, "/subscribe"))
    made = await party.ask("member", "POST", base(event, "/subscribe"), json={})
    assert made.status_code == 201


async def test_a_public_event_asks_for_no_invitation(party: Party) -> None:
    event = await party.scene.make_event()
    assert await party.subscribe(event, ANNA, "whatever") == 201
    assert await seen(party, event, "whatever") == 200


async def test_bad_input_names_the_field(party: Party) -> None:
    event = await party.private()
    for body, fields in (
        ({"emails": []}, ["emails"]),
        ({"emails": [ANNA, "nobody"]}, ["emails.1"]),
        ({"emails": [f"p{n}@example.org" for n in range(101)]}, ["emails"]),
        ({"max_uses": 0}, ["max_uses"]),
        ({"max_uses": True}, ["max_uses"]),
        ({"expires_at": in_hours(-1)}, ["expires_at"]),
        ({"expires_at": "tomorrow"}, ["expires_at"]),
        ({"needs_approval": "yes"}, ["needs_approval"]),
        ({"uses": 5}, ["uses"]),
    ):
        answer = await party.ask("owner", "POST", base(event, "/invitations"), json=body)
        assert fields_of(answer) == fields, body
    assert await party.scene.rows(Invitation) == []
    long = await party.ask(None, "GET", base(event), params={"invitation": "x" * 201})
    assert fields_of(long) == ["invitation"]


async def test_a_past_event_invites_nobody(party: Party) -> None:
    event = await party.private()
    token = await party.link(event)
    await party.scene.change(event["id"], start_date=instant(-2))
    answer = await party.ask("owner", "POST", base(event, "/invitations"), json={})
    assert code_of(answer) == (409, "event_over")
    assert await party.subscribe(event, ANNA, token) == 409


async def test_a_hundred_addresses_are_invited_in_one_request(party: Party) -> None:
    event = await party.private()
    given = [f"p{number}@example.org" for number in range(100)]
    assert len((await party.invite(event, emails=given))["items"]) == 100
    page = (await party.ask("owner", "GET", base(event, "/invitations?limit=60"))).json()
    rest = await party.ask(
        "owner", "GET", base(event, f"/invitations?limit=60&cursor={page['next_cursor']}")
    )
    ids = [one["id"] for one in page["items"] + rest.json()["items"]]
    assert len(ids) == 100
    assert ids == sorted(ids, reverse=True)


async def test_expiry_is_kept_to_the_second(party: Party) -> None:
    event = await party.private()
    at = utc_now() + timedelta(hours=1)
    made = await party.invite(event, expires_at=at.isoformat())
    token = token_in(made["url"])
    assert await seen(party, event, token) == 200
    await change(party, expires_at=utc_now())
    assert await seen(party, event, token) == 404
