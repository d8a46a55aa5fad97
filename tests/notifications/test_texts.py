"""Titles and bodies as the contract words them."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest

from soonish.delivery.texts.compose import ACCOUNT_KINDS, EVENT_KINDS, compose
from soonish.delivery.texts.content import Change, Content
from tests.notifications.text_parts import TEXT_TAGS, URL, assert_harmless, content, facts

BERLIN = "Saturday, 12 December 2026, 18:00 (Europe/Berlin)"
TITLES = {
    "created": "Your event Summer party is ready",
    "welcome": "You're subscribed to Summer party",
    "update": "Summer party has changed",
    "cancelled": "Summer party is cancelled",
    "manual": "Parking",
    "reminder_1day": "Don't forget! Summer party is tomorrow",
    "reminder_1hour": "Summer party starts in 1 hour",
    "reminder": "Summer party starts in 2 hours 30 minutes",
    "countdown": "Summer party starts in 2 hours 30 minutes",
    "removed": "You were removed from Summer party",
    "unsubscribed": "You're unsubscribed from Summer party",
}


def test_every_kind_of_the_contract_has_a_title() -> None:
    assert set(TITLES) == set(EVENT_KINDS)


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_event_message_says_what_when_where_and_who(kind: str) -> None:
    composed = compose(content(kind))

    assert composed.title == TITLES[kind]
    assert composed.action_url == URL
    html = assert_harmless(composed.html, TEXT_TAGS)
    for form in (composed.text, composed.markdown, html.seen):
        for fact in (BERLIN, "Tempelhofer Feld", "Ada Lovelace", "ada@example.org"):
            assert fact in form
    assert URL in composed.text
    assert URL in composed.markdown
    assert URL in html.hrefs
    assert not re.search(r"<\w|&\w+;|\*\*", composed.text)


@pytest.mark.parametrize("kind", EVENT_KINDS)
def test_description_begins_only_where_the_contract_says_so(kind: str) -> None:
    composed = compose(content(kind))
    told = kind in ("welcome", "update", "reminder_1day", "reminder_1hour", "reminder", "countdown")
    for form in (composed.text, composed.markdown, composed.html):
        assert ("Bring your own drinks." in form) is told


def test_long_description_is_cut_between_words() -> None:
    text = compose(content("welcome", facts=facts(description="word " * 1000))).text
    assert "word word…" in text
    assert len(text) < 1000


def test_facts_that_are_missing_leave_no_empty_label() -> None:
    bare = facts(end=None, location=None, contact=None, organizer_name=None, description=None)
    text = compose(content("welcome", facts=bare)).text
    assert "None" not in text
    for label in ("Until", "Where", "Organizer", "Contact", "About"):
        assert label not in text
    assert BERLIN in text


@pytest.mark.parametrize(
    ("kind", "seconds", "anchor", "late", "title"),
    [
        ("reminder_1day", 86_400, "start", False, "Don't forget! Summer party is tomorrow"),
        ("reminder_1day", 85_000, "start", True, "Summer party starts in 23 hours 37 minutes"),
        ("reminder_1hour", 3_600, "start", False, "Summer party starts in 1 hour"),
        ("reminder_1hour", 2_100, "start", True, "Summer party starts in 35 minutes"),
        ("reminder", 60, "start", False, "Summer party starts in 1 minute"),
        ("reminder", 90_000, "start", False, "Summer party starts in 1 day 1 hour"),
        ("reminder", 1_800, "end", False, "Summer party ends in 30 minutes"),
        ("countdown", 172_800, "start", False, "Summer party starts in 2 days"),
        ("reminder", 0, "start", False, "Summer party starts now"),
        ("reminder", 0, "end", False, "Summer party ends now"),
        ("reminder", -300, "start", False, "Summer party has started"),
        ("reminder", -300, "end", False, "Summer party has ended"),
        ("reminder", None, "start", False, "Reminder: Summer party"),
    ],
)
def test_reminder_titles_tell_the_true_distance(
    kind: str, seconds: int | None, anchor: str, late: bool, title: str
) -> None:
    message = content(kind, distance_seconds=seconds, anchor=anchor, late=late)
    assert compose(message).title == title


def test_update_tells_old_and_new_of_everything_that_changed() -> None:
    changes = (
        Change("name", "Spring party", "Summer party"),
        Change("start_date", "2026-06-01T08:15:00Z", "2026-12-12T17:00:00Z"),
        Change("location", None, "Tempelhofer Feld"),
    )
    composed = compose(content("update", changes=changes))
    html = assert_harmless(composed.html, TEXT_TAGS).seen
    for form in (composed.text, composed.markdown, html):
        for value in ("Spring party", "Summer party", "Monday, 1 June 2026, 10:15", "(none)"):
            assert value in form
    assert "Starts\n  was: Monday, 1 June 2026, 10:15 (Europe/Berlin)\n  now: " + BERLIN in (
        composed.text
    )
    assert composed.preheader.startswith("Name: Summer party; Starts: Saturday, 12 December")


def test_changed_description_is_told_once() -> None:
    changes = (Change("description", "Old *words*", "New *words*"),)
    text = compose(content("update", changes=changes, facts=facts(description="New *words*"))).text
    assert "Old words" in text
    assert text.count("New words") == 1


def test_manual_message_is_the_organizers_in_every_form() -> None:
    composed = compose(content("manual", title="Bring shoes", body="# Hall\n\n- *one*\n- two"))
    assert composed.title == "Bring shoes"
    assert composed.text.startswith("Hall\n\n- one\n- two")
    assert composed.markdown.startswith("# Hall\n\n- *one*")
    assert "<h3>Hall</h3>" in composed.html
    assert "<li><em>one</em></li>" in composed.html
    assert composed.preheader == "Hall - one - two"


def test_manual_message_without_title_names_its_event() -> None:
    assert compose(content("manual", title=None)).title == "A message about Summer party"


def test_unsubscribed_leads_back_and_created_to_the_organizers_page() -> None:
    again = compose(content("unsubscribed"))
    assert (again.action_label, again.action_url) == ("Subscribe again", URL)
    own_page = "https://soonish.example/events/7"
    created = compose(content("created", extra={"url": own_page}))
    assert created.action_url == own_page
    assert f"Link to share: {URL}" in created.text


@pytest.mark.parametrize("kind", sorted(ACCOUNT_KINDS.keys() - {"test", "rejected"}))
@pytest.mark.parametrize("url", [None, "https://soonish.example/x?token=a-b_c"])
def test_account_mail_has_one_link_or_its_slot(kind: str, url: str | None) -> None:
    composed = compose(Content(kind, extra={"url": url} if url else {}))
    expected = url or "{{action_url}}"
    assert composed.action_url == expected
    assert composed.action_label
    assert composed.preheader
    assert composed.text.count(expected) == composed.markdown.count(expected) == 1
    html = assert_harmless(composed.html, TEXT_TAGS)
    assert html.hrefs == [expected]
    assert f"{composed.action_label}: {expected}" in html.seen


def test_account_mails_name_what_they_are_about() -> None:
    extra = {
        "channel": "Team chat",
        "problem": "404 Not Found",
        "event": "Summer party",
        "email": "new@example.org",
        "organizer": "Ada",
    }
    texts = {kind: compose(Content(kind, extra=extra)).text for kind in ACCOUNT_KINDS}
    assert "15 minutes" in texts["magic_link"]
    assert "1 hour" in texts["password_reset"]
    assert "7 days" in texts["verification"]
    assert "What happened: 404 Not Found" in texts["channel_failing"]
    assert "Team chat" in texts["channel_off"]
    assert texts["test"] == "If you can read this, Team chat works."
    assert "new@example.org" in texts["email_changed"]
    assert "Ada invites you to Summer party." in texts["invitation"]
    assert "Summer party" in texts["confirm_subscription"]
    assert "already has an account" in texts["already_registered"]


@pytest.mark.parametrize("kind", ["no_such_kind", "", "Welcome"])
def test_unknown_kind_is_an_error(kind: str) -> None:
    with pytest.raises(ValueError, match="unknown kind"):
        compose(Content(kind, facts()))


def test_event_message_without_its_event_is_an_error() -> None:
    with pytest.raises(ValueError, match="facts"):
        compose(Content("welcome"))


def test_unknown_language_is_english() -> None:
    for locale in ("xx", "", "not a locale", "de-DE-x-y-z", "../../etc"):
        assert compose(content("welcome"), locale).title == TITLES["welcome"]


@pytest.mark.parametrize("kind", [*EVENT_KINDS, *ACCOUNT_KINDS])
def test_content_survives_json(kind: str) -> None:
    message = content(kind, extra={"url": "x"}, late=True, anchor="end")
    assert Content.from_json(json.loads(json.dumps(message.to_json()))) == message


def test_content_json_has_utc_dates_and_fills_defaults() -> None:
    data = content("welcome").to_json()
    assert data["facts"]["start"] == "2026-12-12T17:00:00Z"
    assert Content.from_json({"kind": "verification"}) == Content("verification")
    with pytest.raises(ValueError, match="offset"):
        Content.from_json(data | {"facts": data["facts"] | {"start": "2026-12-12T17:00:00"}})
    assert Content.from_json(data).facts == facts(start=datetime(2026, 12, 12, 17, tzinfo=UTC))
