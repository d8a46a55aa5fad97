"""The servers that other tests stand on do what they say."""

from __future__ import annotations

import http.client
import smtplib
import socket
from collections.abc import Callable

import asyncpg
import pytest

from tests.support.http_sink import HttpSink, Reply
from tests.support.postgres import PostgresServer
from tests.support.smtp_sink import SmtpSink

pytestmark = pytest.mark.processes


def plain(url: str) -> str:
    return url.replace("postgresql+asyncpg://", "postgresql://")


async def test_databases_are_separate_and_empty(postgres_server: PostgresServer) -> None:
    first, second = postgres_server.create_database(), postgres_server.create_database()
    connection = await asyncpg.connect(plain(first))
    await connection.execute("CREATE TABLE only_here (id int)")
    await connection.close()
    other = await asyncpg.connect(plain(second))
    tables = await other.fetch("SELECT 1 FROM pg_tables WHERE tablename = 'only_here'")
    await other.close()
    assert tables == []
    postgres_server.drop_database(first)
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await asyncpg.connect(plain(first))


def test_http_sink_records_and_answers(http_sink: HttpSink) -> None:
    http_sink.replies["/a"] = [Reply(503, headers={"Retry-After": "2"}), Reply(201)]
    connection = http.client.HTTPConnection("127.0.0.1", http_sink.port)
    seen: list[tuple[int, str | None]] = []
    for _ in range(3):
        connection.request("POST", "/a?x=1", b'{"n": 1}', {"X-Test": "yes"})
        answer = connection.getresponse()
        answer.read()
        seen.append((answer.status, answer.headers["Retry-After"]))
    connection.close()
    assert seen == [(503, "2"), (201, None), (201, None)]
    assert http_sink.connections == 1
    request = http_sink.wait_for(3, "/a")[0]
    assert (request.method, request.query, request.json()) == ("POST", {"x": ["1"]}, {"n": 1})
    assert request.headers["x-test"] == "yes"


@pytest.mark.parametrize("reply", [Reply(hang=True), Reply(drop=True), Reply(drip=5, body=b"slow")])
def test_http_sink_can_misbehave(http_sink: HttpSink, reply: Reply) -> None:
    http_sink.default = reply
    connection = http.client.HTTPConnection("127.0.0.1", http_sink.port, timeout=0.3)
    connection.request("GET", "/")
    with pytest.raises((TimeoutError, http.client.RemoteDisconnected)):
        connection.getresponse().read()
    connection.close()


def test_smtp_sink_records_and_refuses(smtp_sink: SmtpSink) -> None:
    smtp_sink.refuse["no@example.org"] = "550 no such mailbox"
    smtp_sink.data_reply["later@example.org"] = "451 later"
    with smtplib.SMTP("127.0.0.1", smtp_sink.port) as client:
        client.sendmail("a@example.org", ["yes@example.org"], b"Subject: hello\r\n\r\nBody\r\n")
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("a@example.org", ["no@example.org"], b"Subject: x\r\n\r\n")
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail("a@example.org", ["later@example.org"], b"Subject: x\r\n\r\n")
        assert client.has_extn("pipelining")
    (mail,) = smtp_sink.wait_for(1)
    assert mail.recipients == ["yes@example.org"]
    assert mail.message["Subject"] == "hello"


def test_smtp_sink_drops_connections(smtp_sink: SmtpSink) -> None:
    smtp_sink.drop_after = 1
    client = smtplib.SMTP("127.0.0.1", smtp_sink.port)
    client.sendmail("a@example.org", ["b@example.org"], b"Subject: x\r\n\r\n")
    assert client.sock is not None
    client.sock.settimeout(5)
    assert client.sock.recv(1) == b""
    client.close()


def test_free_ports_are_free(free_port: Callable[[], int]) -> None:
    with socket.create_server(("127.0.0.1", free_port())) as server:
        assert server.getsockname()[1] > 0
