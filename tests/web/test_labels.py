"""A link's label says where it leads: the same label leads to the same place on every page."""

from __future__ import annotations

import re
from collections import defaultdict
from html.parser import HTMLParser

from tests.web.every_sample import EVERY_SAMPLE
from tests.web.test_templates import sample_html

# Labels that are no name of a place: the rest of the list in which they stand; the calendar file of
# the event, which somebody signed out gets with a token.
ELSEWHERE = {"Show more", "Add to calendar"}
EVENT = re.compile(r"/e/[^/]+|/events/\d+")  # many are labelled with what its organizer named it


class Links(HTMLParser):
    """Collect `found`, the label and the destination of every link within the site."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._href, self._name, self._text = "", "", ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            values = dict(attrs)
            self._href = values.get("href") or ""
            self._name, self._text = values.get("aria-label") or "", ""

    def handle_data(self, data: str) -> None:
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._href.startswith("/"):
            self.found.append((self._name or " ".join(self._text.split()), self._href))


def _place(href: str) -> str:
    """Return the path without what tells one event or page of a list from another."""
    return re.sub(r"(?<=/)\d+(?=/|$)", "…", re.split(r"[?#]", href)[0])


def test_a_label_leads_to_one_place():
    places: defaultdict[str, set[str]] = defaultdict(set)
    for name in EVERY_SAMPLE:
        for label, href in Links(sample_html(name)).found:
            if label not in ELSEWHERE and not EVENT.fullmatch(href):
                places[label].add(_place(href))
    assert places["Channels"] == {"/integrations"}
    assert places["Add a channel"] == {"/integrations/new"}
    assert {label: found for label, found in places.items() if len(found) > 1} == {}
