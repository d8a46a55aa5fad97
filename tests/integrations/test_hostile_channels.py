"""Hostile URLs over HTTP: refused where they are stored, and once more where something is sent."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Generator
from typing import Any

import pytest

from soonish.config import Settings
from soonish.delivery.transports.egress.addresses import parse_literal
from soonish.delivery.transports.sender import Sender
from tests.delivery.hostile import PUBLIC, SPELLINGS, Recorder, recording
from tests.delivery.test_url_fuzz import urls
from tests.support.api import ApiClient, code_of, fields_of

LIST = "/api/integrations"
LITERALS = [s for s in SPELLINGS if parse_literal(s) is not None]


@pytest.fixture
def recorder() -> Generator[Recorder]:
    with recording() as recorder:
        yield recorder


def without_networks(settings: Settings) -> Settings:
    return Settings.model_validate({**settings.model_dump(), "egress_allowed_networks": []})


@pytest.fixture
async def strict(scene: ApiClient) -> AsyncGenerator[ApiClient]:
    """The scene as an operator gets it: no network is opened."""
    closed = without_networks(scene.runtime.settings)
    sender = Sender(closed, threads=4)
    scene.runtime.settings, scene.runtime.sender = closed, sender
    yield scene
    await asyncio.to_thread(sender.close)


def body(url: str, **fields: Any) -> dict[str, Any]:
    return {"name": "Chat", "apprise_url": url, "tag": "chat", **fields}


async def listed(scene: ApiClient) -> list[dict[str, Any]]:
    return (await scene.ask("owner", "GET", LIST)).json()["items"]


@pytest.mark.parametrize("shape", ["json://{}/x", "mailto://u:p@b.example?smtp={}"])
async def test_closed_literals_are_neither_created_nor_patched(
    shape: str, strict: ApiClient, recorder: Recorder
):
    made = await strict.add_channel("owner", apprise_url="json://hooks.h.example/x")
    for spelling in random.Random(1).sample(LITERALS, 60):
        url = shape.format(spelling)
        for method, path in (("POST", LIST), ("PATCH", f"{LIST}/{made['id']}")):
            sent = body(url) if method == "POST" else {"apprise_url": url}
            answer = await strict.ask("owner", method, path, json=sent)
            status, code = code_of(answer)
            assert (status, code.startswith("integration_url_")) == (422, True), url
            assert fields_of(answer) == ["apprise_url"]
    [channel] = await listed(strict)
    assert channel["target"] == "hooks.h.example"
    assert recorder.lookups == []
    assert recorder.connects == []


@pytest.mark.parametrize(
    "addresses", [["10.0.0.1"], ["::1"], [PUBLIC, "169.254.169.254"], ["64:ff9b::a9fe:a9fe"], []]
)
async def test_names_that_lead_inside_are_stored_but_never_reached(
    addresses: list[str], strict: ApiClient, recorder: Recorder
):
    recorder.default = addresses
    url = "jsons://inside.h.example/x"
    made = (await strict.ask("owner", "POST", LIST, json=body(url, verify=True))).json()
    assert made["is_active"] is False
    assert made["verification"]["outcome"] == "blocked_target"
    tested = await strict.ask("owner", "POST", f"{LIST}/{made['id']}/test")
    assert (tested.status_code, tested.json()["outcome"]) == (200, "blocked_target")
    assert len(recorder.lookups) == 2
    assert recorder.connects == []


async def test_a_public_name_is_tried_where_it_resolves_to(strict: ApiClient, recorder: Recorder):
    """The recorder would see a connection if there were one."""
    recorder.default = [PUBLIC]
    made = await strict.add_channel("owner", apprise_url="json://out.h.example/x", verify=True)
    assert made["verification"]["outcome"] == "connection"
    assert recorder.connects == [(PUBLIC, 80)]


@pytest.mark.parametrize(
    "url", ["json://127.0.0.1:9/a", "mailto://u:p@b.example?smtp=127.0.0.1", "ntfy://127.0.0.1/t"]
)
async def test_what_was_stored_while_a_network_was_open_is_closed_with_it(
    url: str, scene: ApiClient, recorder: Recorder
):
    made = await scene.add_channel("owner", apprise_url=url)
    closed = without_networks(scene.runtime.settings)
    scene.runtime.settings, scene.runtime.sender = closed, Sender(closed, threads=2)
    answer = await scene.ask("owner", "POST", f"{LIST}/{made['id']}/test")
    assert answer.json()["outcome"] == "blocked_target"
    assert recorder.connects == []
    await asyncio.to_thread(scene.runtime.sender.close)


async def test_no_text_makes_the_api_fail(strict: ApiClient, recorder: Recorder):
    for number, url in enumerate(urls(300)):
        answer = await strict.ask("owner", "POST", LIST, json=body(url, tag=f"t{number}"))
        assert answer.status_code in (201, 409, 422), url
        if answer.status_code == 422:
            assert answer.headers["content-type"].startswith("application/problem+json")
            assert answer.json()["errors"]
    assert recorder.connects == [] or {a for a, _ in recorder.connects} <= {PUBLIC}
