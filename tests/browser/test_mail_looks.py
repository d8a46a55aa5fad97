"""Every mail as a mail program shows it: on a phone, light and dark, with nothing loaded."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser

from soonish.notifications.mail_document import mail_document
from soonish.notifications.texts import ACCOUNT_KINDS, EVENT_KINDS, compose
from tests.browser.conftest import Tab
from tests.notifications.text_parts import content

SCREENSHOTS = os.environ.get("SCREENSHOTS")


def _html(kind: str, locale: str) -> str:
    slots = {"unsubscribe_slot": None, "manage_slot": None} if kind in ACCOUNT_KINDS else {}
    document = compose(content(kind), locale)
    return mail_document(document, base_url="https://soonish.example", locale=locale, **slots)[1]


@pytest.mark.parametrize("kind", [*EVENT_KINDS, *ACCOUNT_KINDS])
async def test_a_mail_on_a_phone(browser: Browser, kind: str):
    context = await browser.new_context(viewport={"width": 320, "height": 600})
    requests: list[str] = []
    try:
        tab = Tab(await context.new_page())
        tab.page.on("request", lambda request: requests.append(request.url))
        for locale, scheme in (("en", "light"), ("de", "dark")):
            await tab.page.emulate_media(color_scheme=scheme)
            await tab.page.set_content(_html(kind, locale))
            if SCREENSHOTS:
                name = f"mail-{kind}-{scheme}.png"
                await tab.page.screenshot(path=Path(SCREENSHOTS) / name, full_page=True)
            # A mail has no landmarks; everything else that axe knows holds for it, too.
            assert [
                found for found in await tab.axe() if not found.startswith(("region", "landmark"))
            ] == []
            assert await tab.width_over() <= 0
        assert requests == []
    finally:
        await context.close()
