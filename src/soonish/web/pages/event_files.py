"""What belongs to an event's public link: calendar file, preview picture, QR code, update log.

Each needs the rights that the page itself needs; the picture alone is there for any link, and
says nothing about an event that may not be seen.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.domain.events import history, queries
from soonish.domain.events.calendar import MEDIA_TYPE, event_calendar
from soonish.domain.events.schemas import EventOut
from soonish.errors import NotFound
from soonish.i18n import Language, language
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event, EventUpdate
from soonish.infra.db.session import Session
from soonish.web.deps import DbDep, OptionalUser, SettingsDep
from soonish.web.params import CursorText, InvitationToken
from soonish.web.rendering.formats import Formats
from soonish.web.rendering.pictures import Preview, preview_png, qr_svg
from soonish.web.rendering.templating import is_htmx, locale_of, render

router = APIRouter(include_in_schema=False)

UPDATES_SHOWN = 5


@dataclass(frozen=True)
class UpdateLog:
    """A page of an event's update log; `next_url` is None where it ends."""

    items: list[EventUpdate]
    next_url: str | None


async def update_log(
    session: Session, event: Event, cursor: str | None, limit: int = UPDATES_SHOWN
) -> UpdateLog:
    items, following = await history.list_updates(session, event, limit=limit, cursor=cursor)
    return UpdateLog(items, f"/e/{event.slug}/updates?cursor={following}" if following else None)


async def calendar_of(session: Session, event: Event, shown: EventOut) -> Response:
    """Return the event as a file; its SEQUENCE is the number of changes in the update log."""
    sequence = await history.count_changes(session, event.id)
    owner = await session.get(User, event.owner_user_id)
    name = f'attachment; filename="{event.slug}.ics"'
    return Response(
        event_calendar(shown, owner and owner.name, sequence),
        media_type=MEDIA_TYPE,
        headers={"Content-Disposition": name},
    )


@router.get("/e/{slug}.ics")
async def calendar(
    slug: str,
    db: DbDep,
    settings: SettingsDep,
    user: OptionalUser,
    invitation: InvitationToken = None,
) -> Response:
    async with db.read() as session:
        event = await queries.by_slug(session, slug, user, invitation)
        shown = EventOut.of(await queries.details_for_visitors(session, event), settings)
        return await calendar_of(session, event, shown)


@router.get("/e/{slug}/og.png")
async def picture(request: Request, slug: str, db: DbDep) -> Response:
    """Whoever asks: what anybody may see, and for a private event the same as for none."""
    words = language(locale_of(request, None))
    try:
        async with db.read() as session:
            event = await queries.by_slug(session, slug, None)
        preview = _preview(event, words)
    except NotFound:
        preview = Preview(words.gettext("An event on Soonish"), ())
    content = await asyncio.to_thread(preview_png, preview)
    headers = {"Cache-Control": "public, max-age=3600", "Vary": "Accept-Language"}
    return Response(content, media_type="image/png", headers=headers)


@router.get("/e/{slug}/qr.svg")
async def qr_code(
    slug: str,
    db: DbDep,
    settings: SettingsDep,
    user: OptionalUser,
    invitation: InvitationToken = None,
) -> Response:
    async with db.read() as session:
        event = await queries.by_slug(session, slug, user, invitation)
    content = qr_svg(f"{settings.base_url}/e/{event.slug}")
    return Response(content, media_type="image/svg+xml")


@router.get("/e/{slug}/updates")
async def updates(
    request: Request,
    slug: str,
    db: DbDep,
    settings: SettingsDep,
    user: OptionalUser,
    cursor: CursorText = None,
    invitation: InvitationToken = None,
) -> Response:
    """Older updates; HTMX gets the entries alone, to put them below the others."""
    async with db.read() as session:
        event = await queries.by_slug(session, slug, user, invitation)
        shown = EventOut.of(await queries.details_for_visitors(session, event), settings)
        log = await update_log(session, event, cursor, limit=20)
    template = "events/updates.html" if is_htmx(request) else "events/updates_page.html"
    return render(
        request, template, user=user, event=shown, updates=log.items, updates_next=log.next_url
    )


def _preview(event: Event, words: Language) -> Preview:
    formats = Formats(words)
    when = _in_words(event.start_date, event.timezone, formats)
    if event.cancelled_at:
        when = f"{words.gettext('Cancelled')}: {when}"
    lines = (when, event.location) if event.location else (when,)
    return Preview(event.name, lines, formats.cover(event.slug))


def _in_words(moment: datetime, timezone: str, formats: Formats) -> str:
    return f"{formats.date(moment, timezone)}, {formats.time(moment, timezone)} ({timezone})"
