"""Pages for development only.

/dev/components shows every macro of partials/ui.html in every state; /dev/mail shows the mails that
the built-in catcher took, to a browser on this machine.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from types import SimpleNamespace

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from soonish.config import Settings
from soonish.errors import InvalidInput, NotFound
from soonish.infra.db.types import utc_now
from soonish.local.caught_mail import list_mails, read_mail
from soonish.web.client_address import is_this_machine
from soonish.web.deps import OptionalUser, SettingsDep
from soonish.web.rendering.forms import Form
from soonish.web.rendering.frames import mail_frame
from soonish.web.rendering.templating import render

components_router = APIRouter(prefix="/dev/components", include_in_schema=False)
_STATES = ("scheduled", "ongoing", "ended", "cancelled")


def offers_components(settings: Settings) -> bool:
    return not settings.production


@components_router.get("")
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


def require_loopback(request: Request, settings: SettingsDep) -> None:
    """NotFound for everybody but a browser on this very machine in development."""
    if not offers_mail(settings) or not is_this_machine(request):
        raise NotFound


def offers_mail(settings: Settings) -> bool:
    return settings.uses_mail_catcher and not settings.production


mail_router = APIRouter(
    prefix="/dev/mail", include_in_schema=False, dependencies=[Depends(require_loopback)]
)


@mail_router.get("")
async def mails(
    request: Request, settings: SettingsDep, user: OptionalUser, query: str = ""
) -> Response:
    found = await asyncio.to_thread(list_mails, settings.soonish_home, 100, query)
    return render(request, "dev/mails.html", user=user, mails=found, query=query)


@mail_router.get("/{name}")
async def mail(request: Request, name: str, settings: SettingsDep, user: OptionalUser) -> Response:
    message = await asyncio.to_thread(read_mail, settings.soonish_home, name)
    return render(request, "dev/mail.html", user=user, mail=message.mail, message=message)


@mail_router.get("/{name}/html")
async def mail_html(name: str, settings: SettingsDep) -> Response:
    """Return the HTML part as its own sandboxed document, for the frame."""
    message = await asyncio.to_thread(read_mail, settings.soonish_home, name)
    return mail_frame(message.html)
