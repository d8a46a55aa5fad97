"""Who may read GET /metrics."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx2
import pytest

from soonish.app import create_app
from soonish.config import Settings
from soonish.infra.db import crypto, migrate

LOOPBACK, FOREIGN = "127.0.0.1", "192.0.2.7"


async def status(settings: Settings, peer: str, **headers: str) -> int:
    await asyncio.to_thread(migrate.upgrade, settings)
    crypto.configure(settings)
    app = create_app(settings)
    transport = httpx2.ASGITransport(app=app, client=(peer, 40000))
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        async with httpx2.AsyncClient(transport=transport, base_url=settings.base_url) as client:
            return (await client.get("/metrics", headers=names)).status_code
    finally:
        await app.state.soonish.close()


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        (LOOPBACK, {}, 200),
        ("::1", {}, 200),
        (FOREIGN, {}, 404),
        (LOOPBACK, {"forwarded": "for=192.0.2.7"}, 404),
        (LOOPBACK, {"x_forwarded_for": FOREIGN}, 404),
        (LOOPBACK, {"x_forwarded_host": "soonish.example"}, 404),
        (LOOPBACK, {"x_forwarded_proto": "https"}, 404),
        (LOOPBACK, {"x_real_ip": FOREIGN}, 404),
        (LOOPBACK, {"via": "1.1 proxy"}, 404),
        (LOOPBACK, {"host": "127.0.0.1:8000"}, 200),
        (LOOPBACK, {"host": "[::1]:8000"}, 200),
        (LOOPBACK, {"host": "rebound.example:8000"}, 404),
        (LOOPBACK, {"host": "127.0.0.1.rebound.example"}, 404),
        (LOOPBACK, {"host": "["}, 404),
    ],
)
async def test_without_a_token_only_this_machine_itself(
    settings_for: Callable[..., Settings], peer: str, headers: dict[str, str], expected: int
) -> None:
    assert await status(settings_for(), peer, **headers) == expected


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [("Bearer right", 200), ("bearer right", 200), ("Bearer no", 404)],
)
async def test_the_token_decides_where_it_is_sent(
    settings_for: Callable[..., Settings], authorization: str, expected: int
) -> None:
    settings = settings_for(metrics_token="right")
    assert await status(settings, FOREIGN, authorization=authorization) == expected
    assert await status(settings, LOOPBACK, authorization=authorization) == expected
