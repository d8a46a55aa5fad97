"""The pages as people use them, without JavaScript, on both databases."""

from __future__ import annotations

import re

import pytest

from soonish.identity import tokens
from soonish.identity.signed_tokens import Purpose, make_token
from soonish.infra.db.models.events import Event, EventUpdate
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.reminders import RemindMe
from soonish.infra.db.models.subscriptions import Subscription, SubscriptionSelector
from soonish.web.rendering.formats import now_utc
from tests.support.http_sink import HttpSink
from tests.web.site import Site, local_in, text_of

pytestmark = pytest.mark.usefixtures("database")


async def test_an_event_is_made_found_and_subscribed_to(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event(name="Rooftop cinema", description="**Bring** it")
    stranger = site.visitor()
    start = await stranger.get("/?query=rooftop")
    assert f'href="/e/{slug}"' in start.text
    page = await stranger.get(f"/e/{slug}")
    assert "<strong>Bring</strong>" in page.text
    assert page.text.count('type="email"') == 1
    done = await stranger.follow(
        await stranger.post(f"/e/{slug}/subscribe", email="Bo@Example.org")
    )
    assert "Look at your mail" in text_of(done)
    people = await ana.get(f"/events/{event_id}/subscribers")
    assert "bo@example.org" in people.text.lower()


async def test_a_wrong_address_keeps_what_was_typed(site: Site):
    _, slug = await (await site.member("ana")).create_event()
    answer = await site.visitor().post(f"/e/{slug}/subscribe", email='no"body')
    assert answer.status_code == 422
    assert 'value="no&#34;body"' in answer.text
    assert 'id="email-error"' in answer.text
    fragment = await site.visitor().post(f"/e/{slug}/subscribe", htmx=True, email="")
    assert fragment.status_code == 422
    assert "<html" not in fragment.text
    assert await site.rows(Subscription) == []


async def test_htmx_subscribes_in_place(site: Site):
    _, slug = await (await site.member("ana")).create_event()
    answer = await site.visitor().post(f"/e/{slug}/subscribe", htmx=True, email="bo@example.org")
    assert answer.status_code == 200
    assert answer.text.lstrip().startswith("<section")
    assert len(await site.rows(Subscription)) == 1


async def test_a_new_event_with_mistakes_names_each_field(site: Site):
    ana = await site.member("ana")
    answer = await ana.post("/new", name="", start_date="", description="Kept", is_public="0")
    assert answer.status_code == 422
    assert 'id="name-error"' in answer.text or "start_date-error" in answer.text
    assert "Kept" in answer.text
    past = await ana.post("/new", name="Late", start_date="2020-01-01T10:00", timezone="UTC")
    assert 'id="start_date-error"' in past.text
    nowhere = await ana.post("/new", name="Late", start_date=local_in(days=1), timezone="Mars/X")
    assert 'id="timezone-error"' in nowhere.text
    assert await site.rows(Event) == []


async def test_times_are_meant_in_the_events_timezone(site: Site):
    ana = await site.member("ana")
    await ana.create_event(start_date="2030-07-01T20:00", timezone="Europe/Berlin")
    (event,) = await site.rows(Event)
    assert event.start_date.isoformat() == "2030-07-01T18:00:00+00:00"


@pytest.mark.parametrize("number", ["²", "٣", "9" * 5000, "1.0", "-1", ""])
async def test_what_only_looks_like_a_number_is_none(site: Site, number: str):
    ana = await site.member("ana")
    _, slug = await ana.create_event()
    await ana.post(f"/e/{slug}/channels", tags=[])
    answers = [
        await ana.post(f"/e/{slug}/channels", integration_ids=number),
        await ana.post(f"/e/{slug}/reminders", offset_seconds=number),
        await ana.post(f"/e/{slug}/remind-me", in_seconds=number),
    ]
    assert [answer.status_code for answer in answers] == [303, 303, 422]
    assert await site.rows(SubscriptionSelector) == []
    assert await site.rows(RemindMe) == []


async def test_editing_announces_only_what_changed(site: Site):
    ana = await site.member("ana")
    event_id, _ = await ana.create_event(name="Picnic", tags="food, park", location="Park")
    form = await ana.get(f"/events/{event_id}/edit")
    shown = dict(re.findall(r'<input[^>]* name="(\w+)"[^>]* value="([^"]*)"', form.text))
    shown |= {"timezone": "UTC", "description": "", "is_public": ["0", "1"]}
    same = await ana.follow(await ana.post(f"/events/{event_id}/edit", **shown))
    assert "Nothing changed" in text_of(same)
    assert await site.rows(EventUpdate) == []
    checked = await ana.post(f"/events/{event_id}/edit", **(shown | {"location": "Lake"}))
    assert "Where was Park now Lake" in text_of(checked)
    assert await site.rows(EventUpdate) == []
    saved = await ana.follow(
        await ana.post(f"/events/{event_id}/edit", **(shown | {"location": "Lake", "step": "save"}))
    )
    assert "being told" in text_of(saved)
    (update,) = await site.rows(EventUpdate)
    assert update.changes == [{"field": "location", "old": "Park", "new": "Lake"}]


async def test_cancelling_asks_first_and_shows_it(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event()
    assert "cannot be taken back" in (await ana.get(f"/events/{event_id}/cancel")).text
    await ana.follow(await ana.post(f"/events/{event_id}/cancel"))
    page = text_of(await site.visitor().get(f"/e/{slug}"))
    assert "This event is cancelled" in page
    assert "Your email address" not in page
    late = await site.visitor().post(f"/e/{slug}/subscribe", email="bo@example.org")
    assert late.status_code == 409


async def test_the_composer_sends_a_repeated_form_once(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event()
    page = await ana.get(f"/events/{event_id}")
    found = re.search(r'name="idempotency_key" value="([^"]+)"', page.text)
    assert found
    fields = {"title": "Rain plan", "body": "We go *inside*.", "idempotency_key": found[1]}
    for _ in range(2):
        sent = await ana.follow(await ana.post(f"/events/{event_id}/notify", **fields))
        assert "on its way" in text_of(sent)
    assert [n.title for n in await site.rows(Notification)] == ["Rain plan"]
    assert "<em>inside</em>" in (await site.visitor().get(f"/e/{slug}")).text
    wrong = await ana.post(f"/events/{event_id}/notify", **(fields | {"title": ""}))
    assert wrong.status_code == 422
    assert "We go *inside*." in wrong.text
    assert 'id="title-error"' in wrong.text


async def test_only_its_organizer_sees_the_organizer_page(site: Site):
    ana, bo = await site.member("ana"), await site.member("bo")
    public, _ = await ana.create_event()
    private, slug = await ana.create_event(name="Secret", is_public="0")
    assert (await bo.get(f"/events/{public}")).status_code == 403
    assert (await bo.get(f"/events/{private}")).status_code == 404
    assert (await bo.get(f"/e/{slug}")).status_code == 404
    assert (
        await site.visitor().post(f"/e/{slug}/subscribe", email="x@example.org")
    ).status_code == 404
    assert "Secret" not in (await site.visitor().get("/")).text
    back = await site.visitor().get(f"/events/{public}")
    assert back.headers["location"] == f"/login?next=/events/{public}"


async def test_a_member_chooses_channels_reminders_and_leaves(site: Site):
    ana, bo = await site.member("ana"), await site.member("bo")
    _, slug = await ana.create_event(start_date=local_in(days=20))
    user = await site.user("bo")
    async with site.runtime.db.write() as session:
        channel = Integration(
            user_id=user.id, name="Phone", apprise_url="json://127.0.0.1:9/a", tag="urgent",
            url_fingerprint="f", kind="json", target="127.0.0.1",
        )  # fmt: skip
        session.add(channel)
    assert "Phone" in (await bo.get(f"/e/{slug}")).text
    page = await bo.follow(await bo.post(f"/e/{slug}/channels", integration_ids=str(channel.id)))
    assert "You are subscribed" in text_of(page)
    await bo.follow(await bo.post(f"/e/{slug}/channels", tags="urgent"))
    (selector,) = await site.rows(SubscriptionSelector)
    assert (selector.integration_id, selector.tag) == (None, "urgent")
    await bo.follow(await bo.post(f"/e/{slug}/reminders", offset_seconds=["900", "604800"]))
    (subscription,) = await site.rows(Subscription)
    assert subscription.reminder_offsets == [900, 604800]
    await bo.follow(await bo.post(f"/e/{slug}/reminders", offset_seconds=["3600", "86400"]))
    (subscription,) = await site.rows(Subscription)
    assert subscription.reminder_offsets is None
    await bo.follow(await bo.post(f"/e/{slug}/remind-me", in_seconds="3600"))
    (extra,) = await site.rows(RemindMe)
    await bo.follow(await bo.post(f"/e/{slug}/remind-me/{extra.id}/delete"))
    assert all(row.cancelled_at for row in await site.rows(RemindMe))
    left = await bo.follow(await bo.post(f"/e/{slug}/leave"))
    assert "You are unsubscribed" in text_of(left)


async def test_somebody_elses_channel_is_refused_beside_its_field(site: Site):
    ana, bo = await site.member("ana"), await site.member("bo")
    _, slug = await ana.create_event()
    answer = await bo.post(f"/e/{slug}/channels", integration_ids="999")
    assert answer.status_code == 422
    assert await site.rows(Subscription) == []


async def test_the_organizer_searches_and_removes(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event()
    for name in ("bo", "cy"):
        await site.visitor().post(f"/e/{slug}/subscribe", email=f"{name}@example.org")
    found = await ana.get(
        f"/events/{event_id}/subscribers?query=cy@example.org", **{"hx-request": "true"}
    )
    assert "cy@example.org" in found.text
    assert "bo@example.org" not in found.text
    (row,) = await site.rows(Subscription, Subscription.user_id == (await site.user("bo")).id)
    await ana.follow(await ana.post(f"/events/{event_id}/subscribers/{row.id}/remove"))
    (row,) = await site.rows(Subscription, Subscription.id == row.id)
    assert row.end_reason == "removed"


async def test_links_of_mails_ask_before_they_act(site: Site):
    _, slug = await (await site.member("ana")).create_event()
    visitor = site.visitor()
    await visitor.post(f"/e/{slug}/subscribe", email="bo@example.org")
    (row,) = await site.rows(Subscription)

    def token(purpose: Purpose) -> str:
        return make_token(
            site.runtime.settings.secret_key, purpose,
            event_id=row.event_id, user_id=row.user_id, epoch=0, issued_at=now_utc(),
        )  # fmt: skip

    manage, leave = token("manage"), token("unsubscribe")
    for path in (f"/manage/{manage}", f"/u/{leave}"):
        page = await visitor.get(path)
        assert page.status_code == 200
        assert "set-cookie" not in page.headers
        assert page.headers["referrer-policy"] == "no-referrer"
        assert "hx-boost" not in page.text
    saved = await visitor.follow(
        await visitor.post(f"/manage/{manage}/reminders", offset_seconds="3600")
    )
    assert "Your reminders are saved" in text_of(saved)
    (row,) = await site.rows(Subscription)
    assert row.reminder_offsets == [3600]
    assert row.ended_at is None
    for _ in range(2):
        assert (await visitor.post(f"/u/{leave}/confirmed")).status_code == 200
    (row,) = await site.rows(Subscription)
    assert row.ended_at
    assert "You are unsubscribed" in text_of(await visitor.get(f"/manage/{manage}"))
    for path in ("/u/nonsense", "/manage/nonsense"):
        assert (await visitor.get(path)).status_code == 410


async def test_a_link_of_somebody_who_left_does_not_name_a_private_event(site: Site):
    event_id, slug = await (ana := await site.member("ana")).create_event(name="Old name")
    visitor = site.visitor()
    await visitor.post(f"/e/{slug}/subscribe", email="bo@example.org")
    (row,) = await site.rows(Subscription)

    def link(prefix: str, purpose: Purpose) -> str:
        token = make_token(
            site.runtime.settings.secret_key, purpose,
            event_id=event_id, user_id=row.user_id, epoch=0, issued_at=now_utc(),
        )  # fmt: skip
        return f"/{prefix}/{token}"

    leave, manage = link("u", "unsubscribe"), link("manage", "manage")
    shown = await ana.client.patch(
        f"/api/events/{event_id}", json={"name": "Secret", "is_public": False}
    )
    assert shown.status_code == 200
    assert "Secret" in (await visitor.get(leave)).text
    await ana.post(f"/events/{event_id}/subscribers/{row.id}/remove")
    pages = [await visitor.get(leave), await visitor.get(manage)]
    pages += [await visitor.post(f"{leave}/confirmed"), await visitor.post(f"{manage}/leave")]
    assert [page.status_code for page in pages] == [200] * 4
    assert not any("Secret" in page.text for page in pages)


async def test_a_subscription_is_confirmed_with_one_click(site: Site):
    site.runtime.settings.anonymous_opt_in = "double"
    event_id, slug = await (ana := await site.member("ana")).create_event()
    visitor = site.visitor()
    asked = await visitor.follow(await visitor.post(f"/e/{slug}/subscribe", email="bo@example.org"))
    assert "the link in it confirms your subscription" in text_of(asked)
    (row,) = await site.rows(Subscription)
    async with site.runtime.db.write() as session:
        token = await tokens.issue(
            session, "confirm_subscription", row.user_id, subscription_id=row.id
        )
    for _ in range(2):  # scanners open every link
        page = await visitor.get(f"/confirm/{token}")
        assert page.status_code == 200
        assert "Confirm your subscription?" in text_of(page)
        assert f'action="/confirm/{token}"' in page.text
        assert "set-cookie" not in page.headers
        assert page.headers["referrer-policy"] == "no-referrer"
    assert "bo@example.org" not in (await ana.get(f"/events/{event_id}/subscribers")).text
    for _ in range(2):
        answer = await visitor.post(f"/confirm/{token}")
        assert answer.status_code == 200
        assert "You are subscribed" in text_of(answer)
    assert "You are subscribed" in text_of(await visitor.get(f"/confirm/{token}"))
    assert "bo@example.org" in (await ana.get(f"/events/{event_id}/subscribers")).text
    for answer in (await visitor.get("/confirm/none"), await visitor.post("/confirm/none")):
        assert answer.status_code == 410
    foreign = {"sec-fetch-site": "cross-site"}
    assert (await visitor.client.post(f"/confirm/{token}", headers=foreign)).status_code == 403


async def test_a_mail_program_unsubscribes_with_one_post(site: Site):
    _, slug = await (await site.member("ana")).create_event()
    await site.visitor().post(f"/e/{slug}/subscribe", email="bo@example.org")
    (row,) = await site.rows(Subscription)
    token = make_token(
        site.runtime.settings.secret_key, "unsubscribe",
        event_id=row.event_id, user_id=row.user_id, epoch=0, issued_at=now_utc(),
    )  # fmt: skip
    headers = {"sec-fetch-site": "cross-site"}
    answer = await site.visitor().client.post(f"/u/{token}", headers=headers)
    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers


async def test_channels_are_added_tested_switched_and_deleted(site: Site, http_sink: HttpSink):
    bo = await site.member("bo")
    wrong = await bo.post("/integrations/new/url", name="X", tag="t", apprise_url="nonsense")
    assert wrong.status_code == 422
    assert 'id="apprise_url-error"' in wrong.text
    added = await bo.follow(
        await bo.post(
            "/integrations/new/url", name="Hook", tag="Work", apprise_url=http_sink.apprise_url()
        )
    )
    assert "Your channel is ready" in text_of(added)
    (row,) = await site.rows(Integration)
    card = await bo.post(f"/integrations/{row.id}/test", htmx=True)
    assert "was accepted" in card.text
    assert "<html" not in card.text
    off = await bo.follow(await bo.post(f"/integrations/{row.id}/switch", is_active="0"))
    assert "Switch on" in text_of(off)
    await bo.follow(await bo.post(f"/integrations/{row.id}/delete"))
    assert "No channel yet" in text_of(await bo.get("/integrations"))


async def test_a_channel_is_made_from_its_services_own_form(site: Site, http_sink: HttpSink):
    bo = await site.member("bo")
    found = await bo.get("/integrations/new?query=webhook+json")
    assert 'href="/integrations/new/json"' in found.text
    assert 'href="/integrations/new/discord"' not in found.text
    assert (await bo.get("/integrations/new/nothing")).status_code == 404
    page = await bo.get("/integrations/new/json")
    assert 'name="f-host"' in page.text
    place = {"f-host": "127.0.0.1", "f-port": http_sink.port, "encrypted": "0"}
    named = {"name": "Hook", "tag": "work"}
    missing = await bo.post("/integrations/new/json", **named, **{"f-port": "99999"})
    assert missing.status_code == 422
    assert 'id="f-host-error"' in missing.text
    assert 'id="f-port-error"' in missing.text
    assert 'value="99999"' in missing.text
    tried = await bo.post("/integrations/new/json/test", **named, **place)
    assert "was accepted" in text_of(tried)
    assert f'value="{http_sink.port}"' in tried.text
    assert await site.rows(Integration) == []
    values = named | place | {"f-headers": "X-Key=abc"}
    added = await bo.follow(await bo.post("/integrations/new/json", **values))
    assert "Your channel is ready" in text_of(added)
    assert len(http_sink.requests) == 2
    assert http_sink.requests[-1].headers["x-key"] == "abc"
    (row,) = await site.rows(Integration)
    assert row.apprise_url == f"json://127.0.0.1:{http_sink.port}?%2BX-Key=abc"
    refused = await bo.post("/integrations/new/json", **named, **{"f-host": "169.254.169.254"})
    assert refused.status_code == 422
    assert "private or local" in text_of(refused)


async def test_a_channel_is_renamed_and_keeps_its_address(site: Site, http_sink: HttpSink):
    bo = await site.member("bo")
    url = http_sink.apprise_url()
    await bo.post("/integrations/new/url", name="Hook", tag="work", apprise_url=url)
    (row,) = await site.rows(Integration)
    page = await bo.get(f"/integrations/{row.id}/edit")
    assert url not in page.text
    empty = await bo.post(f"/integrations/{row.id}/edit", name="", tag="home")
    assert 'id="name-error"' in empty.text
    await bo.follow(await bo.post(f"/integrations/{row.id}/edit", name="Door bell", tag="home"))
    (row,) = await site.rows(Integration)
    assert (row.name, row.tag, row.apprise_url) == ("Door bell", "home", url)
    stranger = await site.member("eve")
    assert (await stranger.get(f"/integrations/{row.id}/edit")).status_code == 404


async def test_an_account_is_registered_verified_and_signed_in(site: Site):
    visitor = site.visitor()
    sent = await visitor.post("/register", email="eve@example.org", password="a long password")
    assert "Look at your mail" in text_of(sent)
    short = await visitor.post("/register", email="eve@example.org", password="short")
    assert short.status_code == 422
    assert 'id="password-error"' in short.text
    assert 'value="short"' not in short.text
    bad = await visitor.post("/login", email="eve@example.org", password="a long password")
    assert bad.status_code == 401
    assert "Address or password is wrong" in bad.text
    assert (await visitor.post("/verify", token="wrong")).status_code == 410


@pytest.mark.parametrize(
    "target", ["//evil.example", "https://evil.example", "/\\evil.example", ""]
)
async def test_next_never_leaves_this_site(site: Site, target: str):
    ana = await site.member("ana")
    answer = await ana.client.get(
        "/login", params={"next": target}, headers={"accept": "text/html"}
    )
    assert answer.headers["location"] == "/dashboard"
    answer = await ana.client.get(
        "/login", params={"next": "/e/x?a=1"}, headers={"accept": "text/html"}
    )
    assert answer.headers["location"] == "/e/x?a=1"


async def test_the_account_page_saves_the_profile_and_signs_out(site: Site):
    ana = await site.member("ana")
    saved = await ana.follow(await ana.post("/account", name="Ana O.", timezone="Europe/Madrid"))
    assert "Your profile is saved" in text_of(saved)
    assert (await site.user("ana")).timezone == "Europe/Madrid"
    wrong = await ana.post("/account", password="x")
    assert wrong.status_code == 422
    changed = await ana.follow(await ana.post("/account", password="a new long password"))
    assert "Your password is saved" in text_of(changed)
    gone = await ana.follow(await ana.post("/logout"))
    assert "You are signed out" in text_of(gone)
    assert (await ana.get("/dashboard")).headers["location"].startswith("/login")


async def test_the_dashboard_shows_ones_own_events_and_subscriptions(site: Site):
    ana, bo = await site.member("ana"), await site.member("bo")
    event_id, slug = await ana.create_event(name="Film night")
    await bo.post(f"/e/{slug}/channels")
    assert f'href="/events/{event_id}"' in (await ana.get("/dashboard")).text
    assert "Film night" in (await bo.get("/dashboard")).text


async def test_caught_mail_is_for_this_machine_only(site: Site):
    assert "No mail yet" in text_of(await site.visitor().get("/dev/mail"))
    proxied = await site.visitor().get("/dev/mail", **{"x-forwarded-for": "192.0.2.1"})
    assert proxied.status_code == 404
    rebound = await site.visitor().get("/dev/mail", host="rebound.example:8000")
    assert rebound.status_code == 404
    assert (await site.visitor().get("/dev/mail/../../etc/passwd")).status_code == 404
    assert (await site.visitor().get("/dev/mail/nothing.eml")).status_code == 404


@pytest.mark.parametrize(
    "path", ["/e/nothing", "/events/abc", "/events/99999999999999999999", "/x"]
)
async def test_what_is_not_there_is_a_page(site: Site, path: str):
    answer = await (await site.member("ana")).get(path)
    assert answer.status_code == 404
    assert "There is nothing here" in answer.text
