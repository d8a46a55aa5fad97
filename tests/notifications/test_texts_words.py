"""Durations, dates around changes of clocks, and changed values in words."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonish.delivery.texts.compose import date_in_words, describe_changes, duration_in_words
from soonish.delivery.texts.content import Change


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (-5, "0 seconds"),
        (1, "1 second"),
        (59.6, "1 minute"),
        (90, "1 minute 30 seconds"),
        (3599, "59 minutes 59 seconds"),
        (3600, "1 hour"),
        (7193, "2 hours"),
        (9000, "2 hours 30 minutes"),
        (86_400, "1 day"),
        (86_399, "1 day"),
        (93_660, "1 day 2 hours 1 minute"),
        (31_536_000, "365 days"),
    ],
)
def test_duration(seconds: float, words: str) -> None:
    assert duration_in_words(seconds) == words


@given(st.integers(0, 400 * 86_400))
def test_duration_is_true_to_half_a_minute(seconds: int) -> None:
    units = {"day": 86_400, "hour": 3600, "minute": 60, "second": 1}
    parts = duration_in_words(seconds).split()
    told = sum(
        int(number) * units[unit.rstrip("s")]
        for number, unit in zip(parts[::2], parts[1::2], strict=True)
    )
    assert abs(told - seconds) <= (30 if seconds >= 3600 else 0)


@pytest.mark.parametrize(
    ("moment", "timezone", "words"),
    [
        ("2026-12-12T17:00Z", "Europe/Berlin", "Saturday, 12 December 2026, 18:00 (Europe/Berlin)"),
        ("2026-07-01T22:05Z", "Europe/Berlin", "Thursday, 2 July 2026, 00:05 (Europe/Berlin)"),
        # the clocks go forward: 02:30 does not exist
        ("2026-03-29T00:30Z", "Europe/Berlin", "Sunday, 29 March 2026, 01:30 (Europe/Berlin)"),
        ("2026-03-29T01:30Z", "Europe/Berlin", "Sunday, 29 March 2026, 03:30 (Europe/Berlin)"),
        # and back: 02:30 exists twice
        (
            "2026-10-25T00:30Z",
            "Europe/Berlin",
            "Sunday, 25 October 2026, 02:30 (Europe/Berlin, UTC+02:00)",
        ),
        (
            "2026-10-25T01:30Z",
            "Europe/Berlin",
            "Sunday, 25 October 2026, 02:30 (Europe/Berlin, UTC+01:00)",
        ),
        ("2026-10-25T02:30Z", "Europe/Berlin", "Sunday, 25 October 2026, 03:30 (Europe/Berlin)"),
        ("2026-01-01T00:00Z", "Asia/Kathmandu", "Thursday, 1 January 2026, 05:45 (Asia/Kathmandu)"),
        ("2026-01-01T00:00Z", "UTC", "Thursday, 1 January 2026, 00:00 (UTC)"),
        ("2026-01-01T00:00Z", "Not/AZone", "Thursday, 1 January 2026, 00:00 (UTC)"),
        ("2026-01-01T00:00Z", "../../etc/passwd", "Thursday, 1 January 2026, 00:00 (UTC)"),
        ("2026-01-01T00:00Z", "", "Thursday, 1 January 2026, 00:00 (UTC)"),
        ("9999-12-31T23:00Z", "Pacific/Kiritimati", "Friday, 31 December 9999, 23:00 (UTC)"),
    ],
)
def test_date_in_the_events_timezone(moment: str, timezone: str, words: str) -> None:
    assert date_in_words(datetime.fromisoformat(moment), timezone) == words


def test_dates_follow_the_language() -> None:
    moment = datetime(2026, 12, 12, 17, tzinfo=UTC)
    assert date_in_words(moment, "Europe/Berlin", "de").startswith("Samstag, 12. Dezember 2026")


def test_changes_in_words() -> None:
    changes = [
        Change("start_date", "2026-10-24T10:00:00Z", "2026-10-25T10:00:00Z"),
        Change("end", None, "2026-10-25T12:00:00+00:00"),
        Change("tags", '["a", "b"]', "[]"),
        Change("is_public", "true", "false"),
        Change("description", "*Old*\n\nmore", ""),
        Change("odd_field", "1", "2"),
        Change("start", "not a date", None),
    ]
    assert describe_changes(changes, "Europe/Berlin") == [
        (
            "Starts",
            "Saturday, 24 October 2026, 12:00 (Europe/Berlin)",
            "Sunday, 25 October 2026, 11:00 (Europe/Berlin)",
        ),
        ("Ends", "(none)", "Sunday, 25 October 2026, 13:00 (Europe/Berlin)"),
        ("Tags", "a, b", "(none)"),
        ("Visibility", "public", "private"),
        ("Description", "Old\n\nmore", "(none)"),
        ("Odd field", "1", "2"),
        ("Starts", "not a date", "(none)"),
    ]


@given(st.text(st.characters(categories=("L", "N", "P", "S")), min_size=1, max_size=300))
def test_a_changed_name_is_told_verbatim(name: str) -> None:
    [(_, old, new)] = describe_changes([Change("name", name, "x")], "UTC")
    assert old.replace("\u2060", "") == name.replace("\u2060", "")
    assert new == "x"
