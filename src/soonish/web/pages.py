"""All pages of the application, as one router."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from soonish.accounts import account_pages, oidc_pages, own_data_pages, sign_up_pages
from soonish.accounts import pages as accounts
from soonish.admin import pages as admin
from soonish.config import Settings
from soonish.events import access_pages, organizer_pages, public_pages, start_page
from soonish.events import pages as events
from soonish.integrations import kind_pages
from soonish.integrations import pages as integrations
from soonish.notifications import composer_pages, live_pages
from soonish.notifications import pages as notifications
from soonish.subscriptions import organizer_pages as organizer_people
from soonish.subscriptions import pages as subscriptions
from soonish.subscriptions import token_pages
from soonish.web import components_page, dev_pages
from soonish.web.templating import render


def pages_router(settings: Settings) -> APIRouter:
    """The router of every page; `/dev/...` only in development."""
    router = APIRouter(include_in_schema=False)
    everybody = (
        start_page,
        public_pages,
        events,
        subscriptions,
        token_pages,
        accounts,
        account_pages,
        oidc_pages,
        sign_up_pages,
        own_data_pages,
    )
    organizer = (
        composer_pages,
        notifications,
        live_pages,
        organizer_people,
        organizer_pages,
        access_pages,
    )
    for module in (*everybody, *organizer, kind_pages, integrations, admin):
        router.include_router(module.router)
    if dev_pages.is_offered(settings):
        router.include_router(dev_pages.router)
    if components_page.is_offered(settings):
        router.include_router(components_page.router)
    router.add_api_route("/api/docs", _api_docs, methods=["GET"])
    return router


async def _api_docs(request: Request) -> Response:
    """The API's description to try out, from our own assets: FastAPI's page loads foreign ones."""
    return render(request, "api_docs.html", user=None)
