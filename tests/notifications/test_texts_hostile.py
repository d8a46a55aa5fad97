"""What organizers and subscribers type must never act: not in titles, HTML, chats or slots."""

from __future__ import annotations

import re
import unicodedata
from importlib import import_module

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from soonish.delivery.texts.blocks import link_target
from soonish.delivery.texts.compose import EVENT_KINDS, compose
from soonish.delivery.texts.content import Change
from soonish.delivery.texts.mail import mail_document
from soonish.delivery.texts.markdown import MAX_CHARACTERS, markdown_to_text, render_markdown
from soonish.delivery.texts.safe_text import one_line, paragraph
from tests.notifications.text_parts import (
    LAYOUT,
    TEXT_TAGS,
    Reader,
    assert_harmless,
    content,
    facts,
)

SLOTS = ["{{unsubscribe_url}}", "{{manage_url}}", "{{action_url}}", "{{ name }}"]
PIECES = [
    *SLOTS,
    *("{{ manage_url }}", "{\\{manage_url}}", "&#123;{manage_url}}", "{*{manage_url}}*"),
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</td></table>", "-->", "]]>"),
    *("[a](javascript:alert(1))", "[a](data:text/html,x)", "![p](https://e.example/p.png)"),
    *("[a](https://e.example/?{{manage_url}})", "<https://e.example/{{manage_url}}>"),
    *("https://e.example/a_b_c", "a@e.example", "@everyone", "@here", "<!channel>"),
    *("\r\nBcc: x@e.example", "\x00", "\x1b[31m", "\u202e", "\u2028", "\ud800", "\u2066"),
    *("# ", "- ", "> ", "1. ", "```\n", "    ", "\n", "\n\n", "**", "_", "`", "&amp;", '"', "'"),
    *("%(name)s", "%s", "{name}", "{% raw %}", "{{ 7*7 }}", "مرحبا", "🎉", "x" * 400),
]
hostile = st.lists(st.sampled_from(PIECES) | st.text(max_size=8), max_size=12).map("".join)


def assert_plain_line(text: str) -> None:
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in text)
    assert not set(text) & set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068")
    text.encode()


def assert_no_slot(*forms: str) -> None:
    for form in forms:
        assert not re.search(r"\{\{\s*\w+\s*\}\}", form)
        assert not re.search(r"(?<![\w.+/-])@(everyone|here)(?![A-Za-z0-9])", form)


@given(kind=st.sampled_from(sorted(EVENT_KINDS)), value=hostile, body=hostile)
@example(kind="manual", value="\r\nBcc: x@e.example", body="[a](https://e.example/?{{manage_url}})")
@example(kind="update", value="{{unsubscribe_url}}", body="{\\{manage_url}}")
@example(kind="welcome", value="", body="> - > 1. ```")
def test_no_field_can_act(kind: str, value: str, body: str) -> None:
    event = facts(name=value, location=value, contact=value, organizer_name=value, description=body)
    changes = (Change("name", value, body), Change("description", body, value))
    composed = compose(content(kind, facts=event, title=value, body=body, changes=changes))

    assert_plain_line(composed.title)
    assert_plain_line(composed.preheader)
    assert len(composed.title) <= 250
    assert_harmless(composed.html, TEXT_TAGS)
    assert_no_slot(
        composed.title, composed.text, composed.markdown, composed.html, composed.preheader
    )
    text, html = mail_document(composed, base_url="https://soonish.example")
    assert_harmless(html, LAYOUT | TEXT_TAGS)
    for part in (text, html):
        assert part.count("{{unsubscribe_url}}") == part.count("{{manage_url}}") == 1
        assert "{{action_url}}" not in part
        part.encode()


@given(hostile)
def test_markdown_renders_harmless_and_its_text_keeps_the_words(source: str) -> None:
    html, text = render_markdown(source), markdown_to_text(source)
    reader = assert_harmless(html, TEXT_TAGS)
    assert_no_slot(html, text)
    for tag, name, value in reader.attributes:
        assert name in ("href", "title", "rel", "start")
        if tag == "a" and name == "rel":
            assert value == "nofollow noopener"
    for piece in reader.words:
        words = piece.replace("\u2060", "").split()
        assert all(word in text.replace("\u2060", "") for word in words)


@given(st.text(), st.integers(1, 200))
def test_one_line_is_one_short_line(text: str, limit: int) -> None:
    line = one_line(text, limit)
    assert_plain_line(line)
    assert len(line.replace("\u2060", "")) <= limit
    assert one_line(line, limit * 2) == line


@pytest.mark.parametrize(
    ("markdown", "html"),
    [
        ("<b>x</b>", "<p>&lt;b&gt;x&lt;/b&gt;</p>"),
        ("a\nb", "<p>a<br>\nb</p>"),
        ("# Big", "<h3>Big</h3>"),
        ("###### small", "<h6>small</h6>"),
        ("~~no~~", "<p><s>no</s></p>"),
        ("README.md and e.example", "<p>README.md and e.example</p>"),
        ("", ""),
        (None, ""),
        (
            "see https://e.example/a_b",
            '<p>see <a href="https://e.example/a_b" rel="nofollow noopener">'
            "https://e.example/a_b</a></p>",
        ),
        (
            '![a "cat"](https://e.example/cat.png)',
            '<p><a href="https://e.example/cat.png" rel="nofollow noopener">a "cat"</a></p>',
        ),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>"),
    ],
)
def test_markdown(markdown: str | None, html: str) -> None:
    assert render_markdown(markdown) == html


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("**a** _b_ `c` ~~d~~", "a b c d"),
        (
            "[l](https://e.example/x) <https://e.example>",
            "l (https://e.example/x) https://e.example",
        ),
        ("mail a@e.example", "mail a@e.example"),
        ("3. c\n4. d\n   - e\n     f", "3. c\n4. d\n   - e\n     f"),
        ("> q\n>\n> > deep\n\nend", "> q\n>\n> > deep\n\nend"),
        ("```\n<x>\n```\nafter", "<x>\n\nafter"),
        ("a\n***\nb", "a\n\n---\n\nb"),
        ("![cat](https://e.example/c.png)", "cat (https://e.example/c.png)"),
        ("- ", ""),
    ],
)
def test_markdown_as_text(markdown: str, text: str) -> None:
    assert markdown_to_text(markdown) == text


def test_endless_markdown_is_cut() -> None:
    assert len(render_markdown("a" * 10**6)) < MAX_CHARACTERS + 100
    assert len(markdown_to_text("word " * 10**6)) <= MAX_CHARACTERS


@pytest.mark.parametrize(
    ("value", "target"),
    [
        ("ada@example.org", "mailto:ada@example.org"),
        ("https://meet.example/room", "https://meet.example/room"),
        ("javascript:alert(1)", None),
        ("a@b.example?subject=x&bcc=c@d.example", None),
        ("https://e.example/ and more", None),
        ("+49 30 1234", None),
        ('https://e.example/"onclick="x', None),
    ],
)
def test_only_whole_addresses_are_links(value: str, target: str | None) -> None:
    assert link_target(value) == target


def test_template_syntax_of_a_name_arrives_as_typed() -> None:
    name = "{{ 7*7 }} ${7} %(name)s {name} <%= 1 %> {% x %}"
    composed = compose(content("welcome", facts=facts(name=name)))
    assert composed.title == f"You're subscribed to {name}"
    _, html = mail_document(composed, base_url="https://soonish.example")
    assert f"subscribed to {name}" in Reader(html).seen


def test_mass_mentions_are_broken_and_addresses_kept() -> None:
    for call in ("@everyone", "@here.", "@Here_", "x@everyone", "@everyone.x", "@all-of-you"):
        assert one_line(call) == call.replace("@", "@\u2060")
    for address in (
        "info@here.com",
        "a@all-it.example",
        "all@example.org",
        "@hereford",
        "x.org/@all",
    ):
        assert one_line(address) == address


def test_markdown_values_are_escaped_but_addresses_stand() -> None:
    event = facts(
        name="a_b *c* [d](e)", location="https://meet.example/a_b_c", description="# h\n*"
    )
    markdown = compose(content("update", facts=event)).markdown
    assert "a\\_b \\*c\\* \\[d\\](e)" in markdown
    assert "https://meet.example/a_b_c" in markdown
    assert "e\u0301 ok" in paragraph("e\u0301 ok\r\n\r\n\r\n\r\nx")


@pytest.mark.parametrize("text", ["://a", "https:// ", "![x://", "a://b [c://d"])
def test_the_search_for_a_scheme_does_not_grow_with_the_text(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    searched: list[int] = []

    class Watched:
        def search(self, pending: str) -> re.Match[str] | None:
            searched.append(len(pending))
            return scheme.search(pending)

    library = import_module("markdown_it.rules_inline.linkify")
    scheme: re.Pattern[str] = library.SCHEME_RE
    monkeypatch.setattr(library, "SCHEME_RE", Watched())
    render_markdown(text * 500)
    assert searched
    assert max(searched) <= 16


def test_links_are_found_behind_many_words() -> None:
    text = (
        "word://x " * 50 + "see https://e.example/a_b_c*, or **https://f.example** and xhttps://g.h"
    )
    html = render_markdown(text)
    assert html.count("<a ") == 2
    assert (
        '<a href="https://e.example/a_b_c" rel="nofollow noopener">https://e.example/a_b_c' in html
    )
    assert '<strong><a href="https://f.example"' in html
