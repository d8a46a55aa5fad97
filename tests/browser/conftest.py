"""Debian's Chromium, and pages that fail a test for a CSP violation or a console error."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from playwright.async_api import Browser, Page, Response, async_playwright, expect

from soonish.web.cookies import SESSION
from tests.browser.serving import serve
from tests.support.ports import free_port
from tests.support.settings import make_settings
from tests.web.site import Site

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
PHONE = {"width": 375, "height": 812}
DESKTOP = {"width": 1280, "height": 900}
# Chromium reports every answer over 399, also a form that comes back with its errors, and, like
# HTMX, a request that was given up for the next. `Tab._answered` tells a mistake of the page from
# those, and HTMX the reason of every afterRequest in its own line: sendError, timeout are heard.
NO_COMPLAINTS = (
    *("responded with a status of", "net::ERR_ABORTED"),
    *("htmx:sendAbort", "htmx:afterRequest"),
)
SECONDS = 60  # that an expectation waits: what takes two alone takes thirty beside other work
AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"

expect.set_options(timeout=SECONDS * 1000)


@pytest.fixture(scope="session")
async def browser() -> AsyncGenerator[Browser]:
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield made
        await made.close()


@pytest.fixture
async def served_site(migrated_sqlite: Path, tmp_path: Path) -> AsyncGenerator[Site]:
    """The whole application over real HTTP, without Temporal: what it accepts waits."""
    shutil.copy(migrated_sqlite, tmp_path / "soonish.db")
    port = free_port()
    settings = make_settings(
        tmp_path,
        base_url=f"http://127.0.0.1:{port}",
        temporal_url=f"127.0.0.1:{free_port()}",
        egress_allowed_networks=["127.0.0.0/8"],
    )
    site = Site(settings)
    config = uvicorn.Config(site.app, log_level="warning", lifespan="off")
    async with serve(config, port):
        yield site
    await site.close()


class Tab:
    """A page of its own context, with everything it complained about in `complaints`."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda m: self._heard(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: self._heard(str(error)))
        page.on("requestfailed", lambda r: self._heard(f"failed: {r.url} {r.failure}"))
        page.on("response", self._answered)

    async def sign_in(self, site: Site, name: str) -> None:
        """Put the session of a new member into this browser."""
        member = await site.member(name)
        cookie = {"name": SESSION, "value": member.client.cookies[SESSION]}
        await self.page.context.add_cookies([{**cookie, "url": site.runtime.settings.base_url}])

    def _heard(self, text: str) -> None:
        if not any(harmless in text for harmless in NO_COMPLAINTS):
            self.complaints.append(text)

    def _answered(self, response: Response) -> None:
        """A page or a form may be refused; what a page is made of must be there."""
        asked_for = response.request.resource_type in ("document", "xhr", "fetch")
        if response.status >= (500 if asked_for else 400):
            self.complaints.append(f"{response.status}: {response.url}")

    async def axe(self) -> list[str]:
        """What axe finds wrong with the page as it is now."""
        if not await self.page.evaluate("'axe' in window"):
            await self.page.evaluate(AXE.read_text())
        found: dict[str, Any] = await self.page.evaluate("axe.run(document)")
        return [f"{v['id']}: {v['nodes'][0]['html'][:160]}" for v in found["violations"]]


@asynccontextmanager
async def open_tab(browser: Browser, base_url: str, **options: Any) -> AsyncIterator[Tab]:
    """A fresh tab; leaving the block fails if the page complained."""
    options = {"reduced_motion": "reduce", **options}
    context = await browser.new_context(base_url=base_url, **options)
    tab = Tab(await context.new_page())
    try:
        yield tab
        assert not tab.complaints, "\n".join(tab.complaints)
    finally:
        await context.close()
