"""The form of a service in a real browser: a test loses nothing that was typed."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from soonish.infra.db.models.integrations import Integration
from tests.browser.conftest import open_tab
from tests.browser.navigation import click_through
from tests.support.http_sink import HttpSink
from tests.web.site import Site

pytestmark = pytest.mark.browser


@pytest.mark.parametrize("script", [True, False], ids=["script", "plain"])
async def test_a_password_survives_a_test_or_is_asked_for_again(
    browser: Browser, served_site: Site, http_sink: HttpSink, script: bool
):
    url = served_site.runtime.settings.base_url
    async with open_tab(browser, url, java_script_enabled=script) as tab:
        await tab.sign_in(served_site, "ana")
        page = tab.page
        await page.goto("/integrations/new/json")
        password = page.get_by_label("Password")
        await page.get_by_label("Username").fill("ana")
        await password.fill("correct horse")
        test = page.get_by_role("button", name="Only send a test")

        async def send_test() -> None:
            """Without JavaScript the answer is a page."""
            await (test.click() if script else click_through(test))

        await send_test()
        await expect(page.locator("#f-host-error" if not script else "#tested a")).to_be_visible()
        if not script:
            await password.fill("correct horse")
        await page.get_by_label("Hostname").fill(f"http://127.0.0.1:{http_sink.port}/hook")
        await send_test()
        await expect(page.locator("#tested")).to_contain_text("was accepted")
        if not script:
            await click_through(page.get_by_role("button", name="Add and send a test"))
            await expect(page.locator("#f-password-error")).to_contain_text("enter this again")
            await password.fill("correct horse")
        await click_through(page.get_by_role("button", name="Add and send a test"))
        await expect(page.get_by_text("Your channel is ready")).to_be_visible()
        (row,) = await served_site.rows(Integration)
        assert row.apprise_url == f"json://ana:correct%20horse@127.0.0.1:{http_sink.port}/hook"
        assert tab.complaints == []
        await page.goto("/integrations/new/json/test")
        assert page.url == f"{url}/integrations/new/json"
