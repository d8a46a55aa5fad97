"""Live progress in real browsers: two at once, through a killed API, and by keyboard alone."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from soonish.config import Settings
from soonish.domain.accounts import sessions
from soonish.identity.users import find_or_create_by_address
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Delivery, DeliveryState, Notification
from soonish.infra.db.types import utc_now
from soonish.runtime import make_runtime
from soonish.web.cookies import SESSION
from tests.browser.conftest import DESKTOP, PHONE, Tab, open_tab
from tests.browser.navigation import click_through
from tests.support.ports import accepts, free_port
from tests.support.settings import SECRETS, make_settings
from tests.support.system import START_SECONDS
from tests.support.wait import eventually, wait_for
from tests.support.world import World
from tests.web.site import Site

pytestmark = pytest.mark.browser


async def sent_message(world: World, event_id: int, people: int = 3) -> tuple[int, list[int]]:
    """A message to so many people that is on its way: its id, and its deliveries'."""
    event = await world.one(Event, Event.id == event_id)
    await world.crowd(event, people)
    row = await world.expanded(event, title="Rain plan")
    return row.id, [delivery.id for delivery in await world.deliveries(row.id)]


async def arrive(world: World, delivery_ids: list[int]) -> None:
    for one in delivery_ids:
        await world.change(Delivery, one, state=DeliveryState.SENT, finished_at=utc_now())


async def test_two_browsers_watch_a_message_arrive(browser: Browser, served_site: Site):
    ana = await served_site.member("ana")
    event_id, _ = await ana.create_event()
    world = World(served_site.runtime.db, served_site.runtime.settings)
    message, deliveries = await sent_message(world, event_id)
    url = served_site.runtime.settings.base_url
    async with (
        open_tab(browser, url, viewport=PHONE) as phone,
        open_tab(browser, url, viewport=DESKTOP) as desk,
    ):
        for tab, path in ((phone, f"/events/{event_id}/notifications/{message}"),
                          (desk, f"/events/{event_id}/notifications")):  # fmt: skip
            await tab.sign_in(served_site, "ana")
            await tab.page.goto(path)
            await expect(tab.page.get_by_text("3 waiting")).to_be_visible()
        await arrive(world, deliveries[:2])
        for tab in (phone, desk):
            await expect(tab.page.get_by_text("2 arrived", exact=True)).to_be_visible()
            await expect(tab.page.get_by_text("1 waiting")).to_be_visible()
            assert await tab.axe() == []
        await arrive(world, deliveries[2:])
        await world.change(Notification, message, completed_at=utc_now())
        for tab in (phone, desk):
            await expect(tab.page.get_by_text("3 arrived", exact=True)).to_be_visible()
            await expect(tab.page.get_by_text("Everything is sent.")).to_be_visible()
    await eventually(lambda: not served_site.app.state.progress.is_watched)


async def test_the_list_of_recipients_follows_and_keeps_its_filter(
    browser: Browser, served_site: Site
):
    ana = await served_site.member("ana")
    event_id, _ = await ana.create_event()
    world = World(served_site.runtime.db, served_site.runtime.settings)
    message, deliveries = await sent_message(world, event_id)
    async with open_tab(browser, served_site.runtime.settings.base_url, viewport=DESKTOP) as tab:
        await tab.sign_in(served_site, "ana")
        await tab.page.goto(f"/events/{event_id}/notifications/{message}")
        rows = tab.page.locator("#delivery-list li")
        await expect(rows).to_have_count(3)
        state = tab.page.get_by_label("State")
        await state.select_option("sent")
        await expect(tab.page.get_by_text("Nobody in this list.")).to_be_visible()
        await state.focus()
        await arrive(world, deliveries[:2])
        await expect(rows).to_have_count(2)
        await expect(state).to_have_value("sent")
        await expect(state).to_be_focused()
        await arrive(world, deliveries[2:])
        await world.change(Notification, message, completed_at=utc_now())
        await expect(rows).to_have_count(3)
        assert await tab.axe() == []


async def test_a_filter_that_overtakes_the_list_is_no_mistake(browser: Browser, served_site: Site):
    """The list that was on its way is given up for the one that the filter asks for."""
    ana = await served_site.member("ana")
    event_id, _ = await ana.create_event()
    world = World(served_site.runtime.db, served_site.runtime.settings)
    message, deliveries = await sent_message(world, event_id)
    path = f"/events/{event_id}/notifications/{message}"
    async with open_tab(browser, served_site.runtime.settings.base_url, viewport=DESKTOP) as tab:
        await tab.sign_in(served_site, "ana")
        asked, chosen = asyncio.Event(), asyncio.Event()

        async def hold(route: Route) -> None:
            if "hx-request" in route.request.headers and not asked.is_set():
                asked.set()
                await chosen.wait()
            await route.continue_()

        await tab.page.route(f"**{path}*", hold)
        await tab.page.goto(path)
        await arrive(world, deliveries[:2])
        await eventually(asked.is_set)
        await tab.page.get_by_label("State").select_option("sent")
        await expect(tab.page.locator("#delivery-list li")).to_have_count(2)
        chosen.set()


async def test_a_saved_change_is_in_the_header_at_once(browser: Browser, served_site: Site):
    ana = await served_site.member("ana")
    event_id, _ = await ana.create_event()
    async with open_tab(browser, served_site.runtime.settings.base_url, viewport=DESKTOP) as tab:
        await tab.sign_in(served_site, "ana")
        await tab.page.goto(f"/events/{event_id}/edit")
        await tab.page.get_by_label("Name", exact=True).fill("Feast")
        await click_through(tab.page.get_by_role("button", name="Check the changes"))
        await click_through(tab.page.get_by_role("button", name="Save", exact=True))
        await expect(tab.page.get_by_text("Saved.")).to_be_visible()
        await expect(tab.page.get_by_role("heading", level=1, name="Feast")).to_be_visible()
        await expect(tab.page.locator("#event-head")).to_have_count(1)


async def test_whoever_is_signed_out_elsewhere_sees_no_more(
    browser: Browser, served_site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("soonish.web.pages.organizer.live.CHECK_SECONDS", 0.0)
    ana = await served_site.member("ana")
    event_id, _ = await ana.create_event()
    world = World(served_site.runtime.db, served_site.runtime.settings)
    message, deliveries = await sent_message(world, event_id)
    async with open_tab(browser, served_site.runtime.settings.base_url, viewport=PHONE) as tab:
        await tab.sign_in(served_site, "ana")
        refreshed = tab.page.expect_response(lambda one: "hx-request" in one.request.headers)
        async with refreshed:  # the list once more, as soon as the stream is there
            await tab.page.goto(f"/events/{event_id}/notifications/{message}")
        await expect(tab.page.get_by_text("3 waiting")).to_be_visible()
        person = await served_site.user("ana")
        async with served_site.runtime.db.write() as session:
            await sessions.end_all(session, person.id)
        await arrive(world, deliveries)
        await expect(tab.page.get_by_text("You are signed out")).to_be_visible()
        await expect(tab.page.get_by_text("3 arrived", exact=True)).to_be_hidden()


async def test_a_message_by_keyboard_alone(browser: Browser, served_site: Site):
    ana = await served_site.member("ana")
    event_id, slug = await ana.create_event()
    await served_site.visitor().post(f"/e/{slug}/subscribe", email="bo@example.org")
    async with open_tab(browser, served_site.runtime.settings.base_url, viewport=DESKTOP) as tab:
        await tab.sign_in(served_site, "ana")
        await tab.page.goto(f"/events/{event_id}")
        await tab_to(tab, "title")
        await tab.page.keyboard.type("Rain plan")
        await tab.page.keyboard.press("Tab")
        await tab.page.keyboard.type("We go **inside**.")
        await tab_to(tab, "Check before sending")
        await tab.page.keyboard.press("Enter")
        await expect(tab.page.get_by_role("heading", name="Ready to send?")).to_be_focused()
        await tab_to(tab, "Send to 1 person")
        await tab.page.keyboard.press("Enter")
        await expect(tab.page.get_by_role("heading", name="Rain plan")).to_be_focused()
    [row] = await served_site.rows(Notification)
    assert row.title == "Rain plan"


async def tab_to(tab: Tab, wanted: str) -> None:
    """Press Tab until the control with this id or text has the focus."""
    for _ in range(40):
        await tab.page.keyboard.press("Tab")
        here = await tab.page.evaluate(
            "[document.activeElement.id, document.activeElement.textContent.trim()]"
        )
        if wanted in here:
            return
    raise AssertionError(f"the keyboard does not reach {wanted}")


@contextmanager
def api(settings: Settings) -> Generator[subprocess.Popen[bytes]]:
    """`soonish api` as a process of its own."""
    environment = {
        **os.environ,
        **{name.upper(): value for name, value in SECRETS.items()},
        "SOONISH_HOME": str(settings.soonish_home),
        "PORT": str(settings.port),
        "TEMPORAL_URL": settings.temporal_url or "",
    }
    command = [sys.executable, "-m", "soonish.cli.main", "api"]
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        wait_for(lambda: accepts(settings.port), START_SECONDS, "the API")
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


async def test_a_killed_api_is_said_and_the_stream_comes_back(
    browser: Browser, migrated_sqlite: Path, tmp_path: Path
):
    shutil.copy(migrated_sqlite, tmp_path / "soonish.db")
    port = free_port()
    settings = make_settings(tmp_path, port=port, temporal_url=f"127.0.0.1:{free_port()}")
    runtime = make_runtime(settings)
    world = World(runtime.db, settings)
    async with runtime.db.write() as session:
        ana = await find_or_create_by_address(session, "ana@example.org", "Ana")
        ana.is_verified = True
        _, token = await sessions.start(session, settings, ana.id, "Test browser")
    event = await world.event(owner_user_id=ana.id)
    message, deliveries = await sent_message(world, event.id)
    url = f"http://127.0.0.1:{port}"
    async with open_tab(browser, url, viewport=PHONE) as tab:
        await tab.page.context.add_cookies([{"name": SESSION, "value": token, "url": url}])
        with api(settings) as first:
            await tab.page.goto(f"/events/{event.id}/notifications/{message}")
            await expect(tab.page.get_by_text("3 waiting")).to_be_visible()
            first.kill()
            await expect(tab.page.get_by_text("The connection is lost")).to_be_visible()
            assert await tab.axe() == []
        await arrive(world, deliveries)
        with api(settings) as second:
            await expect(tab.page.get_by_text("3 arrived", exact=True)).to_be_visible()
            await expect(tab.page.get_by_text("The connection is lost")).to_be_hidden()
            second.send_signal(signal.SIGTERM)
            # With a stream open: uvicorn would say that it had to cut it off.
            output = second.communicate(timeout=START_SECONDS)[0].decode()
            assert second.returncode == 0
            assert "graceful shutdown exceeded" not in output
        tab.complaints.clear()  # the lost connections themselves
    await runtime.close()
