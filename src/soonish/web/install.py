"""Install the web foundation in an application: assets, guards and error responses."""

from __future__ import annotations

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

from soonish.config import Settings
from soonish.web.errors import UnexpectedErrorMiddleware, install_error_handlers
from soonish.web.middleware.body_limits import LimitsMiddleware
from soonish.web.middleware.methods import HeadMiddleware
from soonish.web.middleware.origin import OriginMiddleware
from soonish.web.middleware.rate_limits import RateLimitHeadersMiddleware
from soonish.web.middleware.security import CsrfMiddleware, SecurityHeadersMiddleware
from soonish.web.openapi import describe_errors
from soonish.web.rendering.assets import Assets


def install_web(app: FastAPI, settings: Settings) -> None:
    """Mount /assets and add this folder's middleware and error handlers to `app`.

    Middleware that is added later (request ids, access log) goes around these.
    """
    app.mount("/assets", Assets(), name="assets")
    install_error_handlers(app)
    app.add_middleware(HeadMiddleware)
    describe_errors(app)
    app.add_middleware(CsrfMiddleware, settings=settings)
    app.add_middleware(LimitsMiddleware)
    app.add_middleware(RateLimitHeadersMiddleware)
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=5)
    app.add_middleware(OriginMiddleware, settings=settings)
    app.add_middleware(UnexpectedErrorMiddleware)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,  # never with credentials: cookies are for our own pages
            allow_origins=settings.cors_origins,
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=["X-Request-ID", "Retry-After", "RateLimit", "RateLimit-Policy"],
        )
    app.add_middleware(SecurityHeadersMiddleware, settings=settings)
