"""The wording of messages about an event (docs/notification-patterns.md#what-is-sent)."""

from __future__ import annotations

from collections.abc import Callable

from soonish.delivery.texts.blocks import (
    NAME_LIMIT,
    Action,
    Block,
    ChangeRows,
    Draft,
    MarkdownText,
    Paragraph,
    Rows,
)
from soonish.delivery.texts.content import Content, EventFacts
from soonish.delivery.texts.humanize import date_in_words, describe_changes, duration_in_words
from soonish.delivery.texts.markdown import markdown_to_text
from soonish.delivery.texts.safe_text import one_line, paragraph, shorten
from soonish.i18n import Language
from soonish.infra.db.models.notifications import NotificationKind as Kind

_EXCERPT = 400  # characters of the description
_CLEARLY_OVER = -60  # seconds; a reminder this long after its anchor says that it is over

Wording = Callable[[Content, EventFacts, Language], Draft]


def event_draft(content: Content, facts: EventFacts, t: Language) -> Draft:
    """Word one of EVENT_KINDS. Raises KeyError for any other kind."""
    return EVENT_KINDS[content.kind](content, facts, t)


def _created(content: Content, facts: EventFacts, t: Language) -> Draft:
    intro = Paragraph(
        t.gettext(
            "Share the link below: whoever opens it can subscribe with an email address or with "
            "a channel of their own. Soonish tells them about every change and reminds them in "
            "time."
        )
    )
    share = Rows(((t.gettext("Link to share"), facts.url),))
    how = t.gettext("Share its link so that people can subscribe.")
    if not facts.is_public:
        how = t.gettext("It is private: only those whom you invite can see it and subscribe.")
    return Draft(
        title=t.gettext("Your event %(name)s is ready") % _named(facts),
        preheader=how,
        reason=t.gettext("You get this because you created %(name)s.") % _named(facts),
        blocks=(*((intro, share) if facts.is_public else (Paragraph(how),)), _details(facts, t)),
        action=Action(t.gettext("Open your event"), content.extra.get("url") or facts.url),
    )


def _welcome(content: Content, facts: EventFacts, t: Language) -> Draft:
    intro = t.gettext("From now on you are told about every change, and reminded in time.")
    return Draft(
        title=t.gettext("You're subscribed to %(name)s") % _named(facts),
        preheader=_when_and_where(facts, t),
        reason=_because_subscribed(facts, t),
        blocks=(Paragraph(intro), _details(facts, t), *_about(facts, t)),
        action=_see_event(facts, t),
    )


def _update(content: Content, facts: EventFacts, t: Language) -> Draft:
    changes = describe_changes(content.changes, facts.timezone, str(t.locale))
    rows = ChangeRows(tuple(changes), t.gettext("was"), t.gettext("now"))
    heading = Paragraph(t.gettext("This is what has changed:"))
    # A changed description is among the changes already.
    is_described = any(change.field == "description" for change in content.changes)
    return Draft(
        title=t.gettext("%(name)s has changed") % _named(facts),
        preheader="; ".join(f"{label}: {shorten(new, 80)}" for label, _, new in changes),
        reason=_because_subscribed(facts, t),
        blocks=(
            *((heading, rows) if changes else ()),
            _details(facts, t, heading=t.gettext("Event")),
            *(() if is_described else _about(facts, t)),
        ),
        action=_see_event(facts, t),
    )


def _cancelled(content: Content, facts: EventFacts, t: Language) -> Draft:
    intro = t.gettext("This event will not take place. There is nothing you need to do.")
    note = (MarkdownText(content.body),) if content.body else ()
    return Draft(
        title=t.gettext("%(name)s is cancelled") % _named(facts),
        preheader=t.gettext("It was planned for %(date)s.") % {"date": _start(facts, t)},
        reason=_because_subscribed(facts, t),
        blocks=(Paragraph(intro), *note, _details(facts, t, when=t.gettext("Was planned for"))),
        action=_see_event(facts, t),
    )


def _manual(content: Content, facts: EventFacts, t: Language) -> Draft:
    title = one_line(content.title) or t.gettext("A message about %(name)s") % _named(facts)
    body = content.body or ""
    event = Rows(((t.gettext("Event"), one_line(facts.name)), *_detail_rows(facts, t)))
    return Draft(
        title=title,
        preheader=shorten(" ".join(markdown_to_text(body).split()), 140),
        reason=_because_subscribed(facts, t),
        blocks=(MarkdownText(body), event),
        action=_see_event(facts, t),
    )


def _tomorrow(content: Content, facts: EventFacts, t: Language) -> Draft:
    if content.late and content.distance_seconds is not None:
        return _reminder(content, facts, t)
    return _reminder_titled(
        t.gettext("Don't forget! %(name)s is tomorrow") % _named(facts), facts, t
    )


def _in_one_hour(content: Content, facts: EventFacts, t: Language) -> Draft:
    if content.late and content.distance_seconds is not None:
        return _reminder(content, facts, t)
    return _reminder_titled(_distance_title(3600, "start", facts, t), facts, t)


def _reminder(content: Content, facts: EventFacts, t: Language) -> Draft:
    distance = content.distance_seconds
    if distance is None:
        title = t.gettext("Reminder: %(name)s") % _named(facts)
    else:
        title = _distance_title(distance, content.anchor, facts, t)
    return _reminder_titled(title, facts, t)


def _distance_title(seconds: int, anchor: str, facts: EventFacts, t: Language) -> str:
    ends = anchor == "end"
    if seconds <= _CLEARLY_OVER:
        over = t.gettext("%(name)s has ended") if ends else t.gettext("%(name)s has started")
        return over % _named(facts)
    if seconds <= 0:
        now = t.gettext("%(name)s ends now") if ends else t.gettext("%(name)s starts now")
        return now % _named(facts)
    ahead = (
        t.gettext("%(name)s ends in %(duration)s")
        if ends
        else t.gettext("%(name)s starts in %(duration)s")
    )
    return ahead % (_named(facts) | {"duration": duration_in_words(seconds, str(t.locale))})


def _reminder_titled(title: str, facts: EventFacts, t: Language) -> Draft:
    return Draft(
        title=title,
        preheader=_when_and_where(facts, t),
        reason=_because_subscribed(facts, t),
        blocks=(_details(facts, t), *_about(facts, t)),
        action=_see_event(facts, t),
    )


def _removed(content: Content, facts: EventFacts, t: Language) -> Draft:
    intro = t.gettext(
        "The organizer has taken you off the list of subscribers. You will hear nothing more "
        "about this event. If you think that this is a mistake, please ask the organizer."
    )
    return Draft(
        title=t.gettext("You were removed from %(name)s") % _named(facts),
        preheader=t.gettext("You will hear nothing more about this event."),
        reason=_because_it_was(facts, t),
        blocks=(Paragraph(intro), _details(facts, t)),
        action=_see_event(facts, t) if facts.is_public else None,
    )


def _unsubscribed(content: Content, facts: EventFacts, t: Language) -> Draft:
    intro = t.gettext(
        "This is the last message: you will hear nothing more about this event. Should you "
        "change your mind, you can subscribe again with the link below."
    )
    again = Action(t.gettext("Subscribe again"), content.extra.get("url") or facts.url)
    if not facts.is_public:
        intro = t.gettext(
            "This is the last message: you will hear nothing more about this event. Should you "
            "change your mind, please ask the organizer for an invitation."
        )
    return Draft(
        title=t.gettext("You're unsubscribed from %(name)s") % _named(facts),
        preheader=t.gettext("You will hear nothing more about this event."),
        reason=_because_it_was(facts, t),
        blocks=(Paragraph(intro), _details(facts, t)),
        action=again if facts.is_public else None,
    )


EVENT_KINDS: dict[str, Wording] = {
    Kind.CREATED: _created,
    Kind.WELCOME: _welcome,
    Kind.UPDATE: _update,
    Kind.CANCELLED: _cancelled,
    Kind.MANUAL: _manual,
    Kind.REMINDER_1DAY: _tomorrow,
    Kind.REMINDER_1HOUR: _in_one_hour,
    Kind.REMINDER: _reminder,
    Kind.COUNTDOWN: _reminder,
    Kind.REMOVED: _removed,
    Kind.UNSUBSCRIBED: _unsubscribed,
}


def _named(facts: EventFacts) -> dict[str, str]:
    return {"name": one_line(facts.name, NAME_LIMIT) or "…"}


def _start(facts: EventFacts, t: Language) -> str:
    return date_in_words(facts.start, facts.timezone, str(t.locale))


def _when_and_where(facts: EventFacts, t: Language) -> str:
    where = one_line(facts.location, 80)
    return f"{_start(facts, t)}, {where}" if where else _start(facts, t)


def _details(facts: EventFacts, t: Language, *, when: str = "", heading: str = "") -> Rows:
    name = ((heading, one_line(facts.name)),) if heading else ()
    return Rows((*name, *_detail_rows(facts, t, when)))


def _detail_rows(facts: EventFacts, t: Language, when: str = "") -> tuple[tuple[str, str], ...]:
    end = date_in_words(facts.end, facts.timezone, str(t.locale)) if facts.end else ""
    rows = (
        (when or t.gettext("When"), _start(facts, t)),
        (t.gettext("Until"), end),
        (t.gettext("Where"), one_line(facts.location)),
        (t.gettext("Organizer"), one_line(facts.organizer_name)),
        (t.gettext("Contact"), one_line(facts.contact)),
    )
    return tuple(row for row in rows if row[1])


def _about(facts: EventFacts, t: Language) -> tuple[Block, ...]:
    """Return an excerpt of the description in plain text: half a list or link would look broken."""
    excerpt = paragraph(markdown_to_text(facts.description), _EXCERPT)
    return (Paragraph(excerpt, heading=t.gettext("About this event")),) if excerpt else ()


def _see_event(facts: EventFacts, t: Language) -> Action:
    return Action(t.gettext("See the event"), facts.url)


def _because_subscribed(facts: EventFacts, t: Language) -> str:
    return t.gettext("You get this because you are subscribed to %(name)s.") % _named(facts)


def _because_it_was(facts: EventFacts, t: Language) -> str:
    return t.gettext("You get this because you were subscribed to %(name)s.") % _named(facts)
