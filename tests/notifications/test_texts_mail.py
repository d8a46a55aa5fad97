"""The whole mail: well-formed, links and slots intact, short lines."""

from __future__ import annotations

import re

import pytest

from soonish.delivery.texts.compose import ACCOUNT_KINDS, EVENT_KINDS, Composed, compose
from soonish.delivery.texts.content import Content
from soonish.delivery.texts.mail import fold_lines, mail_document
from tests.notifications.text_parts import (
    LAYOUT,
    TEXT_TAGS,
    URL,
    Reader,
    assert_harmless,
    content,
    facts,
)

BASE = "https://soonish.example"
ALLOWED = LAYOUT | TEXT_TAGS


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_event_mail_carries_its_links_in_both_parts(kind: str) -> None:
    text, html = mail_document(compose(content(kind)), base_url=BASE)
    reader = assert_harmless(html, ALLOWED)
    for link in ("{{unsubscribe_url}}", "{{manage_url}}"):
        assert text.count(link) == 1
        assert html.count(link) == reader.hrefs.count(link) == 1
    assert {URL, BASE} <= set(reader.hrefs)
    assert URL in text
    assert f"You get this because you {'created' if kind == 'created' else ''}" in text
    assert not re.search(r"<\w", text)


@pytest.mark.parametrize("kind", sorted(ACCOUNT_KINDS.keys() - {"test", "rejected"}))
def test_account_mail_has_its_button_and_no_other_slot(kind: str) -> None:
    composed = compose(Content(kind))
    text, html = mail_document(composed, base_url=BASE, unsubscribe_slot=None, manage_slot=None)
    reader = assert_harmless(html, ALLOWED)
    assert set(re.findall(r"\{\{.*?\}\}", text + html)) == {"{{action_url}}"}
    assert reader.hrefs.count("{{action_url}}") == 2  # the button, and the address below it
    assert composed.action_label is not None
    assert composed.action_label in reader.seen
    assert "nsubscribe" not in text + html


def test_reader_sees_title_facts_and_reason_once_and_preheader_first() -> None:
    composed = compose(content("welcome"))
    _, html = mail_document(composed, base_url=BASE)
    body = Reader(html[html.index("<body") : html.index("</html>")]).seen
    assert body.startswith(composed.preheader)
    assert body.count(composed.title) == 1
    assert body.count("Ada Lovelace") == 1
    assert "because you are subscribed to Summer party" in body


def test_mail_is_readable_in_the_dark_and_names_its_language() -> None:
    _, html = mail_document(compose(content("welcome"), "de"), base_url=BASE, locale="de")
    assert "prefers-color-scheme: dark" in html
    assert '<html lang="de" dir="ltr">' in html
    _, arabic = mail_document(compose(content("welcome"), "ar"), base_url=BASE, locale="ar")
    assert '<html lang="ar" dir="rtl">' in arabic


def test_title_in_mail_is_escaped() -> None:
    composed = compose(content("welcome", facts=facts(name="<b>&amp;</b>")))
    text, html = mail_document(composed, base_url=BASE)
    assert text.startswith("You're subscribed to <b>&amp;</b>\n")
    assert "<b>&" not in html
    assert "You're subscribed to <b>&amp;</b>" in Reader(html).seen


def test_message_without_blocks_or_action_is_still_a_mail() -> None:
    plain = Composed("Hello", "There", "There", "<p>There</p>", "", None, None)
    text, html = mail_document(plain, base_url=BASE)
    assert "There" in text
    assert "There" in assert_harmless(html, ALLOWED).seen


@pytest.mark.parametrize("letter", ["a", "é", "漢", "🎉", "a ", "&", "<", '"'])
def test_no_line_is_too_long_for_a_mail(letter: str) -> None:
    composed = compose(content("manual", body=letter * 5000, facts=facts(name=letter * 5000)))
    for part in mail_document(composed, base_url=BASE):
        assert max(len(line.encode()) for line in part.splitlines()) <= 998
        assert "{{unsubscribe_url}}" in part
    assert_harmless(mail_document(composed, base_url=BASE)[1], ALLOWED)


@pytest.mark.parametrize("filler", range(850, 905))
@pytest.mark.parametrize("whole", ["{{unsubscribe_url}}", "&amp;", "&#8288;", "</strong>"])
def test_folding_leaves_slots_and_entities_whole(filler: int, whole: str) -> None:
    folded = fold_lines("x" * filler + whole + "y" * 900)
    assert whole in folded
    assert max(map(len, folded.splitlines())) <= 900
    assert folded.replace("\n", "") == "x" * filler + whole + "y" * 900
