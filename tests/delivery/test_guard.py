"""The guard and the audit hook: nothing leaves for an address that is not open."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from soonish.config import Settings
from soonish.delivery.transports.apprise import schemes
from soonish.delivery.transports.apprise.urls import load_plugin
from soonish.delivery.transports.attempt import (
    Attempt,
    BlockedTarget,
    enter_delivery_thread,
    running,
)
from soonish.delivery.transports.egress import install
from soonish.delivery.transports.message import Message
from soonish.delivery.transports.outcome import Outcome
from soonish.delivery.transports.sender import Sender
from soonish.errors import InvalidInput
from tests.delivery.sending import send_many
from tests.support.http_sink import HttpSink
from tests.support.settings import make_settings

Resolving = Callable[[str, list[str]], None]


def in_delivery(action: Callable[[], Any], attempt: Attempt | None = None) -> Any:
    """Run `action` in a delivery thread; return what it returned or raised."""
    install.install(make_settings(Path("/nonexistent")))
    outcome: list[Any] = []

    def work() -> None:
        enter_delivery_thread()
        try:
            with running(attempt or Attempt()):
                outcome.append(action())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(20)
    return outcome[0]


@pytest.mark.parametrize(
    "url",
    [
        "json://127.0.0.1:{}/x", "json://localhost:{}/x", "json://0.0.0.0:{}/x",
        "json://[::ffff:127.0.0.1]:{}/x", "json://[::1]:{}/x", "json://2130706433:{}/x",
        "json://0x7f000001:{}/x", "json://0177.0.0.1:{}/x", "json://127.1:{}/x",
        "ntfy://127.0.0.1:{}/topic", "gotify://127.0.0.1:{}/token", "matrix://u:p@127.0.0.1:{}/!r",
        "mailto://127.0.0.1:{}?from=me@b.example&to=you@c.example&mode=insecure",
    ],
)  # fmt: skip
async def test_loopback_is_closed_by_default(
    url: str, settings_for: Callable[..., Settings], http_sink: HttpSink, message: Message
):
    strict = Sender(settings_for(), threads=4)
    result = await strict.send(url.format(http_sink.port), message)
    strict.close()
    assert result.outcome in (Outcome.BLOCKED_TARGET, Outcome.INVALID_TARGET)
    assert not result.retryable
    assert http_sink.connections == 0


@pytest.mark.parametrize(
    "addresses",
    [
        ["10.0.0.1"],
        ["127.0.0.1", "10.0.0.1"],
        ["127.0.0.1", "::1"],
        ["127.0.0.1", "169.254.169.254"],
        ["fe80::1%eth0"],
        ["64:ff9b::a9fe:a9fe"],
        ["::ffff:10.0.0.1"],
    ],
)
async def test_a_name_with_a_closed_address_is_refused_whole(
    addresses: list[str],
    sender: Sender,
    http_sink: HttpSink,
    message: Message,
    resolving: Resolving,
):
    resolving("mixed.example", addresses)
    result = await sender.send(f"json://mixed.example:{http_sink.port}/x", message)
    assert result.outcome is Outcome.BLOCKED_TARGET
    assert http_sink.connections == 0


async def test_a_name_is_resolved_once_and_that_address_is_used(
    sender: Sender,
    http_sink: HttpSink,
    message: Message,
    resolving: Resolving,
    monkeypatch: pytest.MonkeyPatch,
):
    """Rebinding: the second answer of the name server would be another address."""
    from soonish.delivery.transports.egress import guard

    answers = [["127.0.0.1"], ["169.254.169.254"]]
    monkeypatch.setattr(guard, "resolver", lambda host, port: answers.pop(0))
    url = f"json://rebinding.example:{http_sink.port}/x"
    assert (await sender.send(url, message)).ok
    assert http_sink.requests[0].headers["host"] == f"rebinding.example:{http_sink.port}"
    assert len(answers) == 1


async def test_a_name_that_does_not_resolve(sender: Sender, message: Message, resolving: Resolving):
    result = await sender.send("json://nowhere.example/x", message)
    assert (result.outcome, result.retryable) == (Outcome.CONNECTION, True)


async def test_a_name_server_that_hangs(
    sender: Sender, message: Message, monkeypatch: pytest.MonkeyPatch
):
    from soonish.delivery.transports.egress import guard

    released = threading.Event()
    monkeypatch.setattr(guard, "RESOLVE_SECONDS", 0.2)

    def resolver(host: str, port: int) -> list[str]:
        released.wait(10)
        return ["127.0.0.1"]

    monkeypatch.setattr(guard, "resolver", resolver)
    result = await sender.send("json://slow.example/x", message)
    released.set()
    assert (result.outcome, result.retryable) == (Outcome.TIMEOUT, True)


@pytest.mark.parametrize(
    "client",
    [
        lambda url: requests.get(url, timeout=5),
        lambda url: requests.Session().get(url, timeout=5),
        lambda url: urllib3.PoolManager(retries=False).request("GET", url),
        lambda url: socket.create_connection(("127.0.0.1", int(url.rsplit(":", 1)[1]))),
        lambda url: _raw_connect(int(url.rsplit(":", 1)[1])),
    ],
)
def test_no_client_reaches_loopback_from_a_delivery_thread(
    client: Callable[[str], Any], http_sink: HttpSink
):
    assert isinstance(in_delivery(lambda: client(http_sink.url)), Exception)
    assert http_sink.connections == 0


def _raw_connect(port: int) -> None:
    with socket.socket() as sock:
        sock.connect(("127.0.0.1", port))


def test_other_threads_keep_the_stock_functions(http_sink: HttpSink):
    install.install(make_settings(Path("/nonexistent")))
    assert requests.get(http_sink.url, timeout=5).status_code == 200


def _datagram() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", 9))


def _unix() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect("/tmp/nothing")  # noqa: S108  # never reached


@pytest.mark.parametrize(
    "action",
    [
        lambda: subprocess.Popen(["/bin/true"]),
        lambda: os.system("true"),  # noqa: S605
        lambda: Path("/etc/passwd").read_text(),
        lambda: Path("/tmp/soonish-audit").write_text("x"),  # noqa: S108
        lambda: socket.getaddrinfo("example.org", 80),
        _datagram,
        _unix,
    ],
)
def test_the_audit_hook_refuses(action: Callable[[], Any]):
    attempt = Attempt()
    assert isinstance(in_delivery(action, attempt), BlockedTarget)
    assert attempt.fault == "blocked"


def test_service_mail_threads_reach_the_operators_server_only(
    http_sink: HttpSink, settings_for: Callable[..., Settings]
):
    mine = Attempt(only=("127.0.0.1", http_sink.port))
    other = Attempt(only=("127.0.0.1", 1))
    connected = in_delivery(lambda: socket.create_connection(("127.0.0.1", http_sink.port)), mine)
    assert isinstance(connected, socket.socket)
    connected.close()
    refused = in_delivery(lambda: socket.create_connection(("127.0.0.1", http_sink.port)), other)
    assert isinstance(refused, BlockedTarget)


def _urls_of(scheme: str, host: str) -> list[str]:
    """URLs of a scheme in the shapes that Apprise's plugins ask for."""
    uuid = "8b799edf-6f98-4d3a-9be7-2862fb4e5752"
    tails = ["", "/token1234567", f"/{'a' * 24}/{'b' * 24}", "/15551234567/15557654321", "/#room"]
    tails += ["/?to=you@c.example&mode=insecure&from=me@b.example", "/" + "a" * 64, "/15551234567"]
    tails += [f"/{'c' * 32}/{'d' * 48}", f"/{uuid}/token1234567", "/api/room/" + "e" * 64]
    users = ["", "user:password@", "token1234567@"]
    return [f"{scheme}://{user}{host}{tail}" for tail in tails for user in users]


def _is_usable(url: str) -> bool:
    try:
        load_plugin(url)
    except InvalidInput:
        return False
    return True


async def test_no_scheme_with_a_host_reaches_a_closed_address(
    settings_for: Callable[..., Settings], loopback: Settings, http_sink: HttpSink, message: Message
):
    """Every plugin that takes a host: let through where loopback is open, stopped where not."""
    host = f"127.0.0.1:{http_sink.port}"
    urls = [
        url
        for scheme in sorted(schemes.BY_HOST - {"mailto", "mailtos"})
        for url in _urls_of(scheme, host)
        if _is_usable(url)
    ]
    strict, lenient = Sender(settings_for(), threads=8), Sender(loopback, threads=8)
    refused = await send_many(strict, [(url, message) for url in urls])
    assert http_sink.connections == 0
    blocked = {
        url.partition("://")[0]: url
        for url, result in zip(urls, refused, strict=True)
        if result.outcome is Outcome.BLOCKED_TARGET
    }
    assert len(blocked) >= 0.85 * len(schemes.BY_HOST)
    allowed = await send_many(lenient, [(url, message) for url in blocked.values()])
    assert not any(result.outcome is Outcome.BLOCKED_TARGET for result in allowed)
    assert http_sink.connections > 0
    for sender in (strict, lenient):
        await asyncio.to_thread(sender.close)


async def test_a_kept_connection_serves_only_those_who_could_open_it(
    settings_for: Callable[..., Settings], sender: Sender, http_sink: HttpSink, message: Message
):
    strict = Sender(settings_for(), threads=1)
    assert (await sender.send(http_sink.apprise_url(), message)).ok
    result = await strict.send(http_sink.apprise_url(), message)
    assert result.outcome is Outcome.BLOCKED_TARGET
    assert len(http_sink.requests) == 1
    await asyncio.to_thread(strict.close)
