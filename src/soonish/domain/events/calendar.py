"""Render an event as an iCalendar file (RFC 5545) to import or subscribe to."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from icalendar import Calendar, vCalAddress, vText
from icalendar import Event as Entry

from soonish.delivery.texts.markdown import markdown_to_text
from soonish.delivery.transports.mail.mime import reply_address
from soonish.domain.events.schemas import EventOut

MEDIA_TYPE = "text/calendar; charset=utf-8"
_REFRESH = timedelta(hours=1)  # how often subscribed calendars may refresh


def event_calendar(event: EventOut, organizer: str | None, sequence: int) -> bytes:
    """Return the calendar file. `sequence` must grow with every change of the event.

    Calendars then replace the entry they have, as the UID never changes; a cancelled event stays,
    as cancelled. Times are local to the event, with a VTIMEZONE to define them.
    """
    calendar = Calendar()
    calendar.add("prodid", "-//Soonish//Soonish//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH")
    calendar.add("refresh-interval", _REFRESH, {"VALUE": "DURATION"})
    calendar.add_component(_entry(event, organizer, sequence))
    calendar.add_missing_timezones()
    return calendar.to_ical()


def _entry(event: EventOut, organizer: str | None, sequence: int) -> Entry:
    entry = Entry()
    entry.add("uid", f"{event.slug}@soonish")
    entry.add("sequence", sequence)
    entry.add("dtstamp", event.updated_at)
    entry.add("last-modified", event.updated_at)
    entry.add("summary", event.name)
    entry.add("dtstart", _local(event.start_date, event.timezone))
    if event.end_date:
        entry.add("dtend", _local(event.end_date, event.timezone))
    entry.add("status", "CANCELLED" if event.status == "cancelled" else "CONFIRMED")
    entry.add("url", event.public_url)
    entry.add("description", _description(event))
    if event.location:
        entry.add("location", event.location)
    if event.tags:
        entry.add("categories", event.tags)
    if address := reply_address(event.contact):
        entry.add("organizer", _organizer(address, organizer))
    return entry


def _local(moment: datetime, timezone: str) -> datetime:
    return moment.astimezone(ZoneInfo(timezone))


def _description(event: EventOut) -> str:
    text = markdown_to_text(event.description)
    return f"{text}\n\n{event.public_url}" if text else event.public_url


def _organizer(address: str, name: str | None) -> vCalAddress:
    made = vCalAddress(f"MAILTO:{address}")
    if name:
        made.params["cn"] = vText(name)
    return made
