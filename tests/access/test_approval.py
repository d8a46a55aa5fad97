"""Invitations that need approval: nothing reaches the asker before an organizer has decided."""

from __future__ import annotations

import re
from typing import Any

from soonish.domain.subscriptions import start
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.access.conftest import Party, text_of
from tests.support.api import code_of

ANNA, OWNER = "anna@example.org", "owner@example.com"
WANTED = "Somebody asks to join Secret party"


def base(event: dict[str, Any], rest: str = "") -> str:
    return f"/api/events/{event['id']}{rest}"


async def asked(party: Party, event: dict[str, Any], email: str = ANNA) -> int:
    """Ask for a place by a link that needs approval; the subscription's id."""
    token = await party.link(event, needs_approval=True)
    assert await party.subscribe(event, email, token) == 201
    return max(row.id for row in await party.scene.rows(Subscription))


async def decide(party: Party, event: dict[str, Any], sid: int, what: str) -> Any:
    return await party.ask("owner", "POST", base(event, f"/subscriptions/{sid}/{what}"))


async def test_nothing_is_sent_before_the_approval_and_the_welcome_after_it(party: Party) -> None:
    event = await party.private()
    sid = await asked(party, event)
    await party.ask("owner", "POST", base(event, "/notify"), json={"title": "Hi", "body": "All"})
    await party.ask("owner", "PATCH", base(event), json={"location": "Cellar"})
    assert await party.titles(ANNA) == []
    assert (await party.ask("owner", "GET", base(event))).json()["subscriber_count"] == 0
    answer = await decide(party, event, sid, "approve")
    assert answer.status_code == 200
    told = answer.json()
    assert (told["id"], told["status"], told["address"]) == (sid, "active", ANNA)
    assert await party.titles(ANNA) == ["You're subscribed to Secret party"]
    await party.ask("owner", "POST", base(event, "/notify"), json={"title": "Now", "body": "You"})
    assert await party.titles(ANNA) == ["You're subscribed to Secret party", "Now"]


async def test_approving_again_changes_nothing(party: Party) -> None:
    event = await party.private()
    sid = await asked(party, event)
    for _ in range(3):
        assert (await decide(party, event, sid, "approve")).status_code == 200
    assert await party.titles(ANNA) == ["You're subscribed to Secret party"]
    assert code_of(await decide(party, event, sid, "reject")) == (409, "already_approved")


async def test_a_rejection_ends_it_and_is_told_once(party: Party) -> None:
    event = await party.private()
    sid = await asked(party, event)
    for _ in range(2):
        assert (await decide(party, event, sid, "reject")).status_code == 204
    [row] = await party.scene.rows(Subscription)
    assert (row.end_reason, row.ended_at is None) == ("rejected", False)
    assert await party.titles(ANNA) == ["Your request to join Secret party was declined"]
    assert (await decide(party, event, sid, "approve")).status_code == 404


async def test_decisions_are_about_the_events_own_subscriptions(party: Party) -> None:
    event, other = await party.private(), await party.private()
    sid = await asked(party, event)
    for what in ("approve", "reject"):
        assert (await decide(party, other, sid, what)).status_code == 404
        assert (await decide(party, event, 999_999, what)).status_code == 404
    ended = await party.ask("owner", "DELETE", base(event, f"/subscriptions/{sid}"))
    assert ended.status_code == 204
    for what in ("approve", "reject"):
        assert (await decide(party, event, sid, what)).status_code == 404


async def test_the_organizers_get_one_mail_for_all_who_wait(party: Party) -> None:
    event = await party.private()
    await party.ask("owner", "POST", base(event, "/organizers"), json={"email": "co@example.org"})
    token = await party.link(event, needs_approval=True)
    for number in range(5):
        assert await party.subscribe(event, f"p{number}@example.org", token) == 201
    await party.work()
    for address in (OWNER, "co@example.org"):
        [mail] = party.mails(address, WANTED)
        assert f"/events/{event['id']}/subscribers" in text_of(mail)
    waiting = await party.ask("owner", "GET", base(event, "/subscriptions?status=pending_approval"))
    assert len(waiting.json()["items"]) == 5
    for one in waiting.json()["items"]:
        await decide(party, event, one["id"], "approve")
    assert await party.subscribe(event, "late@example.org", token) == 201
    await party.work()
    assert len(party.mails(OWNER, WANTED)) == 2, "the next who asks is told of"


async def test_who_asks_and_withdraws_in_turn_makes_no_flood(
    party: Party, monkeypatch: Any
) -> None:
    monkeypatch.setattr(start, "MAX_APPROVAL_MAILS", 3)
    event = await party.private()
    token = await party.link(event, needs_approval=True)
    path = base(event, "/subscribe")
    for _ in range(6):
        made = await party.ask("outsider", "POST", path, json={"invitation": token})
        assert made.json()["status"] == "pending_approval"
        assert (await party.ask("outsider", "DELETE", path)).status_code == 204
    assert len(await party.scene.rows(Notification, Notification.kind == "approval_wanted")) == 3


async def test_a_signed_in_asker_sees_what_the_invitation_showed(party: Party) -> None:
    event = await party.private()
    token = await party.link(event, needs_approval=True, max_uses=1)
    path = base(event, "/subscribe")
    made = await party.ask("outsider", "POST", path, json={"invitation": token})
    assert (made.status_code, made.json()["status"]) == (201, "pending_approval")
    assert (await party.ask("outsider", "GET", base(event))).status_code == 200
    for body in ({}, {"invitation": token}):
        again = await party.ask("outsider", "POST", path, json=body)
        assert (again.status_code, again.json()["status"]) == (200, "pending_approval")
    sid = made.json()["subscription_id"]
    await decide(party, event, sid, "reject")
    assert (await party.ask("outsider", "GET", base(event))).status_code == 404
    assert (await party.ask("outsider", "POST", path, json={})).status_code == 404


async def test_an_invitation_without_approval_ends_the_wait(party: Party) -> None:
    event = await party.private()
    await asked(party, event)
    assert await party.subscribe(event, ANNA, await party.link(event)) == 201
    [row] = await party.scene.rows(Subscription)
    assert row.status == "active"
    assert await party.titles(ANNA) == ["You're subscribed to Secret party"]


async def test_what_was_chosen_while_waiting_is_armed_with_the_approval(party: Party) -> None:
    event = await party.private()
    token = await party.link(event, needs_approval=True)
    path = base(event, "/subscribe")
    made = await party.ask("outsider", "POST", path, json={"invitation": token})
    await party.ask("outsider", "PUT", base(event, "/reminders"), json={"offset_seconds": [7200]})
    sid = made.json()["subscription_id"]
    assert await party.scene.rows(Reminder, Reminder.subscription_id == sid) == []
    await decide(party, event, sid, "approve")
    [armed] = await party.scene.rows(Reminder, Reminder.subscription_id == sid)
    assert armed.offset_seconds == 7200


async def test_an_event_that_is_over_approves_nobody(party: Party) -> None:
    event = await party.private()
    sid = await asked(party, event)
    await party.scene.change(event["id"], cancelled_at=utc_now())
    assert code_of(await decide(party, event, sid, "approve")) == (409, "event_cancelled")
    assert (await decide(party, event, sid, "reject")).status_code == 204


def confirmation_in(party: Party) -> str:
    found = re.search(r"/confirm/([\w-]+)", text_of(party.mails(ANNA, "Confirm")[-1]))
    assert found
    return found[1]


async def test_double_opt_in_first_confirms_and_then_waits(double: Party) -> None:
    event = await double.private()
    token = await double.link(event, needs_approval=True, max_uses=1)
    assert await double.subscribe(event, ANNA, token) == 201
    assert await double.titles(ANNA) == ["Confirm your subscription to Secret party"]
    assert double.mails(OWNER, WANTED) == [], "nobody is told of who has not confirmed"
    listed = await double.ask("owner", "GET", base(event, "/subscriptions"))
    assert listed.json()["items"] == []
    body = {"token": confirmation_in(double)}
    for _ in range(2):
        confirmed = await double.ask(None, "POST", "/api/confirm", json=body)
        assert (confirmed.status_code, confirmed.json()) == (200, {"status": "pending_approval"})
    assert len(await double.titles(ANNA)) == 1
    assert len(double.mails(OWNER, WANTED)) == 1
    [one] = (await double.ask("owner", "GET", base(event, "/subscriptions"))).json()["items"]
    assert one["status"] == "pending_approval"
    await decide(double, event, one["id"], "approve")
    assert (await double.titles(ANNA))[1:] == ["You're subscribed to Secret party"]


async def test_double_opt_in_with_a_revoked_invitation_is_still_confirmed(double: Party) -> None:
    event = await double.private()
    made = await double.invite(event)
    token = made["url"].partition("invitation=")[2]
    assert await double.subscribe(event, ANNA, token) == 201
    await double.ask("owner", "DELETE", base(event, f"/invitations/{made['id']}"))
    await double.work()
    body = {"token": confirmation_in(double)}
    confirmed = await double.ask(None, "POST", "/api/confirm", json=body)
    assert (confirmed.status_code, confirmed.json()) == (200, {"status": "active"})
    assert (await double.titles(ANNA))[1:] == ["You're subscribed to Secret party"]


async def test_double_opt_in_counts_a_use_when_it_is_asked_for(double: Party) -> None:
    event = await double.private()
    token = await double.link(event, max_uses=1)
    assert await double.subscribe(event, ANNA, token) == 201
    assert await double.subscribe(event, "bo@example.org", token) == 404
    assert len(await double.scene.rows(Subscription)) == 1
