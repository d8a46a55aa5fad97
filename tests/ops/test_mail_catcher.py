"""The catcher takes what real mail programs send, and shows it again."""

from __future__ import annotations

import asyncio
import signal
import smtplib
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Generator
from email.message import EmailMessage
from pathlib import Path

import pytest
from aiosmtpd.smtp import Envelope

from soonish.errors import NotFound
from soonish.local.caught_mail import list_mails, mail_folder, read_mail
from soonish.local.mail_catcher import Catcher
from tests.support.ports import accepts
from tests.support.wait import wait_for

pytestmark = pytest.mark.processes


@pytest.fixture
def catcher_port(tmp_path: Path, free_port: Callable[[], int]) -> Generator[int]:
    port = free_port()
    command = [sys.executable, "-m", "soonish.local.mail_catcher", mail_folder(tmp_path), str(port)]
    process = subprocess.Popen(command, cwd=tmp_path)
    wait_for(lambda: accepts(port))
    yield port
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == 0


def mail(subject: str, text: str = "Hello", html: str = "") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Soonish <soonish@example.org>"
    message["To"] = "ada@example.org"
    message["Subject"] = subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message


def test_shows_what_was_sent(catcher_port: int, tmp_path: Path) -> None:
    with smtplib.SMTP("127.0.0.1", catcher_port) as client:
        client.send_message(mail("Grüße an alle", "Bis bald", "<p>Bis <b>bald</b></p>"))
        client.send_message(mail("Another"), to_addrs=["bob@example.org", "eve@example.org"])

    newest, first = list_mails(tmp_path)
    assert newest.recipients == ["bob@example.org", "eve@example.org"]
    assert (first.subject, first.sender) == ("Grüße an alle", "soonish@example.org")
    assert first.recipients == ["ada@example.org"]
    message = read_mail(tmp_path, first.name)
    assert message.text.strip() == "Bis bald"
    assert "<b>bald</b>" in message.html
    assert ("To", "ada@example.org") in message.headers


def test_the_list_is_searched_and_limited(catcher_port: int, tmp_path: Path) -> None:
    with smtplib.SMTP("127.0.0.1", catcher_port) as client:
        for number in range(5):
            client.send_message(mail(f"Number {number}"), to_addrs=[f"user{number}@example.org"])
    assert [m.subject for m in list_mails(tmp_path, limit=2)] == ["Number 4", "Number 3"]
    assert [m.subject for m in list_mails(tmp_path, query="USER3@")] == ["Number 3"]
    assert [m.subject for m in list_mails(tmp_path, query="number 1")] == ["Number 1"]
    assert list_mails(tmp_path, query="nobody") == []


def test_pipelined_commands_are_answered_in_order(catcher_port: int, tmp_path: Path) -> None:
    with socket.create_connection(("127.0.0.1", catcher_port), timeout=5) as connection:
        file = connection.makefile("rb")
        assert file.readline().startswith(b"220")
        connection.sendall(b"EHLO test\r\n")
        offered = b""
        while not offered.startswith(b"250 "):
            offered = file.readline()
            if b"PIPELINING" in offered:
                break
        else:
            pytest.fail("PIPELINING is not offered")
        while not offered.startswith(b"250 "):
            offered = file.readline()

        envelope = (
            b"MAIL FROM:<a@example.org> BODY=8BITMIME\r\nRCPT TO:<%d@example.org>\r\nDATA\r\n"
        )
        body = "Subject: é\r\n\r\n..dot\r\n.\r\n".encode()
        # The body of one mail and the envelope of the next in one write.
        connection.sendall(envelope % 1)
        connection.sendall(body + envelope % 2)
        connection.sendall(body + b"QUIT\r\n")
        codes = [line[:3] for line in file]
    assert codes == [b"250", b"250", b"354", b"250", b"250", b"250", b"354", b"250", b"221"]
    assert [m.recipients for m in list_mails(tmp_path)] == [["2@example.org"], ["1@example.org"]]
    assert read_mail(tmp_path, list_mails(tmp_path)[0].name).raw.endswith(
        "é\r\n\r\n.dot\r\n".encode()
    )


def test_files_are_private(catcher_port: int, tmp_path: Path) -> None:
    assert stat.S_IMODE(mail_folder(tmp_path).stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "name", ["../secrets.env", "x.eml", ".", "20260101T000000000000Z-00000000.eml"]
)
def test_only_caught_mails_are_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "secrets.env").write_text("SECRET_KEY=x")
    mail_folder(tmp_path).mkdir()
    with pytest.raises(NotFound):
        read_mail(tmp_path, name)


def test_an_empty_home_has_no_mail(tmp_path: Path) -> None:
    assert list_mails(tmp_path) == []


async def test_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("soonish.local.mail_catcher.PRUNE_EVERY", 5)
    catcher = Catcher(mail_folder(tmp_path), keep=3)
    for number in range(10):
        envelope = Envelope()
        envelope.mail_from, envelope.rcpt_tos = "a@example.org", ["b@example.org"]
        envelope.content = f"Subject: {number}\r\n\r\n".encode()
        await catcher.handle_DATA(None, None, envelope)  # pyright: ignore[reportArgumentType]
        await asyncio.sleep(0)
    assert [m.subject for m in list_mails(tmp_path)] == ["9", "8", "7"]
