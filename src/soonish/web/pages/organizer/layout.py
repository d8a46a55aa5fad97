"""What every section of the organizer's page starts from."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response

from soonish.config import Settings
from soonish.domain.access import policy
from soonish.domain.events import queries
from soonish.domain.events.schemas import EventOut
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Session
from soonish.infra.db.types import utc_now
from soonish.web.rendering.templating import render

PAGE_SIZE = 20


async def own_event(session: Session, event_id: int, user: User, settings: Settings) -> EventOut:
    """Return the event as the API shows it to its organizers. Raise NotFound or Forbidden."""
    return EventOut.of(await queries.organized(session, event_id, user), settings)


def is_open(event: EventOut, grace: timedelta = timedelta(0)) -> bool:
    """Return True while the event takes changes and subscribers; with `grace`, messages."""
    over_at = event.end_date or event.start_date
    return event.status != "cancelled" and over_at + grace > utc_now()


def section(
    request: Request,
    user: User,
    event: EventOut,
    template: str,
    title: str,
    *,
    tab: str,
    status: int = 200,
    **context: Any,
) -> Response:
    """Render a section of the organizer's page: `organizer/{template}.html` below the tabs."""
    return render(
        request,
        f"organizer/{template}.html",
        status=status,
        user=user,
        event=event,
        open=is_open(event),
        is_owner=policy.is_owner(event, user),
        tab=tab,
        section_title=title,
        **context,
    )


def next_url(path: str, cursor: str | None, **parameters: str) -> str | None:
    """Return the URL of a list's next page, None on the last."""
    if cursor is None:
        return None
    kept = {name: value for name, value in parameters.items() if value}
    return f"{path}?{urlencode(kept | {'cursor': cursor})}"
