"""/dev/mail: what the built-in mail catcher caught. Development and loopback only."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from soonish.accounts.clients import is_this_machine
from soonish.config import Settings
from soonish.deps import OptionalUser, SettingsDep
from soonish.errors import NotFound
from soonish.ops.caught_mail import list_mails, read_mail
from soonish.web.frames import mail_frame
from soonish.web.templating import render


def require_loopback(request: Request, settings: SettingsDep) -> None:
    """NotFound for everybody but a browser on this very machine in development."""
    if not is_offered(settings) or not is_this_machine(request):
        raise NotFound


def is_offered(settings: Settings) -> bool:
    return settings.uses_mail_catcher and not settings.production


router = APIRouter(
    prefix="/dev/mail", include_in_schema=False, dependencies=[Depends(require_loopback)]
)


@router.get("")
async def mails(
    request: Request, settings: SettingsDep, user: OptionalUser, query: str = ""
) -> Response:
    found = await asyncio.to_thread(list_mails, settings.soonish_home, 100, query)
    return render(request, "dev/mails.html", user=user, mails=found, query=query)


@router.get("/{name}")
async def mail(request: Request, name: str, settings: SettingsDep, user: OptionalUser) -> Response:
    message = await asyncio.to_thread(read_mail, settings.soonish_home, name)
    return render(request, "dev/mail.html", user=user, mail=message.mail, message=message)


@router.get("/{name}/html")
async def mail_html(name: str, settings: SettingsDep) -> Response:
    """The HTML part as its own sandboxed document, for the frame."""
    message = await asyncio.to_thread(read_mail, settings.soonish_home, name)
    return mail_frame(message.html)
