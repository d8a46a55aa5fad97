"""Dates, distances and forms as people read and type them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from soonish.errors import Conflict, InvalidInput
from soonish.i18n import language
from soonish.web.rendering.formats import Formats
from soonish.web.rendering.forms import Form

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
ENGLISH = Formats(language("en"))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (30, "30 seconds"),
        (60, "1 minute"),
        (3600, "1 hour"),
        (9000, "2 hours 30 minutes"),
        (86400, "1 day"),
        (90060, "1 day 1 hour 1 minute"),
        (7 * 86400, "7 days"),
    ],
)
def test_durations(seconds: int, text: str):
    assert ENGLISH.duration(seconds) == text


@time_machine.travel(NOW, tick=False)
@pytest.mark.parametrize(
    ("distance", "text"),
    [
        (timedelta(days=3), "in 3 days"),
        (timedelta(days=1), "in 1 day"),
        (timedelta(days=9), "in 9 days"),
        (timedelta(days=20), "in 3 weeks"),
        (timedelta(hours=-2), "2 hours ago"),
        (timedelta(minutes=40), "in 40 minutes"),
    ],
)
def test_distances_from_now(distance: timedelta, text: str):
    assert ENGLISH.relative(NOW + distance) == text


@time_machine.travel(datetime(2026, 11, 29, 1, 0, tzinfo=UTC), tick=False)
def test_days_are_those_of_the_calendar():
    tomorrow = datetime(2026, 11, 30, 17, 0, tzinfo=UTC)
    assert ENGLISH.relative(tomorrow, "Europe/Berlin") == "in 1 day"
    assert ENGLISH.relative(tomorrow, "America/New_York") == "in 2 days"  # Saturday evening there


def test_the_same_instant_in_other_zones_and_languages():
    late = datetime(2026, 11, 23, 23, 30, tzinfo=UTC)
    assert ENGLISH.date(late) == "Monday, 23 November 2026"
    assert ENGLISH.date(late, "Europe/Berlin") == "Tuesday, 24 November 2026"
    assert Formats(language("de")).date(late, "Europe/Berlin") == "Dienstag, 24. November 2026"
    assert Formats(language("de")).time(late, "Europe/Berlin") == "00:30"
    assert ENGLISH.iso(late) == "2026-11-23T23:30:00Z"
    assert ENGLISH.local_input(late, "Europe/Berlin") == "2026-11-24T00:30"


def test_markdown_is_safe():
    html = ENGLISH.markdown('**a** <script>1</script> [x](javascript:alert(1)) "q"')
    assert "<strong>a</strong>" in html
    assert "<script" not in html
    assert 'href="javascript' not in html


def test_a_form_reads_local_times_as_instants():
    form = Form({"at": ["2026-07-01T20:00"], "odd": ["tomorrow"], "far": ["0001-01-01T00:00"]})
    assert form.instant("at", "Europe/Berlin") == datetime(2026, 7, 1, 18, tzinfo=UTC)
    assert form.instant("none", "UTC") is None
    with pytest.raises(InvalidInput) as caught:
        form.instant("odd", "UTC")
    assert caught.value.errors[0].field == "odd"
    with pytest.raises(InvalidInput):
        form.instant("far", "Asia/Tokyo")
    with pytest.raises(InvalidInput) as caught:
        form.instant("at", "../../etc/passwd")
    assert caught.value.errors[0].field == "timezone"


def test_errors_belong_to_fields_or_to_the_whole():
    form = Form.filled(name="x").failed(InvalidInput("tags.2", "Too long."))
    assert (form.error("tags"), form.error("name")) == ("Too long.", "")
    assert Form().failed(Conflict("It is over.")).error("body") == "It is over."
