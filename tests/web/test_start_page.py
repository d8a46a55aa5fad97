"""The public list narrowed by words, category, tag and days, with its state in the address."""

from __future__ import annotations

import pytest

from soonish.web.pages.start import StartFilter
from tests.web.site import Site, text_of

pytestmark = pytest.mark.usefixtures("database")


async def _two_events(site: Site) -> None:
    ana = await site.member("ana")
    late = {"start_date": "2031-05-02T23:30", "timezone": "America/New_York"}
    await ana.create_event(name="Film night", category="Film", tags="cinema, outdoor", **late)
    await ana.create_event(name="Morning run", category="sports", tags="outdoor")
    await ana.create_event(name="Secret", category="Hidden", tags="hidden", is_public="0")


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("/", {"Film night", "Morning run"}),
        ("/?category=film", {"Film night"}),
        ("/?tag=Outdoor", {"Film night", "Morning run"}),
        ("/?tag=cinema&category=sports", set[str]()),
        ("/?until=2030-01-01", {"Morning run"}),
        ("/?since=2031-05-02&until=2031-05-02&zone=America/New_York", {"Film night"}),
        ("/?since=2031-05-02&until=2031-05-02&zone=UTC", set[str]()),
        ("/?since=2031-05-03&until=2031-05-02&zone=UTC", {"Film night"}),
        ("/?since=soon&until=0001-01-01&zone=Mars", {"Film night", "Morning run"}),
    ],
)
async def test_the_list_is_narrowed(site: Site, address: str, shown: set[str]):
    await _two_events(site)
    page = text_of(await site.visitor().get(address))
    names = {"Film night", "Morning run", "Secret"}
    assert {name for name in names if name in page} == shown
    assert ("Nothing found" in page) == (not shown)


async def test_only_what_is_to_come_and_public_can_be_chosen(site: Site):
    await _two_events(site)
    page = (await site.visitor().get("/")).text
    assert 'value="Film"' in page
    assert 'value="outdoor"' in page
    assert 'value="Hidden"' not in page
    assert 'value="hidden"' not in page


async def test_htmx_gets_the_list_and_a_short_address(site: Site):
    await _two_events(site)
    fields = "query=film&category=&tag=&since=&until=&zone=Europe/Berlin"
    answer = await site.visitor().get(f"/?{fields}", **{"hx-request": "true"})
    assert answer.headers["hx-push-url"] == "/?query=film"
    assert "<html" not in answer.text
    assert "Film night" in answer.text


def test_an_address_holds_what_is_chosen():
    wanted = StartFilter(query="a b", since="2031-01-01", zone="UTC")
    assert wanted.address(cursor="x") == "/?query=a+b&since=2031-01-01&zone=UTC&cursor=x"
    assert StartFilter(zone="UTC").address() == "/"
