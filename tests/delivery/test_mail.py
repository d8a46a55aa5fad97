"""Service mail over real and scripted SMTP servers."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import pytest

from soonish.delivery.transports import attempt
from soonish.delivery.transports.classify import NOT_STARTED
from soonish.delivery.transports.mail.service import Mail, MailContent, MailTemplate, ServiceMail
from soonish.delivery.transports.outcome import Outcome, SendResult
from tests.delivery.conftest import SettingsFor, mail_settings
from tests.support.smtp_sink import SmtpSink
from tests.support.wait import eventually

pytestmark = pytest.mark.processes

TEMPLATE = MailTemplate(
    MailContent(
        "Größe",
        "Hello ü\n.dot\n..two\n.\n{{link}}\n",
        '<p>Hello</p>\n.<a href="{{link}}">x</a>\n',
    ),
    "Soonish <soonish@b.example>",
    ["link"],
    "link",
)


def mails(count: int, name: str = "user{}@c.example") -> list[Mail]:
    return [
        Mail(name.format(n), f"<{n}@b.example>", TEMPLATE, {"link": f"https://h.example/u/{n}"})
        for n in range(count)
    ]


@pytest.mark.parametrize("pipelining", [True, False])
async def test_a_batch_arrives_once_each_in_one_connection(
    pipelining: bool, service_mail: ServiceMail, smtp_sink: SmtpSink
):
    smtp_sink.pipelining = pipelining
    results = await service_mail.send_batch(mails(50))
    assert all(result.ok for result in results)
    assert [mail.recipients for mail in smtp_sink.mails] == [
        [f"user{n}@c.example"] for n in range(50)
    ]
    assert smtp_sink.connections == 1
    for n, mail in enumerate(smtp_sink.mails):
        assert mail.sender == "soonish@b.example"
        assert mail.message["message-id"] == f"<{n}@b.example>"
        assert mail.message["list-unsubscribe"] == f"<https://h.example/u/{n}>"
        body = mail.message.get_body(("plain",))
        assert body is not None
        text = body.get_content().replace("\r\n", "\n")
        assert text.rstrip("\n") == f"Hello ü\n.dot\n..two\n.\nhttps://h.example/u/{n}"


@pytest.mark.parametrize("pipelining", [True, False])
async def test_every_reply_belongs_to_its_recipient(
    pipelining: bool, service_mail: ServiceMail, smtp_sink: SmtpSink
):
    smtp_sink.pipelining = pipelining
    smtp_sink.refuse = {"user1@c.example": "550 no", "user2@c.example": "451 later"}
    smtp_sink.refuse |= {"user7@c.example": "552 full", "user9@c.example": "450 busy"}
    smtp_sink.data_reply = {"user4@c.example": "554 spam", "user5@c.example": "452 full"}
    results = await service_mail.send_batch(mails(10))
    assert [result.status for result in results] == [
        250,
        550,
        451,
        250,
        554,
        452,
        250,
        552,
        250,
        450,
    ]
    assert [result.retryable for result in results] == [
        code in (451, 452, 450) for code in (250, 550, 451, 250, 554, 452, 250, 552, 250, 450)
    ]
    assert [mail.recipients[0] for mail in smtp_sink.mails] == [
        f"user{n}@c.example" for n in (0, 3, 6, 8)
    ]


async def test_a_server_that_closes_after_some_mails_loses_none(
    service_mail: ServiceMail, smtp_sink: SmtpSink
):
    smtp_sink.drop_after = 5
    smtp_sink.delay = 0.03
    results = await service_mail.send_batch(mails(20))
    sent = {f"user{n}@c.example" for n, result in enumerate(results) if result.ok}
    arrived = {mail.recipients[0] for mail in smtp_sink.mails}
    assert sent <= arrived
    for result in results:
        assert result.ok or (result.outcome is Outcome.CONNECTION and result.retryable)
    assert len(sent) >= 12


async def test_a_connection_closed_while_idle_is_opened_again(
    service_mail: ServiceMail, smtp_sink: SmtpSink
):
    smtp_sink.drop_after = 1
    for n in range(3):
        (result,) = await service_mail.send_batch(mails(1, f"round{n}-{{}}@c.example"))
        assert result.ok
        await asyncio.sleep(0.05)
    assert smtp_sink.connections == 3


async def test_bad_recipients_and_values_fail_alone(service_mail: ServiceMail, smtp_sink: SmtpSink):
    batch = mails(5)
    batch[1] = Mail("no address", "<1@b.example>", TEMPLATE, {"link": "https://h.example/"})
    batch[2] = Mail("a@c.example\r\nRCPT TO:<v@example.org>", "<2@b>", TEMPLATE, {"link": "x"})
    batch[3] = Mail("a@c.example", "<3@b>", TEMPLATE, {"link": "https://h/\r\nBcc: v@example.org"})
    results = await service_mail.send_batch(batch)
    assert [result.outcome for result in results] == [
        Outcome.OK, *[Outcome.INVALID_TARGET] * 3, Outcome.OK,
    ]  # fmt: skip
    assert len(smtp_sink.mails) == 2


async def test_addresses_beyond_ascii(service_mail: ServiceMail, smtp_sink: SmtpSink):
    batch = [
        Mail(address, f"<{n}@b.example>", TEMPLATE, {"link": "https://h.example/"})
        for n, address in enumerate(["jürgen@c.example", "me@bücher.example", "me@c.example"])
    ]
    results = await service_mail.send_batch(batch)
    assert all(result.ok for result in results)
    assert smtp_sink.mails[0].recipients == ["jürgen@c.example"]
    assert smtp_sink.mails[1].recipients == ["me@xn--bcher-kva.example"]


async def test_check(service_mail: ServiceMail, smtp_sink: SmtpSink):
    assert (await service_mail.check()).ok
    assert (await service_mail.send_batch(mails(1)))[0].ok
    assert smtp_sink.connections == 1


async def test_nobody_listening_fails_all_quickly(
    settings_for: SettingsFor, free_port: Callable[[], int]
):
    service_mail = ServiceMail(mail_settings(settings_for, free_port()))
    started = time.monotonic()
    results = await service_mail.send_batch(mails(500))
    assert {(r.outcome, r.retryable) for r in results} == {(Outcome.CONNECTION, True)}
    assert not (await service_mail.check()).ok
    assert time.monotonic() - started < 5
    await asyncio.to_thread(service_mail.close)


async def test_starttls_is_required_when_set(settings_for: SettingsFor, smtp_sink: SmtpSink):
    settings = mail_settings(settings_for, smtp_sink.port, smtp_security="starttls")
    service_mail = ServiceMail(settings)
    (result,) = await service_mail.send_batch(mails(1))
    assert (result.outcome, result.retryable) == (Outcome.CONNECTION, True)
    assert smtp_sink.mails == []
    await asyncio.to_thread(service_mail.close)


@dataclass
class Script:
    """A server that answers each command by a function; it records what it is told."""

    answer: Callable[[str, Script], bytes | None]
    port: int = 0
    commands: list[str] = field(default_factory=list[str])
    bodies: list[bytes] = field(default_factory=list[bytes])


@contextmanager
def scripted(answer: Callable[[str, Script], bytes | None]) -> Generator[Script]:
    """Serve SMTP by script: an answer of None closes the connection, b"" says nothing."""
    script = Script(answer)
    peers: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        script.port = server.getsockname()[1]

        def accept() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                peers.append(peer)
                threading.Thread(target=_converse, args=(peer, script), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield script
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)
    for peer in peers:
        peer.close()


def _converse(peer: socket.socket, script: Script) -> None:
    stream = peer.makefile("rwb", buffering=0)
    try:
        stream.write(script.answer("greeting", script) or b"")
        for line in iter(lambda: stream.readline(), b""):
            command = line.decode().strip()
            command = command[:4].upper() + command[4:]  # smtplib says "ehlo"
            script.commands.append(command)
            reply = script.answer(command, script)
            if reply is None:
                break
            stream.write(reply)
            if reply.startswith(b"354") and not _read_body(stream, script):
                break
    except (OSError, ValueError):
        script.commands.append("(gone)")
    finally:
        stream.close()
        with suppress(OSError):  # the test may have closed it first
            peer.shutdown(socket.SHUT_RDWR)
        peer.close()


def _read_body(stream: object, script: Script) -> bool:
    body = b""
    while not body.endswith(b"\r\n.\r\n") and body != b".\r\n":
        line = stream.readline()  # type: ignore[attr-defined]
        if not line:
            return False
        body += line
    script.bodies.append(body)
    reply = script.answer("body", script)
    if reply is None:
        return False
    stream.write(reply)  # type: ignore[attr-defined]
    return True


def usual(command: str, script: Script) -> bytes | None:
    if command.startswith("EHLO"):
        return b"250-hello\r\n250-PIPELINING\r\n250 8BITMIME\r\n"
    if command == "DATA":
        return b"354 go\r\n"
    return b"220 hi\r\n" if command == "greeting" else b"250 ok\r\n"


async def send_to(script: Script, settings_for: SettingsFor, count: int) -> list[SendResult]:
    service_mail = ServiceMail(mail_settings(settings_for, script.port), connections=1)
    results = await service_mail.send_batch(mails(count))
    await asyncio.to_thread(service_mail.close)
    return results


async def test_a_drop_after_the_body_is_never_taken_for_sent(settings_for: SettingsFor):
    def answer(command: str, script: Script) -> bytes | None:
        if command == "body" and len(script.bodies) == 3:
            return None
        return usual(command, script)

    with scripted(answer) as script:
        results = await send_to(script, settings_for, 6)
    assert [r.outcome for r in results] == [
        Outcome.OK, Outcome.OK, Outcome.CONNECTION, Outcome.OK, Outcome.OK, Outcome.OK,
    ]  # fmt: skip
    assert results[2].retryable
    assert len(script.bodies) == 6


@pytest.mark.parametrize("phase", ["MAIL", "RCPT", "DATA", "body"])
@pytest.mark.parametrize("code", [451, 550])
async def test_refusals_in_every_phase(phase: str, code: int, settings_for: SettingsFor):
    seen: list[str] = []

    def answer(command: str, script: Script) -> bytes | None:
        if command.startswith(phase):
            seen.append(command)
            if len(seen) == 2:
                return b"%d-no\r\n%d really\r\n" % (code, code)
        return usual(command, script)

    with scripted(answer) as script:
        results = await send_to(script, settings_for, 4)
    assert [r.status for r in results] == [250, code, 250, 250]
    assert results[1].retryable is (code < 500)


async def test_a_server_that_says_421_and_goes(settings_for: SettingsFor):
    def answer(command: str, script: Script) -> bytes | None:
        first = command.startswith("MAIL") and len(script.bodies) == 2
        if first and script.commands.count("RSET") == 0 and "again" not in script.commands:
            script.commands.append("again")
            return b"421 too many\r\n"
        return usual(command, script)

    with scripted(answer) as script:
        results = await send_to(script, settings_for, 5)
    assert all(result.ok for result in results)
    assert len(script.bodies) == 5


async def test_a_server_that_stops_answering(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attempt, "ATTEMPT_SECONDS", 0.6)

    released = threading.Event()

    def answer(command: str, script: Script) -> bytes | None:
        if command == "body" and len(script.bodies) == 1:
            released.wait(10)
            return None
        return usual(command, script)

    with scripted(answer) as script:
        started = time.monotonic()
        results = await send_to(script, settings_for, 3)
        released.set()
    assert [r.outcome for r in results] == [Outcome.TIMEOUT, Outcome.OK, Outcome.OK]
    assert time.monotonic() - started < 4


async def test_a_server_that_leaves_out_a_reply_is_not_believed(
    settings_for: SettingsFor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attempt, "ATTEMPT_SECONDS", 0.6)

    def answer(command: str, script: Script) -> bytes | None:
        return b"" if command == "body" and len(script.bodies) == 2 else usual(command, script)

    with scripted(answer) as script:
        results = await send_to(script, settings_for, 4)
    assert results[0].ok
    assert not all(result.ok for result in results[1:3])


async def test_a_server_without_8bitmime_gets_ascii(settings_for: SettingsFor):
    def answer(command: str, script: Script) -> bytes | None:
        return b"250 hello\r\n" if command.startswith("EHLO") else usual(command, script)

    with scripted(answer) as script:
        results = await send_to(script, settings_for, 2)
    assert all(result.ok for result in results)
    assert all(body.isascii() for body in script.bodies)
    assert not any("8BITMIME" in command for command in script.commands)


async def test_no_smtputf8_no_such_address(settings_for: SettingsFor):
    with scripted(usual) as script:
        service_mail = ServiceMail(mail_settings(settings_for, script.port), connections=1)
        batch = mails(1) + mails(1, "jürgen{}@c.example") + mails(1)
        results = await service_mail.send_batch(batch)
        await asyncio.to_thread(service_mail.close)
    assert [r.ok for r in results] == [True, False, True]
    assert (results[1].outcome, results[1].retryable) == (Outcome.REJECTED, False)


async def test_a_refused_login_is_worth_another_attempt(settings_for: SettingsFor):
    def answer(command: str, script: Script) -> bytes | None:
        if command.startswith("EHLO"):
            return b"250-hello\r\n250 AUTH PLAIN\r\n"
        return b"535 no\r\n" if command.startswith("AUTH") else usual(command, script)

    with scripted(answer) as script:
        settings = mail_settings(
            settings_for, script.port, smtp_username="me", smtp_password="secret"
        )
        service_mail = ServiceMail(settings, connections=1)
        (result,) = await service_mail.send_batch(mails(1))
        await asyncio.to_thread(service_mail.close)
    assert (result.outcome, result.status, result.retryable) == (Outcome.CONNECTION, 535, True)
    assert "secret" not in result.detail


async def test_closing_lets_go_of_what_has_not_begun(
    service_mail: ServiceMail, smtp_sink: SmtpSink
):
    smtp_sink.delay = 0.2
    sending = asyncio.ensure_future(service_mail.send_batch(mails(10)))
    await eventually(lambda: smtp_sink.mails)
    await asyncio.to_thread(service_mail.close)
    results = await asyncio.wait_for(sending, 5)
    assert 0 < sum(r.ok for r in results) == len(smtp_sink.mails) < 10
    assert all(r is NOT_STARTED for r in results if not r.ok)
    assert (await service_mail.send_batch(mails(1)))[0] is NOT_STARTED


async def test_mails_whose_turn_comes_too_late_are_not_started(
    service_mail: ServiceMail, smtp_sink: SmtpSink
):
    results = await service_mail.send_batch(mails(3), start_within=-1.0)
    assert results == [NOT_STARTED] * 3
    assert (await service_mail.send_batch(mails(2), start_within=30.0))[1].ok
    assert len(smtp_sink.mails) == 2
