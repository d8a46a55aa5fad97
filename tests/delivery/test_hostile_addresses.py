"""Every spelling of closed addresses, against every scheme that takes a host: no connection.

Where sockets would connect there is a recorder, so not one packet leaves.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator
from functools import cache

import pytest

from soonish.config import Settings
from soonish.delivery.transports.apprise import schemes
from soonish.delivery.transports.apprise.urls import check_url, load_plugin
from soonish.delivery.transports.egress import guard
from soonish.delivery.transports.egress.addresses import is_localhost, is_permitted, parse_literal
from soonish.delivery.transports.message import Message
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.delivery.transports.sender import Sender
from soonish.errors import InvalidInput
from tests.delivery.hostile import (
    NAMES,
    PUBLIC,
    SPELLINGS,
    Recorder,
    is_closed,
    recording,
    shapes,
)
from tests.delivery.sending import send_many

BY_HOST = sorted(schemes.BY_HOST)
CHUNK = 2000


def is_usable(url: str) -> bool:
    try:
        load_plugin(url)
    except InvalidInput:
        return False
    return True


@cache
def usable(scheme: str) -> list[str]:
    """The shapes of that scheme's URLs that are valid."""
    return [shape for shape in shapes(scheme) if is_usable(shape.format("h.example"))]


@pytest.fixture
def recorder() -> Generator[Recorder]:
    with recording() as recorder:
        yield recorder


@pytest.fixture
async def strict(settings_for: Callable[..., Settings]) -> AsyncGenerator[Sender]:
    sender = Sender(settings_for(), threads=8)
    yield sender
    await asyncio.to_thread(sender.close)


async def send_all(sender: Sender, urls: list[str], message: Message) -> list[SendResult]:
    results: list[SendResult] = []
    for start in range(0, len(urls), CHUNK):
        batch = urls[start : start + CHUNK]
        results += await send_many(sender, [(url, message) for url in batch])
    return results


def refused(url: str, settings: Settings) -> bool:
    try:
        check_url(url, settings)
    except InvalidInput as error:
        return error.code.startswith("integration_url_")
    return False


def test_the_corpus_is_large_and_every_literal_in_it_is_closed():
    assert len(SPELLINGS) >= 200
    literals = [address for s in SPELLINGS if (address := parse_literal(s)) is not None]
    assert len(literals) >= 200
    assert all(is_closed(str(address)) for address in literals)
    assert not any(is_permitted(address, []) for address in literals)


def test_every_scheme_with_a_host_has_a_url_that_works():
    assert [scheme for scheme in BY_HOST if not usable(scheme)] == []


@pytest.mark.parametrize("scheme", BY_HOST)
async def test_the_recorder_sees_where_each_scheme_connects(
    scheme: str, strict: Sender, recorder: Recorder, message: Message
):
    """What the other tests find nowhere is found here: an open address is tried."""
    recorder.default = [PUBLIC]
    host = "x.zulip.example" if scheme == "zulip" else "h.example"
    await send_all(strict, [shape.format(host) for shape in usable(scheme)], message)
    assert {address for address, _ in recorder.connects} == {PUBLIC}
    assert host in recorder.lookups


async def nothing_closed(
    urls: list[str], strict: Sender, recorder: Recorder, message: Message
) -> None:
    results = await send_all(strict, urls, message)
    # Some tricks with an @ lead to the public address in front of it, which is fine.
    assert {address for address, _ in recorder.connects} <= {PUBLIC}
    assert not any(result.ok for result in results)
    blocked = [r for r in results if r.outcome is Outcome.BLOCKED_TARGET]
    assert len(blocked) > len(urls) / 10  # many get as far as the guard


async def test_no_spelling_connects_by_webhook_or_mail(
    strict: Sender, recorder: Recorder, message: Message
):
    forms = ["json://{}/x", "jsons://u:p@{}:8443/x", "ntfys://{}/topic", *shapes("mailto")]
    await nothing_closed([f.format(s) for f in forms for s in SPELLINGS], strict, recorder, message)


@pytest.mark.parametrize("offset", range(3))
async def test_no_scheme_connects_to_a_sample_of_the_spellings(
    offset: int, strict: Sender, recorder: Recorder, message: Message
):
    sample = SPELLINGS[offset::25]
    urls = [usable(scheme)[-1].format(s) for scheme in BY_HOST for s in sample]
    await nothing_closed(urls, strict, recorder, message)


async def _connects(shape: str, strict: Sender, recorder: Recorder, message: Message) -> bool:
    recorder.default = [PUBLIC]
    recorder.connects.clear()
    await strict.send(shape.format("x.h.example"), message)
    return bool(recorder.connects)


@pytest.mark.chaos
@pytest.mark.parametrize("scheme", BY_HOST)
async def test_no_spelling_connects_by_any_scheme(
    scheme: str, strict: Sender, recorder: Recorder, message: Message
):
    live = [shape for shape in usable(scheme) if await _connects(shape, strict, recorder, message)]
    recorder.default = ["10.0.0.1"]
    recorder.connects.clear()
    urls = [shape.format(s) for shape in live[:3] for s in SPELLINGS]
    await nothing_closed(urls, strict, recorder, message)


@pytest.mark.parametrize("scheme", BY_HOST)
def test_literals_are_refused_when_stored(scheme: str, settings_for: Callable[..., Settings]):
    """Where one is stored all the same, it stands for a topic or a token at the service."""
    settings = settings_for()
    shape = usable(scheme)[0]
    for spelling in SPELLINGS[:: 1 if scheme in ("json", "mailto") else 12]:
        if parse_literal(spelling) is None and not is_localhost(spelling):
            continue
        url = shape.format(spelling)
        if not refused(url, settings):
            target = check_url(url, settings).target
            assert parse_literal(target) is None
            assert not is_localhost(target)


@pytest.mark.parametrize("name", [n for n in NAMES if is_localhost(n)])
def test_localhost_is_refused_when_stored_however_it_is_written(
    name: str, settings_for: Callable[..., Settings]
):
    assert refused(f"mailto://u:p@b.example?smtp={name}", settings_for())
    assert refused(f"json://{name}/x", settings_for())


@pytest.mark.parametrize(
    "addresses",
    [
        [PUBLIC, "10.0.0.1"],
        ["10.0.0.1", PUBLIC],
        [PUBLIC, "::1"],
        [PUBLIC, "2606:4700::1", "fe80::1%eth0"],
        ["::ffff:169.254.169.254"],
        ["64:ff9b::a9fe:a9fe", PUBLIC],
        ["2002:7f00:1::", PUBLIC],
        [],
    ],
)
@pytest.mark.parametrize("scheme", ["json", "jsons", "gotify", "mailto", "matrix", "zulip"])
async def test_names_with_one_closed_record_are_refused_whole(
    scheme: str, addresses: list[str], strict: Sender, recorder: Recorder, message: Message
):
    recorder.default = addresses
    url = usable(scheme)[-1].format("mixed.h.example")
    result = await strict.send(url, message)
    assert recorder.lookups
    assert recorder.connects == []
    assert result.outcome in (Outcome.BLOCKED_TARGET, Outcome.INVALID_TARGET)


@pytest.mark.parametrize("scheme", BY_HOST)
async def test_rebinding_never_gets_past_the_check(
    scheme: str, strict: Sender, recorder: Recorder, message: Message
):
    """Each second answer of the name server is this machine's metadata service."""
    answers = [[PUBLIC], ["169.254.169.254"]]
    asked: list[str] = []

    def rebind(host: str, port: int) -> list[str]:
        asked.append(host)
        return answers[len(asked) % 2]

    guard.resolver = rebind
    host = "x.zulip.example" if scheme == "zulip" else "h.example"
    urls = [shape.format(host) for shape in usable(scheme)]
    await send_all(strict, urls + urls, message)
    assert len(asked) > 1
    assert {address for address, _ in recorder.connects} <= {PUBLIC}


async def test_operators_networks_open_nothing_else(
    settings_for: Callable[..., Settings], recorder: Recorder, message: Message
):
    sender = Sender(settings_for(egress_allowed_networks="10.0.0.0/8,::/0"), threads=8)
    urls = [form.format(s) for form in ("json://{}/x", shapes("mailto")[1]) for s in SPELLINGS]
    recorder.default = ["10.0.0.1", "192.168.1.1"]
    await send_all(sender, urls, message)
    await asyncio.to_thread(sender.close)
    assert recorder.connects
    reached = [parse_literal(host) for host, _ in recorder.connects]
    for address in reached:
        assert address is not None
        assert address.version == 6 or str(address) == PUBLIC or str(address).startswith("10.")
        assert "a9fe:a9fe" not in str(address)
