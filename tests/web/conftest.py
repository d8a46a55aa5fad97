"""An application with nothing but the web foundation and routes that misbehave on request."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack

import httpx2
import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel, Field

from soonish.config import Settings
from soonish.errors import Conflict, Gone, InvalidInput, TooManyRequests, Unauthorized
from soonish.web.install import install_web
from soonish.web.rendering.templating import redirect, render

BASE = "http://soonish.example"


class Child(BaseModel):
    count: int = Field(ge=1)


class Thing(BaseModel):
    name: str
    children: list[Child] = []


def make_app(base_url: str) -> FastAPI:
    app = FastAPI()
    install_web(app, Settings(base_url=base_url, _env_file=None))  # pyright: ignore[reportCallIssue]
    errors = {
        "gone": Gone("Used already."),
        "conflict": Conflict(code="event_over"),
        "slow": TooManyRequests(7),
        "who": Unauthorized(),
        "field": InvalidInput("name", "Too long."),
        "crash": RuntimeError("secret@address.example"),
    }

    async def fail(kind: str) -> None:
        raise errors[kind]

    async def item(item_id: int) -> int:
        return item_id

    async def make(thing: Thing) -> Thing:
        return thing

    async def echo(request: Request) -> int:
        return len(await request.body())

    async def page(request: Request) -> object:
        return render(request, "error.html", error=errors["gone"])

    async def leave(request: Request) -> object:
        return redirect("/page", "signed_out")

    for path, endpoint, method in (
        ("/api/fail/{kind}", fail, "GET"),
        ("/fail/{kind}", fail, "GET"),
        ("/fail/{kind}", fail, "POST"),
        ("/api/items/{item_id}", item, "GET"),
        ("/api/things", make, "POST"),
        ("/echo", echo, "POST"),
        ("/api/echo", echo, "POST"),
        ("/u/token", echo, "POST"),
        ("/manage/token", page, "GET"),
        ("/page", page, "GET"),
        ("/leave", leave, "POST"),
    ):
        app.add_api_route(path, endpoint, methods=[method], response_model=None)
    return app


@pytest.fixture
async def client_at() -> AsyncIterator[Callable[[str], httpx2.AsyncClient]]:
    """Makes clients of an application with the given BASE_URL."""
    async with AsyncExitStack() as stack:
        made: list[httpx2.AsyncClient] = []

        def make(base_url: str) -> httpx2.AsyncClient:
            transport = httpx2.ASGITransport(app=make_app(base_url))
            made.append(httpx2.AsyncClient(transport=transport, base_url=base_url))
            stack.push_async_callback(made[-1].aclose)
            return made[-1]

        yield make


@pytest.fixture
def client(client_at: Callable[[str], httpx2.AsyncClient]) -> httpx2.AsyncClient:
    return client_at(BASE)
