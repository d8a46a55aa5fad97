"""GET /api/health, /api/temporal/connection and /metrics."""

from __future__ import annotations

import secrets
from typing import Annotated, cast

from fastapi import APIRouter, Query, Request, Response

from soonish.errors import NotFound
from soonish.ops import health
from soonish.ops.metrics import render
from soonish.runtime import Runtime
from soonish.web.client_address import is_this_machine

router = APIRouter(tags=["operations"])


def _runtime(request: Request) -> Runtime:
    return cast(Runtime, request.app.state.soonish)


@router.get("/api/health", responses={503: {"model": health.HealthReport}})
async def get_health(
    request: Request,
    response: Response,
    strict: Annotated[bool, Query(description="503 for any part that is not well")] = False,
) -> health.HealthReport:
    """Check every part. Answer 503 only if the database is down, or with `strict=1`."""
    found = await health.check_health(_runtime(request))
    if not found.parts["database"].ok or (strict and found.status != "ok"):
        response.status_code = 503
    return found


@router.get("/api/temporal/connection")
async def get_temporal_connection(request: Request) -> health.TemporalConnection:
    """Check whether Temporal answers; return its version."""
    return await health.temporal_connection(_runtime(request))


@router.get("/metrics", include_in_schema=False)
async def get_metrics(request: Request) -> Response:
    """Prometheus text, for METRICS_TOKEN or a loopback peer without forwarding headers."""
    runtime = _runtime(request)
    if not _may_read_metrics(request, runtime.settings.metrics_token):
        raise NotFound
    return Response(await render(runtime), media_type="text/plain; version=0.0.4; charset=utf-8")


def _may_read_metrics(request: Request, token: str) -> bool:
    scheme, _, given = request.headers.get("authorization", "").partition(" ")
    if token and scheme.lower() == "bearer":
        return secrets.compare_digest(given.strip().encode(), token.encode())
    return is_this_machine(request)
