"""Mails about a private event lead where somebody without an account can go."""

from __future__ import annotations

import re
from typing import Any

from tests.access.conftest import Party, text_of
from tests.support.api import in_hours

ANNA, OWNER = "anna@example.org", "owner@example.com"


async def let_in(party: Party) -> dict[str, Any]:
    event = await party.private(description="Behind the *old* mill", location="Cellar")
    assert await party.subscribe(event, ANNA, await party.link(event)) == 201
    return event


async def test_every_mail_of_a_private_event_leads_to_the_manage_page(party: Party) -> None:
    event = await let_in(party)
    base = f"/api/events/{event['id']}"
    await party.work()
    await party.ask("owner", "POST", f"{base}/notify", json={"title": "Doors", "body": "At 8"})
    await party.ask("owner", "PATCH", base, json={"start_date": in_hours(72)})
    await party.work()
    await party.ask("owner", "DELETE", base)
    await party.work()
    mails = party.mails(ANNA)
    assert [str(mail["subject"]) for mail in mails] == [
        "You're subscribed to Secret party",
        "Doors",
        "Secret party has changed",
        "Secret party is cancelled",
    ]
    for mail in mails:
        html = mail.get_body(("html",))
        assert html is not None
        for text in (text_of(mail), html.get_content()):
            assert "/e/" not in text
            assert "{{" not in text
        [action, footer] = re.findall(r"http\S+/manage/(\S+)", text_of(mail))
        assert action == footer


async def test_farewells_of_a_private_event_name_no_dead_link(party: Party) -> None:
    event = await let_in(party)
    [one] = (await party.ask("owner", "GET", f"/api/events/{event['id']}/subscriptions")).json()[
        "items"
    ]
    await party.work()
    await party.ask("owner", "DELETE", f"/api/events/{event['id']}/subscriptions/{one['id']}")
    await party.work()
    [mail] = party.mails(ANNA, "removed")
    assert "/e/" not in text_of(mail)


async def test_a_public_event_keeps_its_own_link(party: Party) -> None:
    event = await party.scene.make_event()
    await party.subscribe(event, ANNA)
    await party.work()
    [mail] = party.mails(ANNA)
    assert f"/e/{event['slug']}" in text_of(mail)
    assert text_of(mail).count("/manage/") == 1


async def test_the_creation_notice_says_that_it_is_private(party: Party) -> None:
    await party.private()
    await party.work()
    [mail] = party.mails(OWNER, "is ready")
    assert "only those whom you invite" in text_of(mail)
    assert "/e/" not in text_of(mail)
