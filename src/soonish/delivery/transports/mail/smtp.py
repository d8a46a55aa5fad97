"""A kept-open SMTP connection that delivers mails one by one, pipelined if the server allows it.

With PIPELINING (RFC 2920) the body of a mail and the envelope of the next go out in one write.
Replies are read in order, and each belongs to exactly one command of one mail.
"""

from __future__ import annotations

import contextlib
import select
import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from soonish.config import Settings
from soonish.delivery.transports.attempt import current
from soonish.delivery.transports.http.connections import tls_context
from soonish.delivery.transports.outcome import Outcome, SendResult

IDLE_SECONDS: Final = 30.0
_REPLY_LIMIT: Final = 8192
_FINAL_DOT: Final = b".\r\n"


class ConnectionDropped(ConnectionError):
    """The server closed, broke the protocol or did not answer; `code` is 421 or None."""

    def __init__(self, code: int | None = None) -> None:
        super().__init__("the mail server closed the connection")
        self.code = code


class MailServerUnusable(ConnectionError):
    """Connecting, TLS or login failed; no mail can go out now."""

    def __init__(self, detail: str, code: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code


@dataclass(frozen=True)
class Envelope:
    """One mail for SMTP: `render(eight_bit)` gives its bytes, `needs_utf8` asks for SMTPUTF8."""

    sender: str
    recipient: str
    needs_utf8: bool
    render: Callable[[bool], bytes]


def refusal(code: int) -> SendResult:
    """Return the result of an SMTP reply code of 400 and above: 4yz is transient, 5yz is not."""
    detail = f"The mail server answered {code}"
    return SendResult(Outcome.REJECTED, detail, code, retryable=code < 500)


class MailConnection:
    """A connection to the operator's server; the constructor may raise MailServerUnusable."""

    def __init__(self, settings: Settings) -> None:
        self._client = _open(settings)
        self.is_pipelining = self._client.has_extn("pipelining")
        self.is_eight_bit = self._client.has_extn("8bitmime")
        self.is_utf8 = self._client.has_extn("smtputf8")
        self.concluded = 0  # mails that got a final reply
        self.is_in_body = False  # a body was sent that has no reply yet
        self._handle = _duplicate(self._client)
        self._idle_since = time.monotonic()
        self._must_reset = False
        self._is_sent = False  # the next mail's envelope was sent with the previous body

    @property
    def is_dropped(self) -> bool:
        """True if the server has closed the connection, or it has been idle for long."""
        if self._is_sent:
            return False
        if self._client.sock is None or time.monotonic() - self._idle_since > IDLE_SECONDS:
            return True
        poller = select.poll()
        poller.register(self._client.sock, select.POLLIN)
        return bool(poller.poll(0))

    def deliver(self, mail: Envelope, following: Envelope | None) -> SendResult:
        """Send `mail`; `following` is the mail of the next call, if there is one.

        Raises ConnectionDropped or another OSError once the connection is of no more use.
        """
        self._limit_waiting()
        self.is_in_body = False
        codes = self._envelope(mail)
        if any(300 <= code < 400 for code in codes[:-1]):
            raise ConnectionDropped  # a reply is missing: nothing that follows can be matched
        if codes[-1] == 354 and max(codes[:-1]) < 300:
            return self._body(mail, following)
        if codes[-1] == 354:  # DATA accepted although the recipient was not (RFC 2920, 3.1)
            self._write(_FINAL_DOT)
            self._reply()
        self._must_reset = True
        self.concluded += 1
        failed = [code for code in codes if code >= 400]
        if not failed:
            raise ConnectionDropped
        return refusal(failed[0])

    def noop(self) -> int:
        """Return the reply code to NOOP."""
        self._limit_waiting()
        self._write(b"NOOP\r\n")
        return self._reply()

    def close(self) -> None:
        """Send QUIT without waiting for the reply, and close."""
        with contextlib.suppress(OSError):  # the server may have gone first
            if self._client.sock is not None:
                self._client.sock.settimeout(1.0)
            self._write(b"QUIT\r\n")
        self._client.close()
        self._handle.close()

    def _envelope(self, mail: Envelope) -> list[int]:
        """Return the reply codes up to DATA's, or up to the first refusal without pipelining.

        The last two codes are RCPT's and DATA's if DATA was answered.
        """
        commands = self._commands(mail)
        if not self.is_pipelining:
            return self._step_by_step(commands)
        if not self._is_sent:
            self._write(b"".join(commands))
        self._is_sent = False
        codes = [self._reply() for _ in commands]
        self._must_reset = False
        return codes[-3:]

    def _step_by_step(self, commands: list[bytes]) -> list[int]:
        codes: list[int] = []
        for command in commands:
            self._write(command)
            codes.append(self._reply())
            if codes[-1] >= 400:
                break
        self._must_reset = False
        return codes

    def _commands(self, mail: Envelope) -> list[bytes]:
        options = " BODY=8BITMIME" if self.is_eight_bit else ""
        options += " SMTPUTF8" if mail.needs_utf8 else ""
        envelope = [
            f"MAIL FROM:<{mail.sender}>{options}\r\n".encode(),
            f"RCPT TO:<{mail.recipient}>\r\n".encode(),
            b"DATA\r\n",
        ]
        return [b"RSET\r\n", *envelope] if self._must_reset else envelope

    def _body(self, mail: Envelope, following: Envelope | None) -> SendResult:
        data = mail.render(self.is_eight_bit).replace(b"\r\n.", b"\r\n..") + _FINAL_DOT
        if self.is_pipelining and following is not None:
            data += b"".join(self._commands(following))
            self._is_sent = True
        self.is_in_body = True
        self._write(data)
        code = self._reply()
        if 300 <= code < 400:
            raise ConnectionDropped
        self.is_in_body = False
        self.concluded += 1
        self._idle_since = time.monotonic()
        if code >= 400:
            return refusal(code)
        return SendResult(Outcome.OK, status=code)

    def _limit_waiting(self) -> None:
        if self._client.sock is None:
            raise ConnectionDropped
        attempt = current()
        attempt.watch(self._handle)
        self._client.sock.settimeout(attempt.remaining)

    def _write(self, data: bytes) -> None:
        if self._client.sock is None:
            raise ConnectionDropped
        self._client.sock.sendall(data)

    def _reply(self) -> int:
        """Read one reply of any number of lines. Raises ConnectionDropped, also for 421."""
        stream = self._client.file
        if stream is None:
            raise ConnectionDropped
        while True:
            line = stream.readline(_REPLY_LIMIT)
            if not line.endswith(b"\n") or not line[:3].isdigit():
                raise ConnectionDropped
            if line[3:4] != b"-":
                break
        code = int(line[:3])
        if code == 421:
            raise ConnectionDropped(421)
        return code


def _duplicate(client: smtplib.SMTP) -> socket.socket:
    """Return a second descriptor of the connection, for the watchdog to shut down."""
    if client.sock is None:
        raise MailServerUnusable("The mail server closed the connection")
    return socket.fromfd(client.sock.fileno(), client.sock.family, client.sock.type)


def _open(settings: Settings) -> smtplib.SMTP:
    """Connect, start TLS and log in as set. Raises MailServerUnusable."""
    client: smtplib.SMTP | None = None
    try:
        client = _connect(settings)
        _log_in(client, settings)
    except (OSError, smtplib.SMTPException, ValueError) as error:
        if client is not None:
            client.close()
        if isinstance(error, MailServerUnusable):
            raise
        raise _unusable(error) from error
    return client


def _connect(settings: Settings) -> smtplib.SMTP:
    host, port, seconds = settings.smtp_server, settings.smtp_port, current().remaining
    name = "localhost"  # otherwise smtplib looks up this machine's name, without a time limit
    if settings.smtp_security == "tls":
        return smtplib.SMTP_SSL(host, port, name, timeout=seconds, context=tls_context())
    return smtplib.SMTP(host, port, name, timeout=seconds)


def _log_in(client: smtplib.SMTP, settings: Settings) -> None:
    client.ehlo_or_helo_if_needed()
    if settings.smtp_security == "starttls":
        if not client.has_extn("starttls"):
            raise MailServerUnusable("The mail server does not offer STARTTLS")
        client.starttls(context=tls_context())
        client.ehlo()
    if settings.smtp_username:
        client.login(settings.smtp_username, settings.smtp_password)


def _unusable(error: Exception) -> MailServerUnusable:
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return MailServerUnusable("The mail server refused the login", error.smtp_code)
    if isinstance(error, smtplib.SMTPResponseException):
        return MailServerUnusable("The mail server refused the connection", error.smtp_code)
    if isinstance(error, ssl.SSLError):
        return MailServerUnusable("The mail server's certificate or TLS is not valid")
    return MailServerUnusable("The mail server cannot be reached")
