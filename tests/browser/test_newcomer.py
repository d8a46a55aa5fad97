"""The whole way of newcomers in real browsers, against the real system as `soonish up` runs it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator
from datetime import UTC, datetime, timedelta

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import DESKTOP, PHONE, Tab, open_tab
from tests.browser.navigation import click_through
from tests.support.http_sink import HttpSink
from tests.support.system import SoonishSystem

pytestmark = pytest.mark.browser

LATER = (datetime.now(UTC) + timedelta(days=9)).strftime("%Y-%m-%dT%H:%M")
PASSWORD = "walnut tugboat parade"


@pytest.fixture(scope="module")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[SoonishSystem]:
    made = SoonishSystem(tmp_path_factory.mktemp("newcomer"), WORKERS="1")
    await asyncio.to_thread(made.start)
    yield made
    await asyncio.to_thread(made.stop)


class Newcomer:
    """Somebody at a browser who reads the mails to one address in the catcher."""

    def __init__(self, tab: Tab, system: SoonishSystem, name: str) -> None:
        self.tab, self.page, self.system = tab, tab.page, system
        self.name, self.address = name, f"{name.lower()}@example.org"

    async def click(self, label: str) -> None:
        await click_through(self.page.get_by_role("button", name=label, exact=True))

    async def sees(self, text: str) -> None:
        await expect(self.page.get_by_text(text).first).to_be_visible()

    async def open_mail(self, subject: str) -> None:
        """From the list of caught mails, once it has come."""
        await asyncio.to_thread(self.system.wait_for_mail, self.address, subject)
        await self.page.goto(f"/dev/mail?query={self.address}")
        await click_through(self.page.get_by_role("link", name=subject).first)
        await expect(self.page.get_by_role("heading", level=1)).to_contain_text(subject)

    async def follow(self, subject: str, path: str) -> None:
        """The link of that mail that leads to this path."""
        await self.open_mail(subject)
        await click_through(self.page.locator(f"pre a[href*='{path}']").first)
        await self.page.wait_for_url(re.compile(re.escape(path)))

    async def register(self) -> None:
        await self.page.goto("/register")
        await self.page.get_by_label("Name").fill(self.name)
        await self.page.get_by_label("Email address").fill(self.address)
        await self.page.get_by_label("Password").fill(PASSWORD)
        await self.click("Create account")
        await click_through(self.page.get_by_role("link", name="Open the mail catcher"))
        await self.follow("Confirm your email address", "/verify")
        await self.click("Sign in")
        await self.sees("Your address is verified and you are signed in.")

    async def create_event(self, name: str) -> str:
        """The link that the page says to share."""
        await click_through(self.page.get_by_role("link", name="New event").first)
        await self.page.get_by_label("Name", exact=True).fill(name)
        await self.page.get_by_label("Starts").fill(LATER)
        await self.click("Create event")
        await self.sees("Share this link")
        return await self.page.get_by_label("Link of the event page").input_value()

    async def write(self, title: str, body: str, people: str) -> None:
        await self.page.get_by_label("Title").fill(title)
        await self.page.get_by_role("textbox", name="Message").fill(body)
        await self.click("Check before sending")
        await self.click(f"Send to {people}")

    async def subscribe(self, link: str) -> None:
        await self.page.goto(link)
        await self.page.get_by_label("Your email address").fill(self.address)
        await self.click("Subscribe")
        await self.sees("That’s it")


async def test_the_whole_way(browser: Browser, system: SoonishSystem, http_sink: HttpSink):
    """Ana at her desk organizes; Bo on his phone subscribes and adds a channel."""
    async with (
        open_tab(browser, system.base_url, viewport=DESKTOP) as desk,
        open_tab(browser, system.base_url, viewport=PHONE, has_touch=True) as phone,
    ):
        ana, bo = Newcomer(desk, system, "Ana"), Newcomer(phone, system, "Bo")
        await ana.register()
        link = await ana.create_event("Rooftop cinema")

        await bo.subscribe(link)
        await bo.open_mail("You're subscribed to Rooftop cinema")
        await bo.register()
        await _add_webhook(bo, http_sink)
        await bo.page.goto(link)
        await bo.sees("You are subscribed")
        await bo.page.get_by_text("Change where you are told").click()
        await bo.page.get_by_label("Door bell").check()
        await bo.click("Save")
        await bo.sees("Saved. That is where you will be told.")

        await ana.page.reload()
        await ana.write("Rain plan", "We move **inside**.", "1 person")
        await ana.sees("1 arrived")
        (received,) = [one for one in http_sink.requests if b"Rain plan" in one.body]
        assert received.json()["title"] == "Rain plan"
        await bo.page.goto(link)
        await expect(bo.page.locator("ol strong", has_text="inside")).to_be_visible()


async def _add_webhook(bo: Newcomer, sink: HttpSink) -> None:
    page = bo.page
    await page.get_by_label("Menu").click()
    await click_through(page.get_by_role("link", name="Channels"))
    await click_through(page.get_by_role("link", name="Add a channel").first)
    await page.get_by_label("Find a service").fill("webhook")
    await click_through(page.get_by_role("link", name="Webhook (JSON)"))
    await page.get_by_label("Hostname").fill("127.0.0.1")
    await page.get_by_label("Port").fill(str(sink.port))
    await page.get_by_label("Connection").select_option("0")
    await page.get_by_label("Name", exact=True).fill("Door bell")
    await bo.click("Add and send a test")
    await bo.sees("Your channel is ready.")
    assert len(sink.requests) == 1


async def test_the_whole_way_without_javascript(browser: Browser, system: SoonishSystem):
    """View, subscribe, sign in, create, notify, unsubscribe."""
    plain = {"java_script_enabled": False}
    async with (
        open_tab(browser, system.base_url, viewport=DESKTOP, **plain) as desk,
        open_tab(browser, system.base_url, viewport=PHONE, **plain) as phone,
    ):
        cleo, dee = Newcomer(desk, system, "Cleo"), Newcomer(phone, system, "Dee")
        await cleo.register()
        link = await cleo.create_event("Book club")
        await dee.subscribe(link)

        await cleo.page.goto("/account")
        await cleo.click("Sign out here")
        await cleo.sees("You are signed out.")
        await cleo.page.goto("/login")
        await cleo.page.get_by_label("Email address").first.fill(cleo.address)
        await cleo.page.get_by_label("Password").fill(PASSWORD)
        await cleo.click("Sign in")
        await click_through(cleo.page.locator("a.display", has_text="Book club"))
        await cleo.write("Chapter three", "Read it *twice*.", "1 person")
        await cleo.sees("Your message is on its way.")

        await dee.follow("Chapter three", "/u/")
        await dee.click("Unsubscribe")
        await dee.sees("You are unsubscribed")
        assert await dee.page.context.cookies() == []
        await cleo.page.goto(link)
        await click_through(cleo.page.get_by_role("link", name="Organize"))
        await click_through(cleo.page.get_by_role("link", name="People"))
        await cleo.sees("Nobody yet")


async def test_a_magic_link_from_the_phone_signs_in(browser: Browser, system: SoonishSystem):
    """Somebody who only ever subscribed asks for a link, and finds the subscription."""
    async with open_tab(browser, system.base_url, viewport=PHONE) as tab:
        eve = Newcomer(tab, system, "Eve")
        await eve.register()
        await eve.page.goto("/account")
        await eve.click("Sign out here")
        await eve.sees("You are signed out.")
        await eve.page.goto("/login")
        await eve.page.locator("#magic-email").fill(eve.address)
        await eve.click("Mail me a link")
        await eve.follow("Your link to sign in", "/verify")
        await eve.click("Sign in")
        await expect(eve.page.get_by_role("heading", level=1)).to_contain_text("Eve")
