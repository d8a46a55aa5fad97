"""The organizer's page without JavaScript: check before sending, people, reminders, health."""

from __future__ import annotations

import re
from datetime import timedelta

import httpx2
import pytest

from soonish.infra.db.models.events import Event, EventUpdate
from soonish.infra.db.models.notifications import Delivery, DeliveryState, Notification
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.support.world import World
from tests.web.site import Site, local_in, text_of

pytestmark = pytest.mark.usefixtures("database")
NEWS = {"title": "Rain plan", "body": "We go **inside**."}
SECTIONS = ("", "/notifications", "/subscribers", "/reminders", "/health", "/settings")


def world_of(site: Site) -> World:
    return World(site.runtime.db, site.runtime.settings)


def hidden_fields(page: httpx2.Response, action: str) -> dict[str, list[str]]:
    """What the form with this action carries along."""
    form = re.search(rf'<form[^>]*action="{action}".*?</form>', page.text, re.DOTALL)
    assert form, f"no form for {action}"
    found: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form[0]):
        found.setdefault(name, []).append(value)
    return found


async def test_every_section_has_an_address_and_marks_its_tab(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event()
    for path in SECTIONS:
        page = await ana.get(f"/events/{event_id}{path}")
        assert page.status_code == 200, path
        current = re.findall(r'<a href="([^"]*)" class="tab" aria-current="page"', page.text)
        assert current == [f"/events/{event_id}{path}"]
        assert f"/e/{slug}" in page.text


async def test_others_get_into_no_section_and_no_step(site: Site):
    ana, bo = await site.member("ana"), await site.member("bo")
    event_id, _ = await ana.create_event()
    for path in (*SECTIONS, "/pick", "/progress", "/edit", "/cancel"):
        assert (await bo.get(f"/events/{event_id}{path}")).status_code == 403, path
    for path in ("/compose", "/review", "/notify", "/preview/mail", "/edit", "/cancel"):
        answer = await bo.post(f"/events/{event_id}{path}", **NEWS, step="save")
        assert answer.status_code == 403, path
    assert await site.rows(Notification) == []


async def test_a_message_is_checked_and_then_sent_as_it_was_checked(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event()
    for name in ("bo", "cy"):
        await site.visitor().post(f"/e/{slug}/subscribe", email=f"{name}@example.org")
    composer = await ana.get(f"/events/{event_id}")
    [key] = hidden_fields(composer, f"/events/{event_id}/review")["idempotency_key"]
    checked = await ana.post(f"/events/{event_id}/review", **NEWS, idempotency_key=key)
    told = text_of(checked)
    assert "2 people over 1 kind of channel" in told
    assert "Send to 2 people" in told
    assert "<strong>inside</strong>" in checked.text
    assert "Rain plan We go inside." in told
    assert await site.rows(Notification) == []
    kept = hidden_fields(checked, f"/events/{event_id}/notify")
    assert kept == {"title": ["Rain plan"], "body": [NEWS["body"]], "idempotency_key": [key]}
    back = await ana.post(f"/events/{event_id}/compose", **kept)
    assert NEWS["body"] in back.text
    for _ in range(2):  # a second click, or the back button
        sent = await ana.follow(await ana.post(f"/events/{event_id}/notify", **kept))
    assert "Your message is on its way." in text_of(sent)
    [row] = await site.rows(Notification)
    assert (row.title, row.audience) == ("Rain plan", None)


async def test_the_mail_is_shown_in_a_document_of_its_own(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    answer = await ana.post(f"/events/{event_id}/preview/mail", **NEWS)
    assert "<strong>inside</strong>" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "sandbox" in policy
    assert "frame-ancestors 'self'" in policy
    assert "default-src 'none'" in policy
    page = await ana.get(f"/events/{event_id}")
    assert "frame-src 'self'" in page.headers["content-security-policy"]


async def test_an_audience_by_choice(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event()
    for name in ("bo", "cy"):
        await site.visitor().post(f"/e/{slug}/subscribe", email=f"{name}@example.org")
    bo, cy = [row.id for row in await site.rows(Subscription)]
    chosen = {**NEWS, "audience": "chosen"}
    nobody = await ana.post(f"/events/{event_id}/review", **chosen)
    assert nobody.status_code == 422
    assert "Choose at least one person." in text_of(nobody)
    assert NEWS["body"] in nobody.text
    checked = await ana.post(f"/events/{event_id}/review", **chosen, to=[bo])
    assert "1 person over 1 kind of channel" in text_of(checked)
    kept = hidden_fields(checked, f"/events/{event_id}/notify")
    await ana.follow(await ana.post(f"/events/{event_id}/notify", **kept))
    [row] = await site.rows(Notification)
    assert row.audience == [bo]
    assert await site.rows(EventUpdate) == []
    preset = await ana.get(f"/events/{event_id}?to={cy}")
    assert re.search(rf'name="to" value="{cy}"[^>]*checked', preset.text)
    by_mail = await ana.post(
        f"/events/{event_id}/review", **NEWS, audience="channel", channel="mail"
    )
    assert "2 people over 1 kind of channel" in text_of(by_mail)


async def test_people_are_picked_by_name_or_whole_address(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event()
    for name in ("bo", "cy"):
        await site.visitor().post(f"/e/{slug}/subscribe", email=f"{name}@example.org")
    bo, cy = [row.id for row in await site.rows(Subscription)]
    found = await ana.get(f"/events/{event_id}/pick?pick=cy@example.org&to={bo}")
    assert re.search(rf'value="{bo}"[^>]* checked', found.text)
    assert re.search(rf'value="{cy}" class="[^"]*">', found.text)
    assert "<html" not in found.text
    again = await ana.post(f"/events/{event_id}/compose", **NEWS, pick="nobody", audience="chosen")
    assert "Nobody found." in text_of(again)
    assert NEWS["body"] in again.text


async def test_an_event_that_is_over_takes_no_message(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    await ana.post(f"/events/{event_id}/cancel")
    assert "takes no messages any more" in text_of(await ana.get(f"/events/{event_id}"))
    late = await ana.post(f"/events/{event_id}/review", **NEWS)
    assert late.status_code == 409
    assert await site.rows(Notification) == []


async def test_recipients_by_state_channel_and_name(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    world = world_of(site)
    event = await world.one(Event, Event.id == event_id)
    await world.subscribe(event, await world.user(name="Bo Chen"))
    await world.through(event, "json://127.0.0.1:9/a")
    row = await world.expanded(event)
    by_mail, by_hook = await world.deliveries(row.id)
    await world.change(Delivery, by_hook.id, state=DeliveryState.FAILED, outcome="timeout")
    page = f"/events/{event_id}/notifications/{row.id}"

    async def shown(query: str) -> int:
        return (await ana.get(f"{page}?{query}")).text.count('class="flex flex-wrap items-center j')

    assert [await shown(query) for query in ("", "state=failed", "state=", "state=x")] == [
        2,
        1,
        2,
        2,
    ]
    assert [await shown(f"channel={one}") for one in ("mail", "json", "ntfy")] == [1, 1, 0]
    assert [await shown(f"query={one}") for one in ("chen", "nobody")] == [1, 0]
    assert "no answer in time" in text_of(await ana.get(f"{page}?state=failed"))
    everybody = await ana.get(page)
    assert "Webhook (JSON)" in text_of(everybody)
    assert "2 messages: 1 waiting 1 failed" in text_of(everybody)
    assert f'hx-get="{page}?state=failed"' in (await ana.get(f"{page}?state=failed")).text
    await world.change(Notification, row.id, completed_at=utc_now())
    assert 'hx-trigger="htmx:sseMessage' in everybody.text
    assert 'hx-trigger="htmx:sseMessage' not in (await ana.get(page)).text
    assert by_mail.state == DeliveryState.PENDING


async def test_an_organizer_sees_who_is_who_and_the_api_masks(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    world = world_of(site)
    event = await world.one(Event, Event.id == event_id)
    await world.subscribe(event, await world.user("pia@example.org", name=None))
    await world.subscribe(event, await world.user("pit@example.org", name="Pit"))
    row = await world.expanded(event)
    page = text_of(await ana.get(f"/events/{event_id}/notifications/{row.id}"))
    assert "pia@example.org Mail" in page
    assert "Pit pit@example.org · Mail" in page
    answer = await ana.client.get(f"/api/events/{event_id}/notifications/{row.id}/deliveries")
    assert {one["address"] for one in answer.json()["items"]} == {"p***@e***.org"}


async def test_reminders_say_how_punctual_they_were(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    world = world_of(site)
    event = await world.one(Event, Event.id == event_id)
    await world.crowd(event, 2)
    row = await world.expanded(event, kind="reminder_1day")
    due = utc_now() - timedelta(minutes=5)
    for delivery, late in zip(await world.deliveries(row.id), (0.4, 2.1), strict=True):
        await world.change(
            Delivery,
            delivery.id,
            state=DeliveryState.SENT,
            due_at=due,
            finished_at=due + timedelta(seconds=late),
        )
    first, *_ = await site.rows(Reminder)
    await world.change(Reminder, first.id, expired_at=utc_now())
    told = text_of(await ana.get(f"/events/{event_id}/reminders"))
    assert "Sent 0.4 seconds after its time." in told
    assert "The last of 2: 2.1 seconds after it." in told
    assert "They came too late to be of use" in told
    answer = await ana.client.get(f"/api/events/{event_id}/reminders/log")
    [item] = answer.json()["items"]
    assert (item["kind"], item["sent"], item["targets"]) == ("reminder_1day", 2, 2)


async def test_health_in_words_and_numbers(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    world = world_of(site)
    event = await world.one(Event, Event.id == event_id)
    await world.crowd(event, 3)
    await world.expanded(event)
    page = await ana.get(f"/events/{event_id}/health")
    assert "Starting. The event is accepted" in text_of(page)
    assert 'class="bar-pending"' in page.text
    assert "Subscribers by day" in page.text
    await world.advance(event)
    await world.tell(event, "wake", {})
    away = text_of(await ana.get(f"/events/{event_id}/health"))
    assert "Temporal is away: nothing is lost." in away
    assert "1 request waits." in away
    answer = await ana.client.get(f"/api/events/{event_id}/statistics")
    [today] = answer.json()["days"]
    assert (today["subscribed"], today["subscribers"], today["deliveries"]["pending"]) == (3, 3, 4)


async def test_cancelling_says_who_will_be_told(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event()
    await site.visitor().post(f"/e/{slug}/subscribe", email="bo@example.org")
    asked = text_of(await ana.get(f"/events/{event_id}/cancel"))
    assert "1 person over 1 kind of channel" in asked
    assert "Cancel the event and tell 1 person" in asked
    await ana.post(f"/events/{event_id}/cancel")
    again = await ana.get(f"/events/{event_id}/cancel")
    assert "This event is cancelled already." in text_of(again)
    assert f'action="/events/{event_id}/cancel"' not in again.text


async def test_a_private_event_is_not_to_be_shared_by_its_bare_link(site: Site):
    ana = await site.member("ana")
    made = await ana.post(
        "/new", name="Secret", start_date=local_in(days=3), timezone="UTC", is_public="0"
    )
    created = await ana.follow(made)
    assert "Your event is ready. Only people you invite see it." in text_of(created)
    assert "hare this link" not in created.text
    assert "Whoever opens it" not in created.text
    assert f'href="{made.headers["location"]}/access"' in created.text
    people = text_of(await ana.get(f"{made.headers['location']}/subscribers"))
    assert "Nobody yet Only people you invite see this event." in people


async def test_a_message_to_nobody_is_not_offered(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    checked = await ana.post(f"/events/{event_id}/review", **NEWS)
    assert "Nobody would get it now." in text_of(checked)
    assert "Send to" not in text_of(checked)
    changed = await ana.post(f"/events/{event_id}/edit", name="Feast")
    assert "Nobody would get it now. Save Change it" in text_of(changed)


async def test_an_empty_message_is_to_be_filled_in(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    answer = await ana.post(f"/events/{event_id}/review", title=" ", body="", audience="all")
    assert answer.status_code == 422
    assert text_of(answer).count("Please fill this in.") == 2
    long = await ana.post(f"/events/{event_id}/review", title="x" * 201, body="Yes")
    assert "At most 200 characters, please." in text_of(long)


async def test_a_saved_change_brings_its_header_along(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    page = await ana.get(f"/events/{event_id}/edit")
    assert page.text.count('id="event-head"') == 1
    form = re.search(r'<form method="post" action="[^"]*/edit"[^>]*>', page.text)
    assert form
    assert 'hx-select-oob="#notices:innerHTML,#event-head:outerHTML"' in form[0]


async def test_a_change_is_previewed_with_old_and_new_and_how_many_hear_of_it(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event(name="Picnic", location="Park")
    await site.visitor().post(f"/e/{slug}/subscribe", email="bo@example.org")
    answer = await ana.client.post(
        f"/api/events/{event_id}/preview", json={"location": "Lake", "name": "Picnic"}
    )
    told = answer.json()
    assert told["changes"] == [{"field": "location", "old": "Park", "new": "Lake"}]
    assert (told["audience"], told["unreachable"]) == (1, 0)
    assert (await site.rows(Event))[0].location == "Park"
    past = await ana.client.post(
        f"/api/events/{event_id}/preview", json={"start_date": "2020-01-01T10:00:00Z"}
    )
    assert past.json()["errors"][0]["field"] == "start_date"


def fields_of(page: httpx2.Response) -> dict[str, list[str]]:
    """What the form of an event holds, as a browser would send it."""
    found = hidden_fields(page, page.url.path)
    for name, value in re.findall(
        r'<input class="control" id="(\w+)"[^>]* value="([^"]*)"', page.text
    ):
        found.setdefault(name, []).append(value)
    timezone = re.search(r'<option value="([^"]*)" selected>', page.text)
    assert timezone
    return found | {"timezone": [timezone[1]], "description": [""], "is_public": ["0", "1"]}


async def test_a_form_that_was_opened_before_undoes_nothing(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event(location="Park")
    edit = f"/events/{event_id}/edit"
    first, second = [fields_of(await ana.get(edit)) for _ in range(2)]
    moved = first | {"location": ["Lake"], "start_date": [local_in(days=9)], "step": ["save"]}
    await ana.follow(await ana.post(edit, **moved))
    checked = await ana.post(edit, **second | {"name": ["Feast"]})
    assert "This event was changed meanwhile." in text_of(checked)
    assert re.findall(r'<dt class="font-medium">(.*?)</dt>', checked.text) == ["Name"]
    await ana.follow(await ana.post(edit, **hidden_fields(checked, edit)))
    [event] = await site.rows(Event)
    assert (event.name, event.location) == ("Feast", "Lake")
    assert event.start_date.strftime("%Y-%m-%dT%H:%M") == moved["start_date"][0]
    changed = [[one["field"] for one in row.changes or []] for row in await site.rows(EventUpdate)]
    assert changed == [["start_date", "location"], ["name"]]


async def test_a_change_between_preview_and_saving_is_shown_before_anything_is_saved(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event(location="Park")
    edit = f"/events/{event_id}/edit"
    mine = fields_of(await ana.get(edit)) | {"location": ["Beach"]}
    checked = await ana.post(edit, **mine)
    assert "Park" in text_of(checked)
    theirs = fields_of(await ana.get(edit)) | {"location": ["Lake"], "step": ["save"]}
    await ana.follow(await ana.post(edit, **theirs))
    shown = await ana.post(edit, **hidden_fields(checked, edit))
    assert "This event was changed meanwhile." in text_of(shown)
    assert "was Lake now Beach" in text_of(shown)
    assert (await site.rows(Event))[0].location == "Lake"
    again = await ana.post(edit, **hidden_fields(shown, edit) | {"step": ["edit"]})
    assert 'value="Beach"' in again.text
    await ana.follow(await ana.post(edit, **hidden_fields(shown, edit)))
    assert (await site.rows(Event))[0].location == "Beach"


async def test_an_end_before_the_start_is_said_at_the_end(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event(end_date=local_in(days=4))
    edit = f"/events/{event_id}/edit"
    late = fields_of(await ana.get(edit)) | {"start_date": [local_in(days=5)]}
    for path in (edit, "/new"):
        answer = await ana.post(path, **late)
        assert answer.status_code == 422
        error = re.search(r'id="end_date-error".*?</p>', answer.text, re.DOTALL)
        assert error
        assert "The end must be after the start." in error[0]
        assert 'id="start_date-error"' not in answer.text


async def test_requests_are_approved_and_declined_on_the_page(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    world = world_of(site)
    event = await world.one(Event, Event.id == event_id)
    bo = await world.subscribe(event, await world.user(name="Bo"), status="pending_approval")
    cy = await world.subscribe(event, await world.user(name="Cy"), status="pending_approval")
    dashboard = text_of(await ana.get("/dashboard"))
    assert "2 people wait for your approval: Picnic." in dashboard
    page = f"/events/{event_id}/subscribers"
    for path in (page, f"/events/{event_id}"):
        assert "2 people wait for your approval. Look at them" in text_of(await ana.get(path))
    await ana.follow(await ana.post(f"{page}/{bo.id}/approve"))
    await ana.follow(await ana.post(f"{page}/{cy.id}/reject"))
    assert "your approval" not in text_of(await ana.get(page))
    [row] = await site.rows(Subscription, Subscription.id == bo.id)
    assert row.status == "active"
    [row] = await site.rows(Subscription, Subscription.id == cy.id)
    assert row.ended_at is not None


async def test_people_are_invited_by_link_and_the_link_is_shown_once(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event(is_public="0")
    page = f"/events/{event_id}/access"
    made = await ana.post(f"/events/{event_id}/invite", max_uses="2", timezone="UTC")
    link = re.search(r'value="([^"]*\?invitation=[^"]*)"', made.text)
    assert link
    assert f"/e/{slug}?invitation=" in link[1]
    again = await ana.get(page)
    assert "?invitation=" not in again.text
    revoke = re.search(rf'action="(/events/{event_id}/invitations/\d+/revoke)"', again.text)
    assert revoke
    revoked = await ana.follow(await ana.post(revoke[1]))
    assert "Revoked" in text_of(revoked)
    wrong = await ana.post(f"/events/{event_id}/invite", emails="nobody", max_uses="x")
    assert wrong.status_code == 422
    assert "nobody" in wrong.text


async def test_many_are_added_and_each_line_is_answered(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    answer = await ana.post(f"/events/{event_id}/add", addresses="email\nbo@example.org\nnobody")
    assert "bo@example.org" in text_of(answer)
    assert "nobody" in text_of(answer)
    [row] = await site.rows(Subscription)
    assert row.status == "pending_confirmation"
    empty = await ana.post(f"/events/{event_id}/add", addresses="")
    assert empty.status_code == 422


async def test_co_organizers_help_and_only_the_owner_chooses_them(site: Site):
    ana, bo = await site.member("ana"), await site.member("bo")
    event_id, _ = await ana.create_event()
    page = f"/events/{event_id}/access"
    wrong = await ana.post(f"/events/{event_id}/organizers", co_organizer="nobody")
    assert 'id="co_organizer-error"' in wrong.text
    await ana.follow(
        await ana.post(f"/events/{event_id}/organizers", co_organizer="bo@example.org")
    )
    helping = await bo.get(page)
    assert helping.status_code == 200
    assert "Hand the event over" not in helping.text
    assert "Cancel event" not in (await bo.get(f"/events/{event_id}/settings")).text
    assert (
        await bo.post(f"/events/{event_id}/organizers", co_organizer="cy@x.org")
    ).status_code == 403
    person = await site.user("bo")
    await ana.follow(await ana.post(f"/events/{event_id}/organizers/{person.id}/remove"))
    assert (await bo.get(page)).status_code == 403


async def test_the_dashboard_tells_what_failed_and_what_comes_next(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    world = world_of(site)
    event = await world.one(Event, Event.id == event_id)
    await world.crowd(event, 2)
    row = await world.expanded(event, title="Rain plan")
    [first, _second] = await world.deliveries(row.id)
    await world.change(Delivery, first.id, state=DeliveryState.FAILED, outcome="rejected")
    page = await ana.get("/dashboard")
    told = text_of(page)
    assert "“Rain plan” (Picnic) did not reach 1 person." in told
    assert f'href="/events/{event_id}/notifications/{row.id}?state=failed"' in page.text
    assert "What comes next" in told
    assert "Add a channel" in told
    newcomer = text_of(await (await site.member("cy")).get("/dashboard"))
    assert "Needs your attention" not in newcomer
    assert "Create an event" in newcomer
