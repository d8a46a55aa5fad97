"""Pages and mails speak their reader's language: the profile's, else the browser's."""

from __future__ import annotations

import pytest

from soonish.identity.users import find_by_address
from soonish.infra.db.models.accounts import User
from tests.web.site import Site, local_in, text_of

pytestmark = pytest.mark.usefixtures("database")
GERMAN = {"accept-language": "de-DE,de;q=0.9,en;q=0.3"}


async def test_the_browser_chooses(site: Site):
    visitor = site.visitor()
    german = await visitor.get("/", **GERMAN)
    assert '<html lang="de"' in german.text
    assert "Kommende Veranstaltungen" in german.text
    assert "accept-language" in german.headers["vary"].lower()
    english = await visitor.get("/", **{"accept-language": "fr"})
    assert '<html lang="en"' in english.text
    assert "Hier ist nichts" in (await visitor.get("/e/nothing", **GERMAN)).text


async def test_the_profile_goes_before_the_browser(site: Site):
    ana = await site.member("ana")
    assert (await ana.client.patch("/api/users/me", json={"locale": "de-AT"})).status_code == 200
    assert '<html lang="de"' in (await ana.get("/", **{"accept-language": "en"})).text
    assert '<html lang="de"' in (await ana.get("/e/nothing", **{"accept-language": "en"})).text


async def test_errors_beside_fields_are_translated_and_the_api_stays_english(site: Site):
    ana = await site.member("ana")
    ana.client.headers.update(GERMAN)
    page = await ana.post("/new", name="x" * 300, start_date=local_in(days=-3), timezone="UTC")
    assert "Bitte höchstens 200 Zeichen." in page.text
    late = await ana.post("/new", name="x", start_date=local_in(days=-3), timezone="UTC")
    assert "Muss in der Zukunft liegen." in late.text
    event = {"name": "x", "start_date": "2020-01-01T10:00:00Z"}
    answer = await ana.client.post("/api/events", json=event)
    assert answer.json()["errors"] == [{"field": "start_date", "message": "must lie in the future"}]


async def _locale(site: Site, address: str) -> str | None:
    async with site.runtime.db.read() as session:
        user = await find_by_address(session, address)
    assert user
    return user.locale


async def test_a_subscriber_is_told_in_the_language_of_the_first_browser(site: Site):
    event_id, slug = await (await site.member("ana")).create_event()
    stranger = site.visitor()
    headers = {"accept": "text/html", "sec-fetch-site": "same-origin"}
    path = f"/e/{slug}/subscribe"
    await stranger.client.post(path, data={"email": "bo@example.org"}, headers=headers | GERMAN)
    assert await _locale(site, "bo@example.org") == "de"
    again = headers | {"accept-language": "en"}
    await stranger.client.post(path, data={"email": "bo@example.org"}, headers=again)
    assert await _locale(site, "bo@example.org") == "de"
    api = f"/api/events/{event_id}/subscribe"
    await stranger.client.post(api, json={"email": "dee@example.org"}, headers=GERMAN)
    assert await _locale(site, "dee@example.org") == "de"


async def test_nobody_chooses_the_language_of_somebody_elses_account(site: Site):
    ana = await site.member("ana")
    _, slug = await ana.create_event()
    await site.visitor().client.post(
        f"/e/{slug}/subscribe", data={"email": "ana@example.org"}, headers=GERMAN
    )
    (account,) = await site.rows(User, User.is_verified.is_(True))
    assert account.locale is None


async def test_registering_is_answered_in_the_same_language(site: Site):
    page = await site.visitor().client.post(
        "/api/auth/register", json={"email": "eve@example.org"}, headers=GERMAN
    )
    assert page.status_code == 202
    assert await _locale(site, "eve@example.org") == "de"


async def test_what_a_page_says_is_never_taken_for_markup(site: Site):
    _, slug = await (await site.member("ana")).create_event(name="<b>100%</b> (s)")
    page = await site.visitor().get(f"/e/{slug}", **GERMAN)
    assert "&lt;b&gt;100%&lt;/b&gt; (s)" in page.text
    assert "100%" in text_of(page)
