"""An event and what a reader's mail program would make of our HTML."""

from __future__ import annotations

from datetime import UTC, datetime
from html.parser import HTMLParser

from soonish.delivery.texts.content import Change, Content, EventFacts

URL = "https://soonish.example/e/summer-party-x1y2"
VOID = {"br", "hr", "meta", "img", "input", "link"}
LAYOUT = {
    *("html", "head", "title", "style", "body", "div", "span", "table", "tr", "td", "meta"),
    *("h1", "h2"),
}
TEXT_TAGS = {
    *("p", "br", "hr", "b", "strong", "em", "s", "code", "pre", "blockquote", "ul", "ol", "li"),
    *("a", "h3", "h4", "h5", "h6"),
}


def facts(**changes: object) -> EventFacts:
    values: dict[str, object] = {
        "name": "Summer party",
        "start": datetime(2026, 12, 12, 17, tzinfo=UTC),
        "end": datetime(2026, 12, 12, 20, 30, tzinfo=UTC),
        "timezone": "Europe/Berlin",
        "location": "Tempelhofer Feld",
        "contact": "ada@example.org",
        "organizer_name": "Ada Lovelace",
        "description": "Bring your own **drinks**.",
        "url": URL,
    }
    return EventFacts(**(values | changes))  # type: ignore[arg-type]


def content(kind: str, **changes: object) -> Content:
    values: dict[str, object] = {
        "kind": kind,
        "facts": facts(),
        "title": "Parking" if kind == "manual" else None,
        "body": "Use the **north** car park." if kind == "manual" else None,
        "changes": (Change("name", "Spring party", "Summer party"),) if kind == "update" else (),
        "distance_seconds": 9000 if kind in ("reminder", "countdown") else None,
    }
    return Content(**(values | changes))  # type: ignore[arg-type]


class Reader(HTMLParser):
    """Reads HTML as strictly as it can: a tag closed out of order is an AssertionError."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    @property
    def hrefs(self) -> list[str]:
        return [value for _, name, value in self.attributes if name == "href"]

    @property
    def seen(self) -> str:
        """The text that a reader sees, with single spaces."""
        return " ".join("".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open, f"</{tag}> closes nothing"
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)


def assert_harmless(html: str, allowed: set[str]) -> Reader:
    """Well-formed, known tags only, no handlers, no pictures, links of safe schemes only."""
    reader = Reader(html)
    assert reader.tags <= allowed, reader.tags - allowed
    for _, name, value in reader.attributes:
        assert not name.startswith("on")
        assert name not in ("src", "srcset", "background", "action")
        if name == "href":
            assert value.startswith(("https://", "http://", "mailto:", "tel:", "{{")), value
    return reader
