"""Every page with sample data in a real browser: CSP, axe, width, in light and dark.

With SCREENSHOTS=<folder> each is also written there as a picture.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI, Request
from playwright.async_api import Browser
from starlette.responses import Response, StreamingResponse

from soonish.config import Settings
from soonish.web.frames import mail_frame
from soonish.web.install import install_web
from soonish.web.templating import render
from tests.browser.conftest import DESKTOP, PHONE, open_tab
from tests.browser.serving import serve
from tests.web.samples import SAMPLES

SCREENSHOTS = os.environ.get("SCREENSHOTS")


def _sample_app(settings: Settings) -> FastAPI:
    app = FastAPI()
    install_web(app, settings)

    @app.get("/sample/{name}")
    async def sample(request: Request, name: str) -> Response:
        template, context = SAMPLES[name]
        return render(request, template, **context)

    # What the organizer's samples ask for while they are looked at.
    for path in ("/events/7/progress", "/events/7/notifications/{nid}/progress"):
        app.add_api_route(path, _endless)
    app.add_api_route("/events/7/preview/mail", _mail, methods=["POST"])
    return app


async def _endless(nid: int = 0) -> Response:
    async def nothing() -> AsyncGenerator[bytes]:
        while True:
            yield b": still here\n\n"
            await asyncio.sleep(0.2)

    return StreamingResponse(nothing(), media_type="text/event-stream")


async def _mail() -> Response:
    return mail_frame("<!doctype html><p>We move <b>inside</b>.</p>")


@pytest.fixture(scope="module")
async def samples_url() -> AsyncGenerator[str]:
    app = _sample_app(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]
    async with serve(uvicorn.Config(app, log_level="warning", lifespan="off")) as url:
        yield url


async def _picture(page: Any, name: str) -> None:
    if SCREENSHOTS:
        await page.screenshot(path=Path(SCREENSHOTS) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("name", SAMPLES)
async def test_a_page_on_a_phone_and_on_a_desk(browser: Browser, samples_url: str, name: str):
    """Light on a phone, dark on a desk; neither scrolls sideways nor gives axe anything to say."""
    async with open_tab(browser, samples_url, viewport=PHONE, color_scheme="light") as tab:
        await tab.page.goto(f"/sample/{name}")
        await _picture(tab.page, f"{name}-phone")
        assert await tab.axe() == []
        await tab.page.set_viewport_size({"width": 320, "height": 700})
        assert await tab.width_over() <= 0
        await tab.page.set_viewport_size(DESKTOP)
        await _picture(tab.page, f"{name}-desktop")
        await tab.page.emulate_media(color_scheme="dark")
        await _picture(tab.page, f"{name}-dark")
        assert await tab.axe() == []


async def test_first_visit_is_small(browser: Browser, samples_url: str):
    sizes: list[int] = []
    async with open_tab(browser, samples_url, viewport=PHONE) as tab:
        session = await tab.page.context.new_cdp_session(tab.page)
        session.on(
            "Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"]))
        )
        await session.send("Network.enable")
        await tab.page.goto("/sample/event", wait_until="networkidle")
    assert len(sizes) <= 8
    assert sum(sizes) <= 100_000


async def test_axe_and_the_console_are_really_heard(browser: Browser, samples_url: str):
    async with open_tab(browser, samples_url, viewport=PHONE) as tab:
        await tab.page.goto("/sample/event")
        await tab.page.evaluate("document.documentElement.removeAttribute('lang')")
        assert any("html-has-lang" in found for found in await tab.axe())
        script = (
            "document.body.append(Object.assign(document.createElement('script'), {text: '1'}))"
        )
        await tab.page.evaluate(script)
        assert any("Content Security Policy" in text for text in tab.complaints)
        tab.complaints.clear()
