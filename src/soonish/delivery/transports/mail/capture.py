"""Capture the reply codes of users' `mailto://` channels, which Apprise's SMTP controller hides."""

from __future__ import annotations

import contextlib
import io
import smtplib
import ssl
from collections.abc import Generator
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

from apprise.plugins.email import smtp as apprise_smtp

from soonish.delivery.transports.attempt import current, in_delivery_thread
from soonish.delivery.transports.http.connections import BoundedReader, tls_context

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

REPLIES_LIMIT: Final = 64 * 1024  # bytes of all replies on one connection


class _Recording(smtplib.SMTP):
    """Stores failure codes in the current attempt, and limits the size of replies."""

    def getreply(self) -> tuple[int, bytes]:
        if self.file is None and self.sock is not None:
            raw = self.sock.makefile("rb", buffering=0)
            self.file = io.BufferedReader(BoundedReader(raw, REPLIES_LIMIT))
        with _noting_loss():
            code, text = super().getreply()
        if code >= 400:
            current().statuses.append(code)
        return code, text

    def send(self, s: str | ReadableBuffer) -> None:
        with _noting_loss():
            super().send(s)


@contextlib.contextmanager
def _noting_loss() -> Generator[None]:
    """Record a connection lost before any refusal as the attempt's fault: it may be retried."""
    try:
        yield
    except (OSError, smtplib.SMTPServerDisconnected) as error:
        attempt = current()
        if not attempt.statuses and attempt.fault is None:
            late = attempt.expired or isinstance(error.__context__, TimeoutError)
            attempt.fault = "timeout" if late else "connection"
        raise


def _named(arguments: dict[str, Any]) -> dict[str, Any]:
    # Otherwise smtplib looks up this machine's full name, without a time limit.
    return {"local_hostname": "localhost", **arguments}


class RecordingSMTP(_Recording):
    def __init__(self, host: str, port: int, _name: str | None = None, **arguments: Any) -> None:
        current().is_smtp = True
        super().__init__(host, port, **_named(arguments))


class RecordingSMTPS(_Recording, smtplib.SMTP_SSL):
    def __init__(self, host: str, port: int, _name: str | None = None, **arguments: Any) -> None:
        current().is_smtp = True
        super().__init__(host, port, **_named(arguments))


def _context() -> ssl.SSLContext:
    return tls_context() if in_delivery_thread() else ssl.create_default_context()


def install() -> None:
    """Replace smtplib and ssl in Apprise's controller by the recording classes and our context."""
    smtp = SimpleNamespace(
        SMTP=RecordingSMTP, SMTP_SSL=RecordingSMTPS, SMTPException=smtplib.SMTPException
    )
    tls = SimpleNamespace(create_default_context=_context, CERT_NONE=ssl.CERT_NONE)
    apprise_smtp.__dict__.update(smtplib=smtp, ssl=tls)
