"""The start page: what Soonish is, and the public events to come with search and filters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import Response

from soonish.domain.events.queries import EventFilter, facets, list_public
from soonish.domain.events.schemas import EventOut
from soonish.infra.db.models.accounts import User
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import Text, known_timezones
from soonish.web.deps import DbDep, OptionalUser, SettingsDep
from soonish.web.params import CursorText
from soonish.web.rendering.templating import is_htmx, render

router = APIRouter(include_in_schema=False)

PAGE_SIZE = 20
SearchText = Annotated[Text, Query(max_length=200)]
FilterText = Annotated[Text, Query(max_length=64)]
DateText = Annotated[Text, Query(max_length=32)]


@dataclass(frozen=True)
class StartFilter:
    """The list's state, as it stands in the address. Days are of the reader's timezone."""

    query: str = ""
    category: str = ""
    tag: str = ""
    since: str = ""
    until: str = ""
    zone: str = ""

    @property
    def is_narrowed(self) -> bool:
        return any((self.query, self.category, self.tag, self.since, self.until))

    def address(self, **changes: str | None) -> str:
        """The same list with changes; what is empty is not written."""
        values = {k: v for k, v in (asdict(self) | changes).items() if v}
        if not (self.since or self.until):
            values.pop("zone", None)
        return f"/?{urlencode(values)}" if values else "/"


async def wanted(
    query: SearchText = "",
    category: FilterText = "",
    tag: FilterText = "",
    since: DateText = "",
    until: DateText = "",
    zone: FilterText = "",
) -> StartFilter:
    return StartFilter(
        query, category, tag, since, until, zone if zone in known_timezones() else ""
    )


@router.get("/")
async def start(
    request: Request,
    db: DbDep,
    settings: SettingsDep,
    user: OptionalUser,
    wanted: Annotated[StartFilter, Depends(wanted)],
    cursor: CursorText = None,
) -> Response:
    """HTMX gets the list alone. A day that is none, or an end before its beginning, is ignored."""
    earliest, latest = _instants(wanted, user)
    shown = EventFilter(wanted.query, wanted.category.strip(), wanted.tag.strip(), earliest, latest)
    async with db.read() as session:
        found, following = await list_public(
            session, shown, utc_now(), limit=PAGE_SIZE, cursor=cursor
        )
        offered = await facets(session, utc_now())
    page = render(
        request,
        "events/list.html" if is_htmx(request) else "events/start.html",
        user=user,
        wanted=wanted,
        facets=offered,
        events=[EventOut.of(one, settings) for one in found],
        next_url=wanted.address(cursor=following) if following else None,
    )
    page.headers["HX-Push-Url"] = wanted.address(cursor=cursor)  # without what is empty
    return page


def _instants(wanted: StartFilter, user: User | None) -> tuple[datetime | None, datetime | None]:
    zone = ZoneInfo(wanted.zone or (user and user.timezone) or "UTC")
    first, last = _day(wanted.since), _day(wanted.until)
    if first and last and last < first:
        last = None
    end = last + timedelta(days=1) if last else None
    return _midnight(first, zone), _midnight(end, zone)


def _day(text: str) -> date | None:
    """Parse a date field; None for anything else, and for days that no zone can shift."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if 1970 <= day.year <= 9000 else None


def _midnight(day: date | None, zone: ZoneInfo) -> datetime | None:
    return datetime.combine(day, time(), zone).astimezone(UTC) if day else None
