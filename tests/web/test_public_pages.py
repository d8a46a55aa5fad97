"""What belongs to an event's link: calendar file, preview picture, QR code, update log."""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from urllib.parse import quote

import pytest
from icalendar import Calendar
from PIL import Image

from soonish.identity.signed_tokens import make_token
from soonish.infra.db.models.notifications import Notification
from soonish.web.rendering.formats import now_utc
from soonish.web.rendering.pictures import Preview, preview_png
from tests.web.site import Site, Visitor, text_of

pytestmark = pytest.mark.usefixtures("database")


async def _calendar(visitor: Visitor, path: str) -> Calendar:
    answer = await visitor.get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    return Calendar.from_ical(answer.content)


async def test_a_calendar_replaces_what_it_has_and_learns_of_the_cancellation(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event(
        name="Picnic, maybe; \\ rain",
        start_date="2031-07-01T18:00",
        end_date="2031-07-01T20:30",
        timezone="Europe/Berlin",
        location="Park",
        contact="ana@example.org",
        description="**Bring** it",
    )
    stranger = site.visitor()
    calendar = await _calendar(stranger, f"/e/{slug}.ics")
    assert [zone["TZID"] for zone in calendar.walk("VTIMEZONE")] == ["Europe/Berlin"]
    (first,) = calendar.walk("VEVENT")
    assert first["SUMMARY"] == "Picnic, maybe; \\ rain"
    assert first["DTSTART"].dt.astimezone(UTC) == datetime(2031, 7, 1, 16, tzinfo=UTC)
    assert first["DTSTART"].params["TZID"] == "Europe/Berlin"
    assert (first["SEQUENCE"], first["STATUS"]) == (0, "CONFIRMED")
    assert "Bring it" in first["DESCRIPTION"]
    patch = {"location": "Lake"}
    assert (await ana.client.patch(f"/api/events/{event_id}", json=patch)).status_code == 200
    await ana.post(f"/events/{event_id}/notify", title="Hello", body="All", idempotency_key="k")
    (second,) = (await _calendar(stranger, f"/e/{slug}.ics")).walk("VEVENT")
    assert (second["UID"], second["SEQUENCE"], second["LOCATION"]) == (first["UID"], 1, "Lake")
    await ana.post(f"/events/{event_id}/cancel")
    (last,) = (await _calendar(stranger, f"/e/{slug}.ics")).walk("VEVENT")
    assert (last["UID"], last["SEQUENCE"], last["STATUS"]) == (first["UID"], 2, "CANCELLED")


async def test_a_private_event_shows_nothing_to_a_stranger(site: Site):
    ana = await site.member("ana")
    _, slug = await ana.create_event(name="Surprise", is_public="0")
    stranger = site.visitor()
    for path in (f"/e/{slug}", f"/e/{slug}.ics", f"/e/{slug}/qr.svg", f"/e/{slug}/updates"):
        hidden, missing = await stranger.get(path), await stranger.get(path.replace(slug, "none"))
        assert hidden.status_code == missing.status_code == 404
        assert "Surprise" not in hidden.text
        assert (await ana.get(path)).status_code == 200
    page = text_of(await stranger.get(f"/e/{slug}"))
    assert "No event to see here" in page
    assert "Sign in" in page
    private = await stranger.get(f"/e/{slug}/og.png")
    assert private.content == (await stranger.get("/e/none/og.png")).content
    assert private.content == (await ana.get(f"/e/{slug}/og.png")).content


async def test_the_preview_is_a_picture_of_the_right_size(site: Site):
    _, slug = await (await site.member("ana")).create_event(name="Фильм 🎬 映画")
    answer = await site.visitor().get(f"/e/{slug}/og.png")
    assert answer.headers["cache-control"] == "public, max-age=3600"
    picture = Image.open(BytesIO(answer.content))
    assert (picture.format, picture.size) == ("PNG", (1200, 630))
    assert len(answer.content) < 60_000
    page = await site.visitor().get(f"/e/{slug}")
    assert (
        f'<meta property="og:image" content="{site.runtime.settings.base_url}/e/{slug}/og.png?'
        in (page.text)
    )


@pytest.mark.parametrize("name", ["", " ", "x" * 200, "映画" * 50, "\u202e\u0301", "a b " * 60])
def test_any_name_makes_a_picture(name: str):
    assert preview_png(Preview(name, ("Monday", "\U0001f600" * 40), 5)).startswith(b"\x89PNG")


async def test_the_qr_code_is_a_file_and_stands_in_the_printed_page(site: Site):
    _, slug = await (await site.member("ana")).create_event()
    code = await site.visitor().get(f"/e/{slug}/qr.svg")
    assert code.headers["content-type"] == "image/svg+xml"
    assert f"/e/{slug}" in code.text
    assert 'class="qr"' in (await site.visitor().get(f"/e/{slug}")).text


async def test_only_what_strangers_can_open_is_to_be_shared(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event()
    _, private = await ana.create_event(is_public="0")
    shared = await ana.get(f"/e/{slug}")
    await ana.post(f"/events/{event_id}/cancel")
    for page in (await ana.get(f"/e/{private}"), await ana.get(f"/e/{slug}")):
        for sign in ("Tell others", "qr.svg", "data-share", 'class="qr"'):
            assert sign in shared.text
            assert sign not in page.text


async def test_a_long_log_is_paged_and_in_the_readers_language(site: Site):
    ana = await site.member("ana")
    event_id, slug = await ana.create_event()
    for number in range(7):
        patch = {"location": f"Place {number}"}
        await ana.client.patch(f"/api/events/{event_id}", json=patch)
    page = await site.visitor().get(f"/e/{slug}")
    assert "Place 6" in page.text
    assert "Place 0" not in page.text
    older = page.text.split("/updates?cursor=")[1].split('"')[0]
    whole = await site.visitor().get(f"/e/{slug}/updates?cursor={older}")
    assert "<html" in whole.text
    assert "Place 0" in whole.text
    part = await site.visitor().get(
        f"/e/{slug}/updates?cursor={older}", **{"hx-request": "true", "accept-language": "de"}
    )
    assert "<html" not in part.text
    assert "Ort:" in part.text


async def test_where_one_is_told_is_said_before_and_after_saving(site: Site):
    ana = await site.member("ana")
    _, slug = await (await site.member("org")).create_event()
    for name, tag in (("Phone", "urgent"), ("Desk", "work")):
        await ana.client.post(
            "/api/integrations",
            json={
                "name": name,
                "tag": tag,
                "apprise_url": f"ntfy://ntfy.sh/{name}",
                "verify": False,
            },
        )
    listed = (await ana.client.get("/api/integrations")).json()["items"]
    phone = next(one["id"] for one in listed if one["name"] == "Phone")
    path = f"/e/{slug}/targets"
    assert "ana@example.org" in text_of(await ana.get(path))
    both = text_of(await ana.get(f"{path}?integration_ids={phone}&tags=work"))
    assert "Phone (ntfy)" in both
    assert "Desk (ntfy)" in both
    assert "ana@example.org" not in both
    await ana.client.patch(f"/api/integrations/{phone}", json={"is_active": False})
    assert "Phone: switched off" in text_of(await ana.get(f"{path}?integration_ids={phone}"))
    page = await ana.follow(await ana.post(f"/e/{slug}/channels", tags="work"))
    assert "You will be told at Desk (ntfy)" in text_of(page)


async def test_the_address_that_was_entered_is_said_once(site: Site):
    _, slug = await (await site.member("ana")).create_event()
    bo = site.visitor()
    done = await bo.follow(await bo.post(f"/e/{slug}/subscribe", email="bo+x@example.org"))
    assert "You will be told at bo+x@example.org" in text_of(done)
    again = await bo.get(f"/e/{slug}?done=1")
    assert "bo+x@example.org" not in again.text


async def _manage_path(site: Site, event_id: int) -> str:
    user = await site.user("bo")
    token = make_token(
        site.runtime.settings.secret_key, "manage", event_id=event_id, user_id=user.id,
        epoch=user.token_epoch, issued_at=now_utc(),
    )  # fmt: skip
    return f"/manage/{quote(token)}"


async def test_a_manage_link_gives_the_calendar_and_asks_for_the_rest_by_mail(site: Site):
    event_id, slug = await (await site.member("ana")).create_event()
    bo = site.visitor()
    await bo.post(f"/e/{slug}/subscribe", email="bo@example.org")
    path = await _manage_path(site, event_id)
    assert (await _calendar(bo, f"{path}/calendar.ics")).walk("VEVENT")
    said = await bo.follow(await bo.post(f"{path}/all"))
    assert "Look at your mail" in text_of(said)
    assert [one.kind for one in await site.rows(Notification)] == ["magic_link"]
    await bo.post(f"{path}/leave")
    assert (await bo.get(f"{path}/calendar.ics")).status_code == 404


async def test_the_component_page_is_there_in_development_only(site: Site):
    page = await site.visitor().get("/dev/components")
    assert page.status_code == 200
    assert "Every macro" in page.text
