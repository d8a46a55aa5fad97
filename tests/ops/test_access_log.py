"""One line for each request, by the route's template and with its event."""

from __future__ import annotations

import httpx2
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from soonish.web.middleware.access_log import AccessLog

app = FastAPI()


@app.get("/api/events/{event_id}/updates")
async def updates(event_id: str) -> str:
    return event_id


@app.get("/u/{token}")
async def token_page(token: str) -> str:
    return token


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/api/events/7/updates", {"route": "/api/events/{event_id}/updates", "event_id": 7}),
        ("/api/events/T0KEN/updates", {"route": "/api/events/{event_id}/updates"}),
        ("/u/T0KEN", {"route": "/u/{token}"}),
        ("/T0KEN", {"route": "unmatched"}),
    ],
)
async def test_the_line_of_a_request(path: str, expected: dict[str, object]) -> None:
    transport = httpx2.ASGITransport(app=AccessLog(app))
    with capture_logs() as lines:
        async with httpx2.AsyncClient(transport=transport, base_url="http://test") as client:
            answer = await client.get(path)
    (line,) = lines
    assert expected.items() <= line.items()
    assert ("event_id" in line) == ("event_id" in expected)
    assert line["status"] == answer.status_code
    assert "T0KEN" not in str(line)
