"""The function with which tests click: it returns on the new page, however slowly that comes."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser, Route

from tests.browser.conftest import DESKTOP, open_tab
from tests.browser.navigation import click_through
from tests.web.site import Site

pytestmark = pytest.mark.browser


async def _late(route: Route) -> None:
    """Answer like a server that has much to do."""
    await asyncio.sleep(0.7)
    await route.continue_()


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
async def test_a_click_is_over_when_the_new_page_is_there(
    browser: Browser, served_site: Site, script: bool
):
    options = {"viewport": DESKTOP, "java_script_enabled": script}
    async with open_tab(browser, served_site.runtime.settings.base_url, **options) as tab:
        await tab.sign_in(served_site, "ana")
        await tab.page.goto("/dashboard")
        await tab.page.route("**/integrations", _late)
        await click_through(tab.page.get_by_role("link", name="Channels"))
        assert tab.page.url.endswith("/integrations")
        assert await tab.page.get_by_role("heading", name="Your channels").count() == 1


async def test_a_click_is_over_when_a_part_is_replaced(browser: Browser, served_site: Site):
    event_id, _ = await (await served_site.member("ana")).create_event()
    async with open_tab(browser, served_site.runtime.settings.base_url, viewport=DESKTOP) as tab:
        await tab.sign_in(served_site, "ana")
        await tab.page.goto(f"/events/{event_id}/edit")
        await tab.page.get_by_label("Name", exact=True).fill("Feast")
        await tab.page.route(f"**/events/{event_id}/edit", _late)
        await click_through(tab.page.get_by_role("button", name="Check the changes"))
        assert await tab.page.get_by_role("button", name="Save", exact=True).count() == 1
