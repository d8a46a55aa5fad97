"""What strangers and subscribers do on the public pages, in a real browser."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import DESKTOP, PHONE, Tab, open_tab
from tests.browser.navigation import click_through
from tests.web.site import Site

pytestmark = pytest.mark.browser


def _url(site: Site) -> str:
    return site.runtime.settings.base_url


async def _channel(site: Site, tab: Tab) -> None:
    member = await site.member("bo")
    channel = {"name": "Phone", "tag": "urgent", "apprise_url": "ntfy://ntfy.sh/bo"}
    made = await member.client.post("/api/integrations", json=channel | {"verify": False})
    assert made.status_code == 201
    await tab.sign_in(site, "bo")


async def test_where_one_will_be_told_follows_what_is_ticked(browser: Browser, served_site: Site):
    _, slug = await (await served_site.member("ana")).create_event()
    async with open_tab(browser, _url(served_site), viewport=PHONE) as tab:
        await _channel(served_site, tab)
        await tab.page.goto(f"/e/{slug}")
        told = tab.page.locator("#targets")
        await expect(told).to_contain_text("bo@example.org")
        await tab.page.get_by_role("checkbox", name="Phone").check()
        await expect(told).to_contain_text("Phone (ntfy)")
        await expect(told).not_to_contain_text("bo@example.org")
        assert await tab.axe() == []
        await click_through(tab.page.get_by_role("button", name="Subscribe"))
        await expect(tab.page.get_by_role("heading", name="You are subscribed")).to_be_visible()
        await expect(tab.page.locator("#targets")).to_contain_text("Phone (ntfy)")
        await tab.page.get_by_text("Reminders", exact=True).click()
        await click_through(tab.page.get_by_role("button", name="3 hours"))
        await expect(tab.page.get_by_text("You will be reminded.")).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
async def test_a_german_browser_gets_german_pages(
    browser: Browser, served_site: Site, script: bool
):
    _, slug = await (await served_site.member("ana")).create_event(timezone="Asia/Tokyo")
    options = {"viewport": PHONE, "locale": "de-DE", "java_script_enabled": script}
    async with open_tab(browser, _url(served_site), timezone_id="Europe/Berlin", **options) as tab:
        await tab.page.goto(f"/e/{slug}")
        await tab.page.get_by_label("Deine E-Mail-Adresse").fill("bo@example.org")
        await click_through(tab.page.get_by_role("button", name="Abonnieren"))
        await expect(tab.page.get_by_role("heading", name="Fertig")).to_be_visible()
        await expect(tab.page.get_by_text("bo@example.org")).to_be_visible()
        if script:
            await expect(tab.page.get_by_text("bei dir", exact=False).first).to_be_visible()


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
async def test_filters_narrow_the_list_and_stand_in_the_address(
    browser: Browser, served_site: Site, script: bool
):
    ana = await served_site.member("ana")
    await ana.create_event(name="Film night", category="Film")
    await ana.create_event(name="Morning run", category="Sports")
    options = {"viewport": DESKTOP, "java_script_enabled": script}
    async with open_tab(browser, _url(served_site), **options) as tab:
        await tab.page.goto("/")
        await tab.page.get_by_text("Filters").click()
        await tab.page.get_by_role("radio", name="Sports").check()
        if not script:
            await click_through(tab.page.get_by_role("button", name="Apply"))
        await expect(tab.page.get_by_role("link", name="Film night")).to_be_hidden()
        await expect(tab.page.get_by_role("link", name="Morning run")).to_be_visible()
        assert "category=Sports" in tab.page.url
        if script:
            assert await tab.axe() == []
            await tab.page.reload()
            await expect(tab.page.get_by_role("radio", name="Sports")).to_be_checked()


async def test_share_copies_the_link_where_there_is_no_sheet(browser: Browser, served_site: Site):
    _, slug = await (await served_site.member("ana")).create_event()
    async with open_tab(
        browser, _url(served_site), viewport=DESKTOP, permissions=["clipboard-write"]
    ) as tab:
        await tab.page.add_init_script("delete Navigator.prototype.share")
        await tab.page.goto(f"/e/{slug}")
        await tab.page.get_by_role("button", name="Share").click()
        await expect(tab.page.locator("#notices")).to_contain_text("Link copied.")


async def test_the_printed_page_has_the_code_and_no_buttons(browser: Browser, served_site: Site):
    _, slug = await (await served_site.member("ana")).create_event()
    async with open_tab(browser, _url(served_site), viewport=DESKTOP) as tab:
        await tab.page.goto(f"/e/{slug}")
        await expect(tab.page.locator("svg.qr")).to_be_hidden()
        await tab.page.emulate_media(media="print")
        await expect(tab.page.locator("svg.qr")).to_be_visible()
        await expect(tab.page.get_by_role("button", name="Subscribe")).to_be_hidden()


async def test_older_updates_are_put_below_the_others(browser: Browser, served_site: Site):
    ana = await served_site.member("ana")
    event_id, slug = await ana.create_event()
    for number in range(7):
        await ana.client.patch(f"/api/events/{event_id}", json={"location": f"Place {number}"})
    async with open_tab(browser, _url(served_site), viewport=PHONE) as tab:
        await tab.page.goto(f"/e/{slug}")
        await tab.page.get_by_role("link", name="Older updates").click()
        await expect(tab.page.get_by_text("Place 0").last).to_be_visible()
        await expect(tab.page.get_by_text("Place 6").first).to_be_visible()
        assert tab.page.url.endswith(f"/e/{slug}")
        assert await tab.axe() == []
