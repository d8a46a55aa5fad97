"""TLS with real certificates: verified by name, always, and under the same deadline."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from soonish.delivery.transports import attempt
from soonish.delivery.transports.http import connections
from soonish.delivery.transports.mail import capture, smtp
from soonish.delivery.transports.mail.service import ServiceMail
from soonish.delivery.transports.message import Message
from soonish.delivery.transports.outcome import Outcome
from soonish.delivery.transports.sender import Sender
from tests.delivery.conftest import SettingsFor, mail_settings
from tests.delivery.test_mail import mails

pytestmark = pytest.mark.processes

NAME = "tls.example"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PEM file with the key and a certificate for tls.example, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def trusting(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Deliveries trust the test's certificate, as an operator's own authority would be."""
    context = ssl.create_default_context(cafile=str(certificate))
    for module in (connections, smtp, capture):
        monkeypatch.setattr(module, "tls_context", lambda: context)


@pytest.fixture
def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing to say."""


class _TlsServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A refused handshake is what the test is about."""


@pytest.fixture
def https_port(server_context: ssl.SSLContext) -> Generator[int]:
    server = _TlsServer(("127.0.0.1", 0), _Handler)
    server.socket = server_context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_port
    server.shutdown()
    connections.connections.close()
    server.server_close()
    thread.join(5)


Resolving = Callable[[str, list[str]], None]


@pytest.mark.usefixtures("trusting")
async def test_https_by_name(
    sender: Sender, message: Message, https_port: int, resolving: Resolving
):
    resolving(NAME, ["127.0.0.1"])
    for _ in range(3):
        assert (await sender.send(f"jsons://{NAME}:{https_port}/x", message)).ok


@pytest.mark.usefixtures("trusting")
async def test_a_certificate_for_another_name(
    sender: Sender, message: Message, https_port: int, resolving: Resolving
):
    resolving("other.example", ["127.0.0.1"])
    for host in ("other.example", "127.0.0.1"):
        result = await sender.send(f"jsons://{host}:{https_port}/x", message)
        assert (result.outcome, result.retryable) == (Outcome.CONNECTION, True)
        assert "certificate" in result.detail


async def test_a_certificate_nobody_vouches_for(
    sender: Sender, message: Message, https_port: int, resolving: Resolving
):
    resolving(NAME, ["127.0.0.1"])
    result = await sender.send(f"jsons://{NAME}:{https_port}/x", message)
    assert result.outcome is Outcome.CONNECTION


async def test_a_handshake_that_never_ends(
    sender: Sender, message: Message, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attempt, "ATTEMPT_SECONDS", 0.6)
    with socket.create_server(("127.0.0.1", 0)) as server:
        started = time.monotonic()
        result = await sender.send(f"jsons://127.0.0.1:{server.getsockname()[1]}/x", message)
    assert (result.outcome, result.retryable) == (Outcome.TIMEOUT, True)
    assert time.monotonic() - started < 2


class _Mailbox:
    def __init__(self) -> None:
        self.secure: list[bool] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.secure.append(session.ssl is not None)
        return "250 OK"


@contextmanager
def serving(box: _Mailbox, port: int, security: str, context: ssl.SSLContext) -> Generator[None]:
    """An SMTP server with TLS from the start, or offering STARTTLS."""
    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # refused handshakes are expected
    implicit = context if security == "tls" else None

    def protocol() -> SMTP:
        tls = context if security == "starttls" else None
        return SMTP(box, hostname="localhost", tls_context=tls, loop=loop)

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    serve = loop.create_server(protocol, "127.0.0.1", port, ssl=implicit)
    server = asyncio.run_coroutine_threadsafe(serve, loop).result(10)
    yield
    asyncio.run_coroutine_threadsafe(_close(server), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(5)
    loop.close()


async def _close(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _settings(settings_for: SettingsFor, port: int, security: str):
    settings = mail_settings(settings_for, port, smtp_security=security)
    settings.smtp_server = NAME
    return settings


@pytest.mark.usefixtures("trusting")
@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_service_mail_over_tls(
    security: str,
    settings_for: SettingsFor,
    server_context: ssl.SSLContext,
    free_port: Callable[[], int],
    resolving: Resolving,
):
    resolving(NAME, ["127.0.0.1"])
    box, port = _Mailbox(), free_port()
    with serving(box, port, security, server_context):
        service_mail = ServiceMail(_settings(settings_for, port, security), connections=1)
        results = await service_mail.send_batch(mails(5))
        await asyncio.to_thread(service_mail.close)
    assert all(result.ok for result in results)
    assert len(box.secure) == 5


@pytest.mark.parametrize("security", ["starttls", "tls"])
async def test_service_mail_does_not_go_to_a_server_nobody_vouches_for(
    security: str,
    settings_for: SettingsFor,
    server_context: ssl.SSLContext,
    free_port: Callable[[], int],
    resolving: Resolving,
):
    resolving(NAME, ["127.0.0.1"])
    box, port = _Mailbox(), free_port()
    with serving(box, port, security, server_context):
        service_mail = ServiceMail(_settings(settings_for, port, security), connections=1)
        (result,) = await service_mail.send_batch(mails(1))
        await asyncio.to_thread(service_mail.close)
    assert (result.outcome, result.retryable) == (Outcome.CONNECTION, True)
    assert box.secure == []
