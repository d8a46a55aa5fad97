"""Every kind of mail as a mail program shows it: axe, width and nothing that is loaded.

With SCREENSHOTS=<folder> each is also written there as a picture. There are no pictures in our
mails, so that they look the same with images off: a request that one makes fails its test.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator

import pytest
from playwright.async_api import Browser, Route

from soonish.delivery.texts.compose import ACCOUNT_KINDS, EVENT_KINDS, compose
from soonish.delivery.texts.content import Content
from soonish.delivery.texts.mail import mail_document
from tests.browser.conftest import PHONE, Tab, open_tab
from tests.browser.measures import width_over
from tests.browser.pictures import picture
from tests.notifications.text_parts import content

pytestmark = pytest.mark.browser

BASE = "https://soonish.example"
EXTRA = {
    "url": f"{BASE}/verify?token=hq3Jc1v0mX2YtB7kPz9LwN4sD6fGaE8uR5oTiCyKxQ0",
    "event": "Rooftop cinema",
    "name": "Rooftop cinema",
    "organizer": "Ana Ortiz",
    "channel": "Film club",
    "email": "ana.new@example.org",
    "problem": "The service answered with status 404.",
    "event_id": "7",
}
WINDOW = {"width": 760, "height": 900}
# Of whole pages only: a mail is a table in somebody else's window.
NOT_OURS = {"region", "landmark-one-main"}


@pytest.fixture(scope="module")
async def mail_tab(browser: Browser) -> AsyncGenerator[Tab]:
    async with open_tab(browser, BASE) as tab:

        async def refuse(route: Route) -> None:
            tab.complaints.append(f"asked for {route.request.url}")
            await route.abort()

        await tab.page.route("**/*", refuse)
        yield tab


def _mail(kind: str, locale: str) -> str:
    of_event = kind in EVENT_KINDS
    made = content(kind, extra=EXTRA) if of_event else Content(kind, extra=EXTRA)
    _, html = mail_document(
        compose(made, locale),
        base_url=BASE,
        unsubscribe_slot=f"{BASE}/u/x" if of_event else None,
        manage_slot=f"{BASE}/manage/x" if of_event else None,
        locale=locale,
    )
    return html


@pytest.mark.parametrize("kind", [*EVENT_KINDS, *ACCOUNT_KINDS])
async def test_a_mail_in_light_and_dark(mail_tab: Tab, kind: str):
    tab, page = mail_tab, mail_tab.page
    tab.complaints.clear()
    for locale, scheme, size in (("en", "light", WINDOW), ("de", "dark", PHONE)):
        await page.emulate_media(color_scheme=scheme)
        await page.set_viewport_size(size)
        await page.set_content(_mail(kind, locale))
        await picture(page, f"mail-{kind}-{scheme}")
        assert [found for found in await tab.axe() if found.split(":")[0] not in NOT_OURS] == []
        await page.set_viewport_size({"width": 320, "height": 700})
        assert await width_over(page) <= 0
    assert tab.complaints == []
