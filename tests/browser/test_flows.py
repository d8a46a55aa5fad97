"""What people do, in a real browser against the real application, with and without JavaScript."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage

import pytest
from playwright.async_api import Browser, expect

from soonish.identity.signed_tokens import Purpose, make_token
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from soonish.local.caught_mail import mail_folder
from tests.browser.conftest import DESKTOP, PHONE, Tab, open_tab
from tests.browser.navigation import click_through
from tests.support.http_sink import HttpSink
from tests.web.site import Site

pytestmark = pytest.mark.browser

LATER = (datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M")


def _url(site: Site) -> str:
    return site.runtime.settings.base_url


async def _create_event(tab: Tab, name: str = "Rooftop cinema") -> None:
    await tab.page.goto("/new")
    await tab.page.get_by_label("Name", exact=True).fill(name)
    await tab.page.get_by_label("Starts").fill(LATER)
    await click_through(tab.page.get_by_role("button", name="Create event"))
    await expect(tab.page.get_by_role("heading", name="Share this link")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
async def test_an_organizer_and_a_subscriber(
    browser: Browser, served_site: Site, script: bool, size: dict[str, int]
):
    options = {"viewport": size, "java_script_enabled": script}
    async with open_tab(browser, _url(served_site), **options) as ana:
        await ana.sign_in(served_site, "ana")
        await _create_event(ana)
        (event,) = await served_site.rows(Event)

        async with open_tab(browser, _url(served_site), **options) as bo:
            await bo.page.goto("/")
            await click_through(bo.page.get_by_role("link", name="Rooftop cinema"))
            await bo.page.get_by_label("Your email address").fill("bo@example.org")
            await click_through(bo.page.get_by_role("button", name="Subscribe"))
            await expect(bo.page.get_by_text("Look at your mail")).to_be_visible()
        assert len(await served_site.rows(Subscription)) == 1

        await ana.page.goto(f"/events/{event.id}/subscribers")
        await expect(ana.page.get_by_text("bo@example.org", exact=True).first).to_be_visible()
        await click_through(ana.page.get_by_role("link", name="Message"))
        await ana.page.get_by_label("Title").fill("Rain plan")
        await ana.page.get_by_role("textbox", name="Message").fill("We move **inside**.")
        await click_through(ana.page.get_by_role("button", name="Check before sending"))
        await expect(ana.page.get_by_text("1 person over 1 kind of channel")).to_be_visible()
        await click_through(ana.page.get_by_role("button", name="Send to 1 person"))
        await expect(ana.page.get_by_text("Your message is on its way.")).to_be_visible()
        await expect(ana.page.get_by_role("heading", name="Rain plan")).to_be_visible()
        await click_through(ana.page.get_by_role("link", name="Settings"))
        await click_through(ana.page.get_by_role("link", name="Cancel event"))
        await click_through(ana.page.get_by_role("button", name="Cancel the event"))
        await expect(ana.page.get_by_text("The event is cancelled.")).to_be_visible()


async def test_subscribing_with_the_keyboard_alone(browser: Browser, served_site: Site):
    ana = await served_site.member("ana")
    _, slug = await ana.create_event()
    async with open_tab(browser, _url(served_site), viewport=DESKTOP) as tab:
        await tab.page.goto(f"/e/{slug}")
        for _ in range(20):
            await tab.page.keyboard.press("Tab")
            if await tab.page.evaluate("document.activeElement.id") == "email":
                break
        await tab.page.keyboard.type("nobody")
        await tab.page.keyboard.press("Enter")
        # The browser itself refuses the address; corrected, the same key sends it.
        await tab.page.keyboard.type("@example.org")
        await tab.page.keyboard.press("Enter")
        await expect(tab.page.get_by_text("Look at your mail")).to_be_visible()
        assert await tab.axe() == []
    assert len(await served_site.rows(Subscription)) == 1


async def test_a_mistake_is_shown_in_place_and_corrected(browser: Browser, served_site: Site):
    ana = await served_site.member("ana")
    _, slug = await ana.create_event()
    async with open_tab(browser, _url(served_site), viewport=PHONE) as tab:
        await tab.page.goto(f"/e/{slug}")
        field = tab.page.get_by_label("Your email address")
        await field.fill("somebody@nowhere")
        await click_through(tab.page.get_by_role("button", name="Subscribe"))
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(field).to_have_value("somebody@nowhere")
        assert await tab.axe() == []
        await field.fill("somebody@example.org")
        await click_through(tab.page.get_by_role("button", name="Subscribe"))
        await expect(tab.page.get_by_text("Look at your mail")).to_be_visible()


async def test_a_double_click_sends_once(browser: Browser, served_site: Site):
    bo = served_site.visitor()
    async with open_tab(browser, _url(served_site), viewport=DESKTOP) as tab:
        await tab.sign_in(served_site, "ana")
        await tab.page.goto("/new")
        await tab.page.get_by_label("Name", exact=True).fill("Once")
        await tab.page.get_by_label("Starts").fill(LATER)
        await click_through(tab.page.get_by_role("button", name="Create event"), times=2)
        await expect(tab.page.get_by_role("heading", name="Share this link")).to_be_visible()
        (event,) = await served_site.rows(Event)
        await bo.post(f"/e/{event.slug}/subscribe", email="bo@example.org")
        await tab.page.get_by_label("Title").fill("Hello")
        await tab.page.get_by_role("textbox", name="Message").fill("Everybody")
        await click_through(tab.page.get_by_role("button", name="Check before sending"))
        await click_through(tab.page.get_by_role("button", name="Send to 1 person"), times=2)
        await expect(tab.page.get_by_role("heading", name="Hello")).to_be_visible()
    assert len(await served_site.rows(Event)) == 1
    assert len(await served_site.rows(Notification)) == 1


async def test_the_timezone_comes_from_the_browser(browser: Browser, served_site: Site):
    async with open_tab(browser, _url(served_site), timezone_id="America/New_York") as tab:
        await tab.sign_in(served_site, "ana")
        await _create_event(tab)
        await click_through(tab.page.get_by_role("link", name="See the page"))
        await expect(tab.page.get_by_text("(America/New York)")).to_be_visible()
        await expect(tab.page.get_by_text("for you")).to_be_hidden()
    (event,) = await served_site.rows(Event)
    assert event.timezone == "America/New_York"
    async with open_tab(browser, _url(served_site), timezone_id="Asia/Tokyo") as tab:
        await tab.page.goto(f"/e/{event.slug}")
        await expect(tab.page.get_by_text("for you")).to_be_visible()


async def test_a_channel_is_added_and_tested_in_place(
    browser: Browser, served_site: Site, http_sink: HttpSink
):
    async with open_tab(browser, _url(served_site), viewport=PHONE) as tab:
        await tab.sign_in(served_site, "bo")
        await tab.page.goto("/integrations")
        await click_through(tab.page.get_by_role("link", name="Add a channel"))
        await tab.page.get_by_label("Find a service").fill("json")
        await expect(tab.page.get_by_role("link", name="Discord")).to_be_hidden()
        await click_through(tab.page.get_by_role("link", name="Webhook (JSON)"))
        await tab.page.get_by_label("Hostname").fill("127.0.0.1")
        await tab.page.get_by_label("Port").fill(str(http_sink.port))
        await tab.page.get_by_label("Connection").select_option("0")
        await tab.page.get_by_role("button", name="Only send a test").click()
        await expect(tab.page.get_by_text("The test message was accepted")).to_be_visible()
        assert await tab.axe() == []
        await tab.page.get_by_label("Name", exact=True).fill("Hook")
        await click_through(tab.page.get_by_role("button", name="Add and send a test"))
        await expect(tab.page.get_by_text("Your channel is ready.")).to_be_visible()
        await click_through(tab.page.get_by_role("button", name="Send a test", exact=True))
        await expect(tab.page.get_by_text("The test message was accepted")).to_be_visible()
        await click_through(tab.page.get_by_role("button", name="Switch off"))
        await expect(tab.page.get_by_role("button", name="Switch on")).to_be_visible()
        assert await tab.axe() == []


async def test_a_lost_connection_is_said_and_taken_back(browser: Browser, served_site: Site):
    ana = await served_site.member("ana")
    _, slug = await ana.create_event()
    async with open_tab(browser, _url(served_site), viewport=PHONE) as tab:
        await tab.page.goto(f"/e/{slug}")
        await tab.page.get_by_label("Your email address").fill("bo@example.org")
        await tab.page.context.set_offline(True)
        await tab.page.get_by_role("button", name="Subscribe").click()
        await expect(tab.page.get_by_text("Nothing was sent")).to_be_visible()
        await tab.page.context.set_offline(False)
        tab.complaints.clear()  # the failed request itself
        await click_through(tab.page.get_by_role("button", name="Subscribe"))
        await expect(tab.page.get_by_text("Look at your mail")).to_be_visible()
        await expect(tab.page.get_by_text("Nothing was sent")).to_be_hidden()


async def test_search_narrows_while_typing_and_back_works(browser: Browser, served_site: Site):
    ana = await served_site.member("ana")
    for name in ("Film night", "Book club"):
        await ana.create_event(name=name)
    async with open_tab(browser, _url(served_site), viewport=DESKTOP) as tab:
        await tab.page.goto("/")
        await tab.page.get_by_label("Search events").fill("film")
        await expect(tab.page.get_by_role("link", name="Book club")).to_be_hidden()
        await click_through(tab.page.get_by_role("link", name="Film night"))
        await expect(tab.page.get_by_role("heading", level=1)).to_have_text("Film night")
        await expect(tab.page.get_by_role("heading", level=1)).to_be_focused()
        await tab.page.go_back()
        await expect(tab.page.get_by_label("Search events")).to_have_value("film")


async def test_links_of_mails(browser: Browser, served_site: Site):
    ana = await served_site.member("ana")
    _, slug = await ana.create_event()
    await served_site.visitor().post(f"/e/{slug}/subscribe", email="bo@example.org")
    (row,) = await served_site.rows(Subscription)
    key = served_site.runtime.settings.secret_key

    def token(purpose: Purpose) -> str:
        return make_token(
            key, purpose, event_id=row.event_id, user_id=row.user_id, epoch=0, issued_at=utc_now()
        )

    async with open_tab(browser, _url(served_site), viewport=PHONE) as tab:
        await tab.page.goto(f"/manage/{token('manage')}")
        await click_through(tab.page.get_by_role("button", name="Save reminders"))
        await expect(tab.page.get_by_text("Your reminders are saved.")).to_be_visible()
        await tab.page.goto(f"/u/{token('unsubscribe')}")
        await click_through(tab.page.get_by_role("button", name="Unsubscribe"))
        await expect(tab.page.get_by_role("heading", name="You are unsubscribed")).to_be_visible()
        assert await tab.page.context.cookies() == []
    (row,) = await served_site.rows(Subscription)
    assert row.ended_at


async def test_the_api_describes_itself_without_foreign_requests(
    browser: Browser, served_site: Site
):
    async with open_tab(browser, _url(served_site), viewport=DESKTOP) as tab:
        hosts: set[str] = set()
        tab.page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
        await tab.page.goto("/api/docs")
        await expect(tab.page.get_by_text("/api/events", exact=True).first).to_be_visible()
        assert hosts == {_url(served_site).removeprefix("http://")}


async def test_a_caught_mail_is_shown_in_its_frame(browser: Browser, served_site: Site):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "a@example.org", "b@example.org", "A caught mail"
    mail.set_content("The plain part")
    mail.add_alternative('<p style="color: red">The HTML part</p>', subtype="html")
    folder = mail_folder(served_site.runtime.settings.soonish_home)
    folder.mkdir(parents=True)
    (folder / "20260101T000000000000Z-0123abcd.eml").write_bytes(bytes(mail))
    async with open_tab(browser, _url(served_site), viewport=DESKTOP) as tab:
        await tab.page.goto("/dev/mail")
        await click_through(tab.page.get_by_role("link", name="A caught mail"))
        frame = tab.page.frame_locator("iframe")
        await expect(frame.get_by_text("The HTML part")).to_be_visible()
        await expect(frame.get_by_text("The HTML part")).to_have_css("color", "rgb(255, 0, 0)")
        assert await tab.axe() == []
