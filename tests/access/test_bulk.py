"""Many subscriptions at once, by ids or addresses, as JSON or CSV, with a result per row."""

from __future__ import annotations

from typing import Any

import pytest

from soonish.domain.subscriptions import bulk
from soonish.domain.subscriptions.bulk import Row
from soonish.domain.subscriptions.bulk_csv import read_csv
from soonish.errors import NotFound
from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.models.subscriptions import Subscription
from tests.access.conftest import Party
from tests.access.test_approval import confirmation_in
from tests.support.api import code_of, fields_of

ANNA, BO = "anna@example.org", "bo@example.org"


async def send(party: Party, event: dict[str, Any], who: str = "owner", **body: Any) -> Any:
    path = f"/api/events/{event['id']}/subscriptions/bulk"
    return await party.ask(who, "POST", path, json=body)


async def outcomes(party: Party, event: dict[str, Any], **body: Any) -> list[str]:
    answer = await send(party, event, **body)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [one["index"] for one in results] == list(range(len(results)))
    assert all(one["message"] for one in results)
    return [one["outcome"] for one in results]


async def test_each_added_address_is_asked_and_nothing_else(party: Party) -> None:
    event = await party.private()
    await party.subscribe(event, BO, await party.link(event))
    await party.subscribe(event, "cy@example.org", await party.link(event, needs_approval=True))
    emails = [ANNA, BO, "nobody", "ANNA@example.org", "cy@example.org", ""]
    assert await outcomes(party, event, action="add", emails=emails) == [
        "asked",
        "subscribed_already",
        "invalid",
        "asked_already",
        "waits_for_approval",
        "invalid",
    ]
    assert await party.titles(ANNA) == ["Confirm your subscription to Secret party"]
    body = {"token": confirmation_in(party)}
    assert (await party.ask(None, "POST", "/api/confirm", json=body)).json() == {"status": "active"}
    assert (await party.titles(ANNA))[1:] == ["You're subscribed to Secret party"]


async def test_approved_by_ids_and_addresses(party: Party) -> None:
    event, other = await party.private(), await party.private()
    for one in (event, other):
        token = await party.link(one, needs_approval=True)
        await party.subscribe(one, ANNA, token)
        await party.subscribe(one, BO, token)
    ids = [row.id for row in await party.scene.rows(Subscription)]
    wanted: dict[str, Any] = {
        "action": "approve",
        "ids": [ids[0], ids[2], 999],
        "emails": [BO, "x@example.org"],
    }
    expected = ["approved", "not_found", "not_found", "approved", "not_found"]
    assert await outcomes(party, event, **wanted) == expected
    assert await outcomes(party, event, action="approve", ids=[ids[0]]) == ["active_already"]
    states = {row.event_id: set() for row in await party.scene.rows(Subscription)}
    for row in await party.scene.rows(Subscription):
        states[row.event_id].add(row.status)
    assert states == {event["id"]: {"active"}, other["id"]: {"pending_approval"}}
    assert await party.titles(BO) == ["You're subscribed to Secret party"]


async def test_removed_ones_are_told(party: Party) -> None:
    event = await party.private()
    token = await party.link(event)
    for email in (ANNA, BO):
        await party.subscribe(event, email, token)
    [first, _] = await party.scene.rows(Subscription)
    wanted: dict[str, Any] = {"action": "remove", "ids": [first.id, first.id], "emails": [BO]}
    assert await outcomes(party, event, **wanted) == ["removed", "not_found", "removed"]
    for email in (ANNA, BO):
        assert "You were removed from Secret party" in await party.titles(email)
    [entry] = await party.scene.rows(AuditEntry, AuditEntry.action == "subscription.bulk")
    assert entry.details == {"action": "remove", "removed": 2, "not_found": 1}


@pytest.mark.parametrize(
    ("body", "rows"),
    [
        (b"email\nanna@example.org\nbo@example.org\n", [ANNA, BO]),
        (b"\xef\xbb\xbfName;E-Mail\r\nAnna;anna@example.org\r\n\r\n;bo@example.org", [ANNA, BO]),
        (b"anna@example.org\n7\n", [ANNA, 7]),
        (b"id,email\n7,anna@example.org\n,bo@example.org\n", [7, BO]),
        (b'"anna@example.org","Anna, the first"\n', [ANNA]),
        (b"address\tname\nanna@example.org\tAnna\n", [ANNA]),
        (b'email\n"anna@example.org\n', ["anna@example.org"]),
        (b"99999999999999999999\n", ["99999999999999999999"]),
    ],
)
def test_csv_rows(body: bytes, rows: list[Any]) -> None:
    assert [row.id if row.id is not None else row.email for row in read_csv(body)] == rows


async def test_csv_does_what_json_does(party: Party) -> None:
    event = await party.private()
    path = f"/api/events/{event['id']}/subscriptions/bulk"
    arguments: dict[str, Any] = {
        "params": {"action": "add"},
        "content": "email,name\nanna@example.org,Anna\nnobody,x\n",
        "headers": {"content-type": "text/csv; charset=utf-8"},
    }
    answer = await party.ask("owner", "POST", path, **arguments)
    assert [one["outcome"] for one in answer.json()["results"]] == ["asked", "invalid"]
    assert answer.json()["results"][0]["email"] == ANNA
    for changed, fields in (
        ({"params": {}}, ["action"]),
        ({"params": {"action": "eat"}}, ["action"]),
        ({"content": ""}, ["body"]),
        ({"content": b"\xff\xfe"}, ["body"]),
        ({"content": "x@example.org\n" * 1001}, ["body"]),
    ):
        assert fields_of(await party.ask("owner", "POST", path, **(arguments | changed))) == fields


async def test_bad_input_names_the_field(party: Party) -> None:
    event = await party.private()
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({"action": "add"}, ["body"]),
        ({"action": "add", "ids": [1]}, ["body"]),
        ({"emails": [ANNA]}, ["action"]),
        ({"action": "remove", "ids": ["1"]}, ["ids.0"]),
        ({"action": "remove", "ids": [1], "x": 1}, ["x"]),
        ({"action": "remove", "ids": list(range(1, 1002))}, ["ids"]),
        ({"action": "remove", "ids": [1] * 600, "emails": [ANNA] * 600}, ["body"]),
    ]
    for body, fields in cases:
        assert fields_of(await send(party, event, **body)) == fields, body
    path = f"/api/events/{event['id']}/subscriptions/bulk"
    broken = await party.ask("owner", "POST", path, content="{", headers={})
    assert fields_of(broken) == ["body"]


async def test_it_is_for_organizers(party: Party) -> None:
    event, public = await party.private(), await party.scene.make_event()
    body: dict[str, Any] = {"action": "remove", "ids": [1]}
    assert (await send(party, event, "outsider", **body)).status_code == 404
    assert (await send(party, public, "outsider", **body)).status_code == 403


async def test_administrators_may_through_the_same_function(party: Party) -> None:
    event = await party.private()
    db, people = party.scene.db, party.scene.users
    rows = [Row(0, email=ANNA)]
    for actor in ("outsider", "owner"):
        with pytest.raises(NotFound):
            await bulk.run(db, event["id"], people[actor], "add", rows, as_administrator=True)
    people["outsider"].is_admin = True
    [result] = await bulk.run(
        db, event["id"], people["outsider"], "add", rows, as_administrator=True
    )
    assert result.outcome == "asked"
    answer = await send(party, event, "outsider", action="remove", emails=[ANNA])
    assert answer.status_code == 404, "not by the organizers' route"


async def test_an_event_that_is_over_takes_nobody_but_lets_go(party: Party) -> None:
    event = await party.private()
    await party.subscribe(event, ANNA, await party.link(event))
    await party.ask("owner", "DELETE", f"/api/events/{event['id']}")
    for action in ("add", "approve"):
        answer = await send(party, event, action=action, emails=[BO])
        assert code_of(answer) == (409, "event_cancelled")
    assert await outcomes(party, event, action="remove", emails=[ANNA]) == ["removed"]


async def test_a_thousand_rows_are_done_in_small_transactions(party: Party) -> None:
    event = await party.private()
    emails = [f"p{number}@example.org" for number in range(1000)]
    assert await outcomes(party, event, action="add", emails=emails) == ["asked"] * 1000
    assert await outcomes(party, event, action="add", emails=emails[:3]) == ["asked_already"] * 3
    entries = await party.scene.rows(AuditEntry, AuditEntry.action == "subscription.bulk")
    assert sum(one.details["asked"] for one in entries if "asked" in one.details) == 1000
