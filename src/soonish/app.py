"""The API process: `uvicorn soonish.app:app`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.routing import BaseRoute

from soonish import __version__
from soonish.config import Settings, load_settings
from soonish.domain.notifications.progress import ProgressHub
from soonish.errors import ConfigurationError
from soonish.ops.installation import check_fingerprint_key
from soonish.ops.key_watch import KeyWatch
from soonish.ops.logging import configure_logging
from soonish.runtime import Runtime, make_runtime
from soonish.web.api.accounts import router as accounts_router
from soonish.web.api.admin import router as admin_router
from soonish.web.api.api_tokens import router as api_tokens_router
from soonish.web.api.audit import router as audit_router
from soonish.web.api.events import router as events_router
from soonish.web.api.integrations import router as integrations_router
from soonish.web.api.invitations import router as invitations_router
from soonish.web.api.notifications import router as notifications_router
from soonish.web.api.operations import router as ops_router
from soonish.web.api.organizers import router as organizers_router
from soonish.web.api.own_data import router as own_data_router
from soonish.web.api.reminders import router as reminders_router
from soonish.web.api.subscriptions import router as subscriptions_router
from soonish.web.api.subscriptions_bulk import router as bulk_router
from soonish.web.install import install_web
from soonish.web.middleware.access_log import AccessLog
from soonish.web.middleware.lingering_close import LingeringClose
from soonish.web.pages.routers import page_routers
from soonish.web.shutdown import on_signal

API = (
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
)
CLOSE_SECONDS = 1.0  # the time that test messages and pokes in flight get at shutdown


def create_app(settings: Settings | None = None) -> FastAPI:
    """Create the API and web application; it needs a migrated database, but not Temporal."""
    settings = settings or load_settings()
    configure_logging(settings, "api")
    return make_app(make_runtime(settings))


def make_app(runtime: Runtime) -> FastAPI:
    """Create the application around the objects of a process."""
    progress = ProgressHub(runtime.db)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        await check_fingerprint_key(runtime.db)
        loop = asyncio.get_running_loop()
        with on_signal(lambda: loop.call_soon_threadsafe(progress.end)):
            async with KeyWatch(runtime.db, runtime.settings).running():
                yield
        await progress.close()
        await runtime.close(CLOSE_SECONDS)

    app = FastAPI(
        title="Soonish",
        version=__version__,
        description="Notification-first events.",
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        routes=_routes(runtime.settings),
        lifespan=lifespan,
    )
    app.state.soonish = runtime
    app.state.progress = progress
    install_web(app, runtime.settings)
    app.add_middleware(AccessLog)
    app.add_middleware(LingeringClose)
    return app


def _routes(settings: Settings) -> list[BaseRoute]:
    """Return the routes that the routers hold: `include_router` would build each of them again."""
    return [route for router in (*API, *page_routers(settings)) for route in router.routes]


def __getattr__(name: str) -> FastAPI:
    """Create `app` at its first use, so that importing this module starts nothing."""
    if name != "app":
        raise AttributeError(name)
    try:
        made = create_app()
    except ConfigurationError as error:
        raise SystemExit(error.detail) from None  # one line for the server that imports this
    globals()["app"] = made
    return made
