"""Put all pages into one router."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.config import Settings
from soonish.web.pages import admin, dev, event, event_files, mail_links, new_event, start
from soonish.web.pages.account import account, erase, oidc, sign_in, sign_up
from soonish.web.pages.channels import form, list
from soonish.web.pages.organizer import access, live, message, people, sent
from soonish.web.pages.organizer import event as organizer_pages
from soonish.web.rendering.templating import render


def pages_router(settings: Settings) -> APIRouter:
    """The router of every page; `/dev/...` only in development."""
    router = APIRouter(include_in_schema=False)
    everybody = (
        start,
        event_files,
        new_event,
        event,
        mail_links,
        sign_in,
        account,
        oidc,
        sign_up,
        erase,
    )
    organizer = (
        message,
        sent,
        live,
        people,
        organizer_pages,
        access,
    )
    for module in (*everybody, *organizer, form, list, admin):
        router.include_router(module.router)
    if dev.offers_mail(settings):
        router.include_router(dev.mail_router)
    if dev.offers_components(settings):
        router.include_router(dev.components_router)
    router.add_api_route("/api/docs", _api_docs, methods=["GET"])
    return router


async def _api_docs(request: Request) -> Response:
    """The API's description to try out, from our own assets: FastAPI's page loads foreign ones."""
    return render(request, "api_docs.html", user=None)
