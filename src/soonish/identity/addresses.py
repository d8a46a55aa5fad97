"""Email addresses: what is one, and the keyed fingerprint it is looked up by.

See docs/architecture.md#secrets.
"""

from __future__ import annotations

import unicodedata

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from soonish.errors import InvalidInput
from soonish.infra.db import crypto

# RFC 5321, in octets: a local part, and a path less its angle brackets.
MAX_LOCAL, MAX_LENGTH = 64, 254
_PURPOSE = "email"
# Names like .test and .local work in somebody's own network; whether they do is not ours to say.
SPECIAL_USE_DOMAIN_NAMES.clear()


def normalise(address: str, field: str = "email") -> str:
    """The address as mail is sent to it: trimmed, NFC, its domain in ASCII (IDNA, lowercase).

    Raises InvalidInput on `field` for anything but `local@domain` with a dot in the domain.
    Reserved domains such as `example.com` and `.test` are fine; whether mail arrives is not asked.
    """
    trimmed = unicodedata.normalize("NFC", address).strip()
    try:
        valid = validate_email(trimmed, check_deliverability=False)
    except EmailNotValidError:
        raise _wrong(field) from None
    local, domain = valid.local_part, valid.ascii_domain.lower()
    is_short = len(local.encode()) <= MAX_LOCAL and len(f"{local}@{domain}".encode()) <= MAX_LENGTH
    if "." not in domain or not is_short:
        raise _wrong(field)
    return f"{local}@{domain}"


def fingerprint_of(address: str) -> str:
    """64 hexadecimal digits, the same however the (normalised) address is capitalised."""
    return crypto.fingerprint(_PURPOSE, unicodedata.normalize("NFC", address.lower()))


def searched_fingerprint(text: str) -> str | None:
    """The fingerprint of what somebody searches for, None where it is no whole address."""
    try:
        return fingerprint_of(normalise(text))
    except InvalidInput:
        return None


def _wrong(field: str) -> InvalidInput:
    return InvalidInput(field, "Enter an email address, such as name@example.com.")
