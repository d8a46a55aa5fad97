"""Render a mail once, split at the values that differ per recipient.

See docs/architecture.md#service-mail.
"""

from __future__ import annotations

import html
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.header import Header
from email.utils import format_datetime, parseaddr
from functools import lru_cache
from typing import Final

import idna

from soonish.errors import InvalidInput

LINE_LIMIT: Final = 998  # bytes without CRLF (RFC 5322, 2.1.1)
_VALUE_LIMIT = 900  # bytes; the unsubscribe link has a header line of its own
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
_LINK = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]+")  # printable ASCII, no space, "<" or ">"
_LOCAL = re.compile(r"""[^\x00-\x20\x7f"(),:;<>@\[\]\\]+""")
_MESSAGE_ID = re.compile(r"[\x21-\x3b\x3d\x3f-\x7e]+")
_SLOT = re.compile(r"\{\{\s*(\w+)\s*\}\}")


@dataclass(frozen=True)
class MailContent:
    """One mail for many: `text` and `html` may have slots such as `{{unsubscribe_url}}`."""

    subject: str
    text: str
    html: str  # a whole document or a fragment; values are escaped when they are filled in
    reply_to: str | None = None


@dataclass(frozen=True)
class SmtpAddress:
    """An address for SMTP: its domain is in ASCII; if `is_ascii` is False it needs SMTPUTF8."""

    address: str
    is_ascii: bool


@lru_cache(maxsize=4096)
def parse_recipient(address: str) -> SmtpAddress:
    """Check one bare address. Raises InvalidInput on `to` (also for CR, LF and lists)."""
    local, at, domain = address.strip().rpartition("@")
    if not at or not _LOCAL.fullmatch(local) or len(local.encode()) > 64:
        raise InvalidInput("to", "This is not an address mail can be sent to.")
    if local.startswith(".") or local.endswith(".") or ".." in local:
        raise InvalidInput("to", "This is not an address mail can be sent to.")
    return SmtpAddress(f"{local}@{_ascii_domain(domain)}", local.isascii())


def reply_address(text: str | None) -> str | None:
    """Return `text` as a bare address for Reply-To, None if it is anything else.

    Only ASCII addresses count: a Reply-To must not make the whole mail need SMTPUTF8.
    """
    try:
        parsed = parse_recipient(text or "")
        address = _parse_sender(parsed.address)[0]
    except InvalidInput:
        return None
    labels = address.rpartition("@")[2].split(".")
    return address if parsed.is_ascii and len(labels) > 1 and all(labels) else None


def _ascii_domain(domain: str) -> str:
    if domain.isascii() and re.fullmatch(r"[A-Za-z0-9._-]{1,253}", domain):
        return domain
    try:
        return idna.encode(domain, uts46=True).decode("ascii")
    except idna.IDNAError as error:
        raise InvalidInput("to", "The address's domain is not valid.") from error


Value = Callable[[Mapping[str, str]], bytes]


class _Pieces:
    """Static bytes and the slots between them."""

    def __init__(self) -> None:
        self._static: list[bytes] = [b""]
        self._values: list[Value] = []

    def add(self, data: bytes) -> None:
        self._static[-1] += data

    def slot(self, value: Value) -> None:
        self._values.append(value)
        self._static.append(b"")

    def join(self, values: Mapping[str, str]) -> bytes:
        parts: list[bytes] = [self._static[0]]
        for value, static in zip(self._values, self._static[1:], strict=True):
            parts.append(value(values))
            parts.append(static)
        return b"".join(parts)


class MailTemplate:
    """A mail to many, rendered once; `render` joins bytes.

    `sender` is "Name <address>"; `slots` are the names of the values that every render gets;
    the link of `list_unsubscribe_slot` also goes into List-Unsubscribe (RFC 8058).
    Raises InvalidInput for header values with line breaks and for unknown slots.
    """

    def __init__(
        self,
        content: MailContent,
        sender: str,
        slots: Sequence[str] = (),
        list_unsubscribe_slot: str | None = None,
    ) -> None:
        self.envelope_sender, self._from = _parse_sender(sender)
        self._slots = frozenset(slots)
        self._unsubscribe = list_unsubscribe_slot
        self._content = content
        self._date = format_datetime(datetime.now(UTC))
        self._boundary = f"=_{secrets.token_hex(16)}"
        _check_slots(content, self._slots, list_unsubscribe_slot)
        self._headers = self._fixed_headers()
        self._longest, self._slots_in_line = _slot_lines(content)
        self._forms = {eight_bit: self._compile(eight_bit) for eight_bit in (True, False)}

    def render(
        self,
        to: str,
        message_id: str,
        values: Mapping[str, str] | None = None,
        *,
        eight_bit: bool = True,
    ) -> bytes:
        """Return the whole message with CRLF lines, not yet dot-stuffed.

        If `eight_bit` is False it is pure ASCII, for servers without 8BITMIME.
        Raises InvalidInput for values that are missing or invalid in a mail.
        """
        values = values or {}
        recipient = parse_recipient(to).address
        self.check(message_id, values)
        return self.assemble(recipient, message_id, values, eight_bit)

    def assemble(
        self, recipient: str, message_id: str, values: Mapping[str, str], eight_bit: bool
    ) -> bytes:
        """Render without checking the arguments, see `check`."""
        identity = _message_id(message_id, self.envelope_sender)
        head = f"To: {recipient}\r\nMessage-ID: {identity}\r\n".encode()
        return head + self._forms[eight_bit and self._fits(values)].join(values)

    def check(self, message_id: str, values: Mapping[str, str]) -> None:
        """Raise InvalidInput for values that are missing or invalid in a mail."""
        _message_id(message_id, self.envelope_sender)
        if not self._slots <= values.keys():
            raise InvalidInput("values", "A value of the mail is missing.")
        for name in self._slots:
            if _CONTROL.search(values[name]) or len(values[name].encode()) > _VALUE_LIMIT:
                raise InvalidInput("values", f"The value of {name} does not fit in a mail.")
        if self._unsubscribe and not _LINK.fullmatch(values[self._unsubscribe]):
            raise InvalidInput("values", "The unsubscribe link is not a valid URL.")

    def _fits(self, values: Mapping[str, str]) -> bool:
        """Return True if no line gets too long with these values."""
        size = max((len(html.escape(values[name]).encode()) for name in self._slots), default=0)
        return self._longest + self._slots_in_line * size <= LINE_LIMIT

    def _fixed_headers(self) -> bytes:
        lines = [
            f"From: {self._from}",
            f"Subject: {encode_header('subject', self._content.subject, 'Subject')}",
            f"Date: {self._date}",
            "MIME-Version: 1.0",
            "Auto-Submitted: auto-generated",
        ]
        if self._content.reply_to:
            _, formatted = _parse_sender(self._content.reply_to, "reply_to")
            lines.append(f"Reply-To: {formatted}")
        return "".join(f"{line}\r\n" for line in lines).encode()

    def _compile(self, eight_bit: bool) -> _Pieces:
        pieces = _Pieces()
        pieces.add(self._headers)
        if self._unsubscribe:
            pieces.add(b"List-Unsubscribe: <")
            pieces.slot(_value(self._unsubscribe, str.encode))
            pieces.add(b">\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n")
        kind = f'multipart/alternative; boundary="{self._boundary}"'
        pieces.add(f"Content-Type: {kind}\r\n".encode())
        if eight_bit:
            pieces.add(b"Content-Transfer-Encoding: 8bit\r\n")
        pieces.add(b"\r\n")
        for subtype, body, escape in (
            ("plain", self._content.text, _as_is),
            ("html", self._content.html, html.escape),
        ):
            self._add_part(pieces, subtype, body, escape, eight_bit)
        pieces.add(f"--{self._boundary}--\r\n".encode())
        return pieces

    def _add_part(
        self,
        pieces: _Pieces,
        subtype: str,
        body: str,
        escape: Callable[[str], str],
        eight_bit: bool,
    ) -> None:
        body = re.sub(r"\r\n|\r|\n", "\r\n", body)
        body = body if body.endswith("\r\n") else body + "\r\n"
        raw = eight_bit and max(len(line.encode()) for line in body.split("\r\n")) <= LINE_LIMIT
        encoding = "8bit" if raw else "quoted-printable"
        pieces.add(
            f"--{self._boundary}\r\nContent-Type: text/{subtype}; charset=utf-8\r\n"
            f"Content-Transfer-Encoding: {encoding}\r\n\r\n".encode()
        )
        encode = str.encode if raw else quoted_printable
        for index, part in enumerate(_SLOT.split(body)):
            if index % 2:
                pieces.slot(_value(part, lambda text: encode(escape(text))))
            else:
                pieces.add(encode(part))
        pieces.add(b"\r\n")


def _value(name: str, encode: Callable[[str], bytes]) -> Value:
    return lambda values: encode(values[name])


def _as_is(text: str) -> str:
    return text


def _slot_lines(content: MailContent) -> tuple[int, int]:
    """Return (bytes of the longest line with slots, the most slots in one line)."""
    lines = [*content.text.splitlines(), *content.html.splitlines()]
    counted = [(len(line.encode()), len(_SLOT.findall(line))) for line in lines]
    held = [(size, count) for size, count in counted if count] or [(0, 0)]
    return max(size for size, _ in held), max(count for _, count in held)


_PLAIN = frozenset(range(0x21, 0x7F)) - {0x3D}


def quoted_printable(text: str) -> bytes:
    """Encode text with CRLF lines as quoted-printable (RFC 2045).

    Text without a final line break gets a soft one, so that a value and more text can follow it
    and the reader still sees one line.
    """
    out = bytearray()
    column = 0
    data = text.encode()
    for index, byte in enumerate(data):
        if byte in (0x0D, 0x0A):
            out.append(byte)
            column = 0
            continue
        ends_line = data[index + 1 : index + 2] in (b"\r", b"")
        is_plain = byte in _PLAIN or (byte in (0x20, 0x09) and not ends_line)
        token = bytes((byte,)) if is_plain else b"=%02X" % byte
        if column + len(token) > 73:
            out += b"=\r\n"
            column = 0
        out += token
        column += len(token)
    return bytes(out + b"=\r\n" if column else out)


def _check_slots(content: MailContent, slots: frozenset[str], unsubscribe: str | None) -> None:
    used = set(_SLOT.findall(content.text)) | set(_SLOT.findall(content.html))
    used |= {unsubscribe} if unsubscribe else set()
    unknown = used - slots
    if unknown:
        raise InvalidInput("slots", f"The mail uses values nobody gives: {', '.join(unknown)}.")


def _message_id(message_id: str, sender: str) -> str:
    bare = message_id.strip().removeprefix("<").removesuffix(">")
    if not _MESSAGE_ID.fullmatch(bare) or len(bare) > 400:
        raise InvalidInput("message_id", "This is not a message id.")
    return f"<{bare}>" if "@" in bare else f"<{bare}@{sender.rpartition('@')[2]}>"


def _parse_sender(sender: str, field: str = "sender") -> tuple[str, str]:
    """Return (address, header value) of "Name <address>". Raises InvalidInput."""
    if _CONTROL.search(sender):
        raise InvalidInput(field, "A mail header must not hold line breaks.")
    name, address = parseaddr(sender)
    try:
        parsed = parse_recipient(address)
    except InvalidInput as error:
        raise InvalidInput(field, "This is not an address mail can come from.") from error
    if not name:
        return parsed.address, parsed.address
    quoted = '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    shown = quoted if name.isascii() else encode_header(field, name, "From")
    return parsed.address, f"{shown} <{parsed.address}>"


def encode_header(field: str, value: str, header: str) -> str:
    """Encode a header's value by RFC 2047 if necessary. Raises InvalidInput on line breaks."""
    if _CONTROL.search(value):
        raise InvalidInput(field, "A mail header must not hold line breaks.")
    if value.isascii() and "=?" not in value and len(value) <= 700:
        return value
    return Header(value, "utf-8", header_name=header).encode(linesep="\r\n")
