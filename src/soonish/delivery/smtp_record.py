"""A user's `mailto://`: the reply codes that Apprise's SMTP controller hides."""

from __future__ import annotations

import smtplib
import ssl
from types import SimpleNamespace
from typing import Any

from apprise.plugins.email import smtp as apprise_smtp

from soonish.delivery.attempt import current, in_delivery_thread
from soonish.delivery.keepalive import tls_context


class _Recording:
    """Mixed into smtplib's classes: failures of each reply go to the current attempt."""

    def getreply(self) -> tuple[int, bytes]:
        code, text = super().getreply()  # pyright: ignore[reportAttributeAccessIssue]
        if code >= 400 and in_delivery_thread():
            current().statuses.append(code)
        return code, text


def _named(arguments: dict[str, Any]) -> dict[str, Any]:
    # smtplib would ask a resolver for this machine's full name, without a time limit.
    return {"local_hostname": "localhost", **arguments}


class RecordingSMTP(_Recording, smtplib.SMTP):
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
    """Put the recording classes, and the one TLS context, where Apprise's controller looks."""
    smtp = SimpleNamespace(
        SMTP=RecordingSMTP, SMTP_SSL=RecordingSMTPS, SMTPException=smtplib.SMTPException
    )
    tls = SimpleNamespace(create_default_context=_context, CERT_NONE=ssl.CERT_NONE)
    apprise_smtp.__dict__.update(smtplib=smtp, ssl=tls)
