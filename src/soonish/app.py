"""The API process: `uvicorn soonish.app:app`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from soonish import __version__
from soonish.accounts.api import router as accounts_router
from soonish.accounts.api_tokens_api import router as api_tokens_router
from soonish.accounts.own_data_api import router as own_data_router
from soonish.admin.api import router as admin_router
from soonish.audit.api import router as audit_router
from soonish.config import Settings, load_settings
from soonish.errors import ConfigurationError
from soonish.events.api import router as events_router
from soonish.events.invitations_api import router as invitations_router
from soonish.events.organizers_api import router as organizers_router
from soonish.integrations.api import router as integrations_router
from soonish.notifications.api import router as notifications_router
from soonish.notifications.progress import ProgressHub
from soonish.ops.access_log import AccessLog
from soonish.ops.api import router as ops_router
from soonish.ops.ending import on_signal
from soonish.ops.installation import check_fingerprint_key
from soonish.ops.keys import KeyWatch
from soonish.ops.logging import configure_logging
from soonish.parts import make_parts
from soonish.reminders.api import router as reminders_router
from soonish.subscriptions.api import router as subscriptions_router
from soonish.subscriptions.bulk_api import router as bulk_router
from soonish.web.install import install_web
from soonish.web.pages import pages_router

CLOSE_SECONDS = 1.0  # what test messages and pokes under way get when the process is to end


def create_app(settings: Settings | None = None) -> FastAPI:
    """The whole API and web application; needs a migrated database, but not Temporal."""
    settings = settings or load_settings()
    configure_logging(settings, "api")
    parts = make_parts(settings)
    progress = ProgressHub(parts.db)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        await check_fingerprint_key(parts.db)
        loop = asyncio.get_running_loop()
        with on_signal(lambda: loop.call_soon_threadsafe(progress.end)):
            async with KeyWatch(parts.db, settings).running():
                yield
        await progress.close()
        await parts.close(CLOSE_SECONDS)

    app = FastAPI(
        title="Soonish",
        version=__version__,
        description="Notification-first events.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.soonish = parts
    app.state.progress = progress
    _include(app, settings)
    return app


def _include(app: FastAPI, settings: Settings) -> None:
    for router in (
        accounts_router,
        api_tokens_router,
        own_data_router,
        audit_router,
        events_router,
        organizers_router,
        invitations_router,
        notifications_router,
        subscriptions_router,
        bulk_router,
        reminders_router,
        integrations_router,
        admin_router,
        ops_router,
        pages_router(settings),
    ):
        app.include_router(router)
    install_web(app, settings)
    app.add_middleware(AccessLog)


def __getattr__(name: str) -> FastAPI:
    """`app` is made when it is first asked for, so that importing this module starts nothing."""
    if name != "app":
        raise AttributeError(name)
    try:
        made = create_app()
    except ConfigurationError as error:
        raise SystemExit(error.detail) from None  # one line, where a server imports us
    globals()["app"] = made
    return made
