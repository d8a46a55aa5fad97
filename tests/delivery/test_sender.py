"""One message to real servers: outcomes, content, deadlines, connections."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from soonish.config import Settings
from soonish.delivery.transports import attempt
from soonish.delivery.transports.http.connections import connections
from soonish.delivery.transports.message import Message
from soonish.delivery.transports.outcome import Outcome
from soonish.delivery.transports.sender import NOT_STARTED, Sender
from tests.delivery.sending import send_many
from tests.support.http_sink import HttpSink, Reply, serve_http
from tests.support.smtp_sink import SmtpSink
from tests.support.wait import eventually


@pytest.mark.parametrize("scheme", ["json", "xml", "form"])
async def test_webhooks_carry_the_text_and_the_message_id(
    scheme: str, sender: Sender, message: Message, http_sink: HttpSink
):
    result = await sender.send(f"{scheme}://127.0.0.1:{http_sink.port}/hook?a=b", message)
    assert result.ok
    (request,) = http_sink.requests
    assert request.method == "POST"
    assert request.path == "/hook"
    assert request.headers["webhook-id"] == message.message_id
    assert request.headers["host"] == f"127.0.0.1:{http_sink.port}"
    if scheme == "json":
        assert request.json()["message"] == message.text
        assert request.json()["title"] == message.title


@pytest.mark.parametrize("url", ["ntfy://127.0.0.1:{}/topic", "gotify://127.0.0.1:{}/token1234"])
async def test_push_servers(url: str, sender: Sender, message: Message, http_sink: HttpSink):
    assert (await sender.send(url.format(http_sink.port), message)).ok
    assert http_sink.requests[0].json()["message"] == message.text


async def test_a_channel_gets_the_format_it_asks_for(
    sender: Sender, message: Message, http_sink: HttpSink
):
    for name in ("text", "markdown", "html"):
        assert (await sender.send(http_sink.apprise_url(f"/x?format={name}"), message)).ok
        assert http_sink.requests[-1].json()["message"] == getattr(message, name)


async def test_parameters_headers_and_credentials_arrive(
    sender: Sender, message: Message, http_sink: HttpSink
):
    url = f"json://me:p%40ss@127.0.0.1:{http_sink.port}/x?+X-Key=secret&-q=a+b&:extra=1"
    assert (await sender.send(url, message)).ok
    (request,) = http_sink.requests
    assert request.headers["authorization"] == "Basic bWU6cEBzcw=="
    assert request.headers["x-key"] == "secret"
    assert request.query == {"q": ["a+b"]}
    assert request.json()["extra"] == "1"


@pytest.mark.parametrize(
    ("status", "outcome", "retryable"),
    [
        (200, Outcome.OK, False),
        (204, Outcome.OK, False),
        (301, Outcome.REJECTED, False),
        (308, Outcome.REJECTED, False),
        (400, Outcome.REJECTED, False),
        (401, Outcome.REJECTED, False),
        (403, Outcome.REJECTED, False),
        (404, Outcome.REJECTED, False),
        (408, Outcome.REJECTED, True),
        (410, Outcome.REJECTED, False),
        (422, Outcome.REJECTED, False),
        (425, Outcome.REJECTED, True),
        (429, Outcome.RATE_LIMITED, True),
        (500, Outcome.REJECTED, True),
        (502, Outcome.REJECTED, True),
        (503, Outcome.REJECTED, True),
        (504, Outcome.REJECTED, True),
    ],
)
async def test_statuses(
    status: int,
    outcome: Outcome,
    retryable: bool,
    sender: Sender,
    message: Message,
    http_sink: HttpSink,
):
    body = b"" if status == 204 else b"{}"
    http_sink.default = Reply(status, body)
    result = await sender.send(http_sink.apprise_url(), message)
    assert (result.outcome, result.retryable) == (outcome, retryable)
    assert result.status == (None if result.ok else status)
    assert len(http_sink.requests) == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after_in_seconds_and_as_a_date(
    status: int, sender: Sender, message: Message, http_sink: HttpSink
):
    http_sink.default = Reply(status, headers={"Retry-After": "7"})
    result = await sender.send(http_sink.apprise_url(), message)
    assert result.outcome is Outcome.RATE_LIMITED
    assert result.retry_after == 7
    moment = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    http_sink.default = Reply(status, headers={"Retry-After": moment})
    result = await sender.send(http_sink.apprise_url(), message)
    assert result.retry_after == pytest.approx(90, abs=3)


async def test_redirects_are_not_followed(sender: Sender, message: Message, http_sink: HttpSink):
    with serve_http() as other:
        for status in (301, 302, 303, 307, 308):
            http_sink.default = Reply(status, headers={"Location": f"{other.url}/stolen"})
            result = await sender.send(http_sink.apprise_url("/x?redirect=no"), message)
            assert result.outcome is Outcome.REJECTED
        assert other.requests == []
        assert other.connections == 0


async def test_a_connection_is_kept_and_used_again(
    sender: Sender, message: Message, http_sink: HttpSink
):
    for number in range(10):
        assert (await sender.send(http_sink.apprise_url(f"/{number}"), message)).ok
    assert len(http_sink.requests) == 10
    assert http_sink.connections == 1


async def test_a_kept_connection_that_the_server_closed_costs_no_failure(
    sender: Sender, message: Message, http_sink: HttpSink
):
    http_sink.default = Reply(headers={"Connection": "close"})
    for _ in range(3):
        assert (await sender.send(http_sink.apprise_url(), message)).ok
    assert http_sink.connections == 3


async def test_cookies_are_not_kept(sender: Sender, message: Message, http_sink: HttpSink):
    http_sink.default = Reply(headers={"Set-Cookie": "session=1"})
    await sender.send(http_sink.apprise_url(), message)
    await sender.send(http_sink.apprise_url(), message)
    assert all("cookie" not in request.headers for request in http_sink.requests)


async def test_neither_netrc_nor_proxies_are_used(
    sender: Sender,
    message: Message,
    http_sink: HttpSink,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
):
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login operator password secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    assert (await sender.send(http_sink.apprise_url(), message)).ok
    assert "authorization" not in http_sink.requests[0].headers


async def test_nobody_listening(sender: Sender, message: Message, free_port: Callable[[], int]):
    result = await sender.send(f"json://127.0.0.1:{free_port()}/x", message)
    assert (result.outcome, result.retryable) == (Outcome.CONNECTION, True)


async def test_an_answer_that_never_comes_and_one_that_drips(
    sender: Sender, message: Message, http_sink: HttpSink, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attempt, "ATTEMPT_SECONDS", 1.0)
    http_sink.replies["/hang"] = Reply(hang=True)
    http_sink.replies["/drip"] = Reply(body=b"x" * 1000, drip=0.1)
    started = time.monotonic()
    results = await send_many(
        sender, [(http_sink.apprise_url(path), message) for path in ("/hang", "/drip", "/ok")]
    )
    # The dripping one had said 200 before: the message is there, another attempt would double it.
    assert [r.outcome for r in results] == [Outcome.TIMEOUT, Outcome.OK, Outcome.OK]
    assert results[0].retryable
    assert time.monotonic() - started < 2.0


async def test_headers_that_drip_end_too(
    sender: Sender, message: Message, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attempt, "ATTEMPT_SECONDS", 1.0)
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip() -> None:
            peer, _ = server.accept()
            with peer:
                for byte in b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000:
                    if stop.wait(0.05):
                        return
                    try:
                        peer.sendall(bytes((byte,)))
                    except OSError:
                        return

        thread = threading.Thread(target=drip)
        thread.start()
        started = time.monotonic()
        result = await sender.send(f"json://127.0.0.1:{server.getsockname()[1]}/x", message)
        stop.set()
        thread.join(5)
    assert result.outcome is Outcome.TIMEOUT
    assert time.monotonic() - started < 2.0


async def test_no_more_than_64_kib_of_an_answer_are_read(
    sender: Sender, message: Message, http_sink: HttpSink
):
    http_sink.default = Reply(body=b"x" * 5_000_000)
    assert (await sender.send(http_sink.apprise_url(), message)).ok
    http_sink.default = Reply()
    assert (await sender.send(http_sink.apprise_url(), message)).ok
    assert http_sink.connections == 2  # the first was closed, not read to its end


async def test_a_slow_host_holds_a_quarter_of_the_threads_only(
    sender: Sender, message: Message, http_sink: HttpSink
):
    with serve_http() as slow:
        slow.default = Reply(hang=True)
        items = [(slow.apprise_url(f"/{n}"), message) for n in range(40)]
        hanging = asyncio.ensure_future(send_many(sender, items))
        await eventually(lambda: len(slow.requests) == 8)
        url = f"json://localhost:{http_sink.port}/quick"
        results = await asyncio.wait_for(send_many(sender, [(url, message)] * 50), 5)
        assert all(r.ok for r in results)
        assert len(slow.requests) == 8
        slow.closing.set()
        await hanging


async def test_a_turn_that_comes_too_late_sends_nothing(
    sender: Sender, message: Message, http_sink: HttpSink
):
    http_sink.default = Reply(delay=0.2)
    urls = [(http_sink.apprise_url(f"/{n}"), message) for n in range(24)]
    results = await send_many(sender, urls, start_within=0.1)
    late = [r for r in results if r is NOT_STARTED]
    assert 0 < len(late) < 24
    assert len(http_sink.requests) == 24 - len(late)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "nonsense",
        "syslog://",
        "ntfy://127.0.0.1/a/b",
        "json://127.0.0.1/?verify=no",
        "\x00",
        "://",
    ],
)
async def test_urls_that_break_the_rules_are_not_sent_either(
    url: str, sender: Sender, message: Message
):
    result = await sender.send(url, message)
    assert (result.outcome, result.retryable) == (Outcome.INVALID_TARGET, False)


async def test_details_hold_no_secret(sender: Sender, message: Message, http_sink: HttpSink):
    http_sink.default = Reply(500, b"secret-body")
    result = await sender.send(
        f"json://user:hunter2@127.0.0.1:{http_sink.port}/secret-path", message
    )
    for secret in ("hunter2", "secret", "127.0.0.1", "user"):
        assert secret not in result.detail


async def test_a_cancelled_send_leaves_the_sender_usable(
    sender: Sender, message: Message, http_sink: HttpSink
):
    http_sink.default = Reply(delay=0.3)
    task = asyncio.ensure_future(sender.send(http_sink.apprise_url("/a"), message))
    await eventually(lambda: http_sink.requests)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await sender.send(http_sink.apprise_url("/b"), message)).ok


async def test_a_users_own_mail_server(sender: Sender, message: Message, smtp_sink: SmtpSink):
    url = f"mailto://127.0.0.1:{smtp_sink.port}?from=me@b.example&to=you@c.example&mode=insecure"
    assert (await sender.send(url, message)).ok
    (mail,) = smtp_sink.mails
    assert mail.recipients == ["you@c.example"]
    assert mail.message["subject"] == message.title


@pytest.mark.parametrize(("reply", "retryable"), [("451 later", True), ("550 no", False)])
async def test_a_users_own_mail_server_refuses(
    reply: str, retryable: bool, sender: Sender, message: Message, smtp_sink: SmtpSink
):
    smtp_sink.refuse["you@c.example"] = reply
    url = f"mailto://127.0.0.1:{smtp_sink.port}?from=me@b.example&to=you@c.example&mode=insecure"
    result = await sender.send(url, message)
    assert (result.outcome, result.status) == (Outcome.REJECTED, int(reply[:3]))
    assert result.retryable is retryable


async def test_idle_connections_are_bounded(sender: Sender, message: Message, http_sink: HttpSink):
    await send_many(sender, [(http_sink.apprise_url(f"/{n}"), message) for n in range(200)])
    assert http_sink.connections <= 8
    connections.close()
    assert (await sender.send(http_sink.apprise_url(), message)).ok


async def test_closing_lets_go_of_what_has_not_begun(
    loopback: Settings, message: Message, http_sink: HttpSink
):
    http_sink.default = Reply(delay=0.3)
    sender = Sender(loopback, threads=4)
    items = [(http_sink.apprise_url(f"/{n}"), message) for n in range(20)]
    sending = asyncio.ensure_future(send_many(sender, items))
    await eventually(lambda: http_sink.requests)
    await asyncio.to_thread(sender.close)
    results = await asyncio.wait_for(sending, 5)
    assert results[0].ok
    assert sum(r.ok for r in results) == len(http_sink.requests) < 20
    assert all(r is NOT_STARTED for r in results if not r.ok)
    assert await sender.send(items[0][0], message) is NOT_STARTED
