"""A page reads in one transaction, however much it shows."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from sqlalchemy import event

from tests.web.site import Site

pytestmark = pytest.mark.usefixtures("database")
NEWS = {"title": "Rain plan", "body": "We go **inside**."}
SECTIONS = (
    "",
    "/pick?pick=a",
    "/notifications",
    "/subscribers",
    "/access",
    "/reminders",
    "/health",
    "/settings",
    "/edit",
    "/cancel",
)
OTHERS = ("/", "/dashboard", "/integrations", "/account", "/account/activity")


@contextmanager
def transactions(site: Site) -> Generator[list[object]]:
    """Collect those that this task begins within the block; what runs beside it is not meant."""
    begun: list[object] = []
    engine, task = site.runtime.db.engine.sync_engine, asyncio.current_task()

    def note(connection: object) -> None:
        if asyncio.current_task() is task:
            begun.append(connection)

    event.listen(engine, "begin", note)
    try:
        yield begun
    finally:
        event.remove(engine, "begin", note)


async def test_a_page_makes_one_transaction_beside_the_one_that_finds_who_asks(site: Site) -> None:
    ana = await site.member("ana")
    event_id, slug = await ana.create_event()
    with transactions(site) as begun:
        assert (await ana.get("/new")).status_code == 200
    assert len(begun) == 1, "who asks"
    sections = [f"/events/{event_id}{path}" for path in SECTIONS]
    for path in (*sections, f"/e/{slug}", *OTHERS):
        with transactions(site) as begun:
            assert (await ana.get(path)).status_code == 200, path
        assert len(begun) == 2, path


async def test_so_do_the_steps_of_the_composer(site: Site) -> None:
    ana = await site.member("ana")
    event_id, _ = await ana.create_event()
    for step, values, status in (
        ("compose", NEWS, 200),
        ("review", NEWS, 200),
        ("preview/mail", NEWS, 200),
        ("review", NEWS | {"title": ""}, 422),
    ):
        with transactions(site) as begun:
            answer = await ana.post(f"/events/{event_id}/{step}", **values)
        assert answer.status_code == status, step
        assert len(begun) == 2, step
