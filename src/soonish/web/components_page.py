"""/dev/components: every macro of partials/ui.html in every state. Development only."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.config import Settings
from soonish.db.types import utc_now
from soonish.errors import InvalidInput
from soonish.web.forms import Form
from soonish.web.templating import render

router = APIRouter(prefix="/dev/components", include_in_schema=False)
_STATES = ("scheduled", "ongoing", "ended", "cancelled")


def is_offered(settings: Settings) -> bool:
    return not settings.production


@router.get("")
async def components(request: Request) -> Response:
    wrong = Form.filled(name="What was typed", zone="1", **{"body-text": "What was typed"})
    for field in ("name", "body-text", "zone", "body"):
        wrong.failed(InvalidInput(field, "this is not right yet; try it like this"))
    events = [_event(number, status) for number, status in enumerate(_STATES)]
    return render(
        request, "dev/components.html", user=None, empty=Form(), wrong=wrong, events=events
    )


def _event(number: int, status: str) -> SimpleNamespace:
    start = utc_now() + timedelta(days=number + 1)
    return SimpleNamespace(
        name=f"An event that is {status}",
        slug=f"sample-{number}",
        status=status,
        start_date=start,
        end_date=start + timedelta(hours=2),
        timezone="Europe/Berlin",
        location="A place",
        is_public=number % 2 == 0,
    )
