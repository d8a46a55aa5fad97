"""Rate limits over HTTP: a Meter for each request, and the headers with the remaining quota."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from soonish.infra.rate_limits.limits import Meter, Quota

_QUOTAS = "quotas"  # of scope["state"]


async def get_meter(request: Request) -> Meter:
    """Return the meter, which shares its quotas within one request."""
    quotas = request.scope.setdefault("state", {}).setdefault(_QUOTAS, [])
    return Meter(request.app.state.soonish.limits, quotas)


MeterDep = Annotated[Meter, Depends(get_meter)]


class RateLimitHeadersMiddleware:
    """Adds the remaining quota of each limit a request met, also to a refusal."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start" and state.get(_QUOTAS):
                _add_headers(message, cast(list[Quota], state[_QUOTAS]))
            await send(message)

        await self.app(scope, receive, send_with_headers)


def _add_headers(message: Message, quotas: list[Quota]) -> None:
    headers = MutableHeaders(scope=message)
    if told := [quota for quota in quotas if quota.limit.told]:
        headers.update(rate_limit_headers(told))
    if message["status"] == 429:  # a page that shows its form again has no header of its own
        waits = [quota.reset for quota in quotas if not quota.allowed]
        headers.setdefault("Retry-After", str(max(waits, default=1)))


def rate_limit_headers(quotas: list[Quota]) -> dict[str, str]:
    """Return the fields of draft-ietf-httpapi-ratelimit-headers-10; of equal limits the last
    counts."""
    latest = {quota.limit.name: quota for quota in quotas}.values()
    policies = (f'"{q.limit.name}";q={q.limit.amount};w={q.limit.seconds}' for q in latest)
    left = (f'"{q.limit.name}";r={q.remaining};t={q.reset}' for q in latest)
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(left)}
