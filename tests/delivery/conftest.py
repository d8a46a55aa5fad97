"""A sender that may reach loopback, service mail into the sink, and one message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Generator

import pytest

from soonish.config import Settings
from soonish.delivery.transports.egress import guard
from soonish.delivery.transports.mail.service import ServiceMail
from soonish.delivery.transports.message import Message
from soonish.delivery.transports.sender import Sender
from tests.support.smtp_sink import SmtpSink

SettingsFor = Callable[..., Settings]


@pytest.fixture
def loopback(settings_for: SettingsFor) -> Settings:
    return settings_for(egress_allowed_networks="127.0.0.0/8")


@pytest.fixture
async def sender(loopback: Settings) -> AsyncGenerator[Sender]:
    sender = Sender(loopback, threads=32)
    yield sender
    await asyncio.to_thread(sender.close)


@pytest.fixture
def message() -> Message:
    return Message(
        title="Rooftop cinema",
        text="Plain <b> & \\n text\nsecond line – ü",
        markdown="**Marked** down",
        html="<p>Hyper <em>text</em></p>",
        message_id="n1.s2@soonish.example",
    )


def mail_settings(settings_for: SettingsFor, port: int, **more: str) -> Settings:
    values = {"smtp_security": "none", "smtp_from": "Soonish <soonish@b.example>", **more}
    return settings_for(smtp_server="127.0.0.1", smtp_port=port, **values)


@pytest.fixture
async def service_mail(
    settings_for: SettingsFor, smtp_sink: SmtpSink
) -> AsyncGenerator[ServiceMail]:
    service_mail = ServiceMail(mail_settings(settings_for, smtp_sink.port), connections=1)
    yield service_mail
    await asyncio.to_thread(service_mail.close)


@pytest.fixture
def resolving() -> Generator[Callable[[str, list[str]], None]]:
    """`resolving(name, addresses)`: what the guard's resolver says about a name."""
    names: dict[str, list[str]] = {}

    def fake_resolver(host: str, port: int) -> list[str]:
        if host not in names:
            raise OSError("no such name")
        return names[host]

    guard.resolver = fake_resolver
    try:
        yield names.__setitem__
    finally:
        guard.resolver = guard.system_resolver
