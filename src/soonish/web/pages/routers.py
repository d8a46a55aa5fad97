"""Every page's router, in the order in which they are asked."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.config import Settings
from soonish.web.pages import admin, dev, event, event_files, mail_links, new_event, start
from soonish.web.pages.account import account, erase, oidc, sign_in, sign_up
from soonish.web.pages.channels import form
from soonish.web.pages.channels import list as list_
from soonish.web.pages.organizer import access, live, message, people, sent
from soonish.web.pages.organizer import event as organizer_pages
from soonish.web.rendering.templating import render

EVERYBODY = (
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
ORGANIZER = (
    message,
    sent,
    live,
    people,
    organizer_pages,
    access,
)
docs_router = APIRouter(include_in_schema=False)


def page_routers(settings: Settings) -> list[APIRouter]:
    """Return the router of each page; those of `/dev/...` only in development."""
    routers = [module.router for module in (*EVERYBODY, *ORGANIZER, form, list_, admin)]
    if dev.offers_mail(settings):
        routers.append(dev.mail_router)
    if dev.offers_components(settings):
        routers.append(dev.components_router)
    return [*routers, docs_router]


@docs_router.get("/api/docs")
async def _api_docs(request: Request) -> Response:
    """Serve the API's interactive docs from our own assets: FastAPI's page loads foreign ones."""
    return render(request, "api_docs.html", user=None)
