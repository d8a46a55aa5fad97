"""Every page with sample data in a real browser: CSP, axe, width, touch, in light and dark.

With SCREENSHOTS=<folder> each is also written there as a picture.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator

import pytest
import uvicorn
from fastapi import FastAPI, Request
from playwright.async_api import Browser, Page
from starlette.responses import Response, StreamingResponse

from soonish.config import Settings
from soonish.web.install import install_web
from soonish.web.rendering.frames import mail_frame
from tests.browser.conftest import DESKTOP, PHONE, Tab, open_tab
from tests.browser.measures import moving, open_everything, small_targets, width_over
from tests.browser.pictures import picture
from tests.browser.serving import serve
from tests.web.every_sample import EVERY_SAMPLE, render_sample

pytestmark = pytest.mark.browser

NARROW = {"width": 320, "height": 700}


def _sample_app(settings: Settings) -> FastAPI:
    app = FastAPI(openapi_url="/api/openapi.json")
    install_web(app, settings)

    @app.get("/sample/{name}")
    async def sample(request: Request, name: str) -> Response:
        return render_sample(request, name)

    @app.get("/dev/mail/x.eml/html")
    @app.post("/events/7/preview/mail")
    async def mail() -> Response:
        return mail_frame("<!doctype html><html lang=en><title>A mail</title><p>Hello</p>")

    @app.get("/events/7/notifications/2/progress")
    @app.get("/events/7/progress")
    async def nothing_new() -> Response:
        return StreamingResponse(_silence(), media_type="text/event-stream")

    return app


async def _silence() -> AsyncIterator[str]:
    """A live connection on which nothing happens, until the browser leaves."""
    yield ": nothing new\n\n"
    await asyncio.Event().wait()


@pytest.fixture(scope="module")
async def samples_url() -> AsyncGenerator[str]:
    app = _sample_app(Settings(_env_file=None))  # pyright: ignore[reportCallIssue]
    async with serve(uvicorn.Config(app, log_level="warning", lifespan="off")) as url:
        yield url


@pytest.fixture(scope="module")
async def shared_tab(browser: Browser, samples_url: str) -> AsyncGenerator[Tab]:
    """One tab for all samples: what they share is loaded once."""
    async with open_tab(browser, samples_url) as tab:
        yield tab


@pytest.mark.parametrize("name", EVERY_SAMPLE)
async def test_a_page_on_a_phone_and_on_a_desk(shared_tab: Tab, name: str):
    """As it comes on a phone in light, unfolded on a narrow phone, unfolded on a desk in dark."""
    tab, page = shared_tab, shared_tab.page
    tab.complaints.clear()
    await page.emulate_media(color_scheme="light")
    await page.set_viewport_size(PHONE)
    await page.goto(f"/sample/{name}")
    await picture(page, f"{name}-phone")
    foreign = name == "api-docs"  # Swagger UI's own markup, for developers at a desk
    assert foreign or await tab.axe() == []
    await page.set_viewport_size(NARROW)
    assert await width_over(page) <= 0
    await page.set_viewport_size(DESKTOP)
    await picture(page, f"{name}-desktop")
    await page.emulate_media(color_scheme="dark")
    await picture(page, f"{name}-dark")
    await open_everything(page)
    assert foreign or await tab.axe() == []
    await page.set_viewport_size(NARROW)
    assert await width_over(page) <= 0
    assert foreign or await small_targets(page) == []
    assert tab.complaints == []


async def test_headings_have_their_face(shared_tab: Tab):
    await shared_tab.page.goto("/sample/event")
    load = "document.fonts.load('700 24px Heading').then((faces) => faces.map((one) => one.status))"
    assert await shared_tab.page.evaluate(load) == ["loaded"]


@pytest.mark.parametrize("language", ["en", "de"])
async def test_pages_fit_any_width(browser: Browser, samples_url: str, language: str):
    """Between the phones and the desk of the samples, and with longer words."""
    too_wide: list[str] = []
    async with open_tab(browser, samples_url, locale=language) as tab:
        for name in EVERY_SAMPLE:
            await tab.page.goto(f"/sample/{name}?lang={language}")
            for width in (320, 360, 390, 430, 640, 768):
                await tab.page.set_viewport_size({"width": width, "height": 800})
                if await width_over(tab.page) > 0:
                    too_wide.append(f"{name} at {width}")
    assert not too_wide, ", ".join(too_wide)


@pytest.mark.parametrize("name", ["event", "start", "organize"])
async def test_first_visit_is_small(browser: Browser, samples_url: str, name: str):
    sizes: list[int] = []
    async with open_tab(browser, samples_url, viewport=PHONE) as tab:
        answers: list[dict[str, str]] = []
        tab.page.on("response", lambda answer: answers.append(dict(answer.headers)))
        session = await tab.page.context.new_cdp_session(tab.page)
        session.on(
            "Network.loadingFinished", lambda event: sizes.append(int(event["encodedDataLength"]))
        )
        await session.send("Network.enable")
        await tab.page.goto(f"/sample/{name}", wait_until="networkidle")
    sizes = [size for size in sizes if size]  # not what was preloaded and is used now
    assert len(sizes) <= 8
    assert sum(sizes) <= 100_000
    assert answers[0]["content-encoding"] == "gzip"
    for asset in answers[1:]:
        assert (asset["content-encoding"], "immutable" in asset["cache-control"]) == ("br", True)


async def test_an_event_is_printed_in_black_on_white(shared_tab: Tab):
    page = shared_tab.page
    await page.goto("/sample/event")
    await page.emulate_media(media="print", color_scheme="dark")
    try:
        await picture(page, "event-print")
        shown = await page.inner_text("body")
        assert "Rooftop cinema" in shown
        assert "Klunkerkranich" in shown
        for only_to_touch in ("New event", "Sign in", "Subscribe"):
            assert only_to_touch not in shown
        assert await page.evaluate("getComputedStyle(document.body).color") == "rgb(33, 28, 43)"
    finally:
        await page.emulate_media(media="screen")


async def test_nothing_moves_for_those_who_asked_for_that(browser: Browser, samples_url: str):
    async with open_tab(browser, samples_url, reduced_motion="no-preference") as tab:
        await tab.page.goto("/sample/event")
        assert await moving(tab.page) > 0
        await tab.page.emulate_media(reduced_motion="reduce")
        assert await moving(tab.page) == 0


async def test_axe_and_the_console_are_really_heard(browser: Browser, samples_url: str):
    async with open_tab(browser, samples_url, viewport=PHONE) as tab:
        await tab.page.goto("/sample/event")
        await tab.page.evaluate("document.documentElement.removeAttribute('lang')")
        assert any("html-has-lang" in found for found in await tab.axe())
        await _break(tab.page, "script", text="1")
        assert any("Content Security Policy" in text for text in tab.complaints)
        tab.complaints.clear()


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        ("script", {"text": "1"}),
        ("style", {"textContent": "a { color: red }"}),
        ("img", {"src": "https://elsewhere.example/x.png"}),
        ("img", {"src": "/assets/nothing.png"}),
    ],
    ids=["script", "style", "foreign", "missing"],
)
async def test_a_page_that_breaks_a_rule_fails_its_test(
    browser: Browser, samples_url: str, tag: str, values: dict[str, str]
):
    with pytest.raises(AssertionError, match=r"Content Security Policy|404: "):
        await _visit_and_break(browser, samples_url, tag, values)


async def _visit_and_break(browser: Browser, url: str, tag: str, values: dict[str, str]) -> None:
    async with open_tab(browser, url) as tab:
        await tab.page.goto("/sample/error-404")
        await _break(tab.page, tag, **values)
        await tab.page.wait_for_load_state("networkidle")


async def test_small_and_wide_things_are_really_found(shared_tab: Tab):
    page = shared_tab.page
    await page.set_viewport_size(NARROW)
    await page.goto("/sample/error-404")
    assert (await small_targets(page), await width_over(page)) == ([], 0)
    await _break(page, "button", textContent="x")
    await _break(page, "pre", textContent="x" * 400)
    (found,) = await small_targets(page)
    assert found.endswith(": <button>x</button>")
    assert await width_over(page) > 0


async def _break(page: Page, tag: str, **values: str) -> None:
    """Put an element at the end of the page."""
    await page.evaluate(
        "([tag, values]) => "
        "document.body.append(Object.assign(document.createElement(tag), values))",
        [tag, values],
    )
