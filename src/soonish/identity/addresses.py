"""Email addresses: validation, and the keyed fingerprint for lookups.

See docs/architecture.md#secrets.
"""

from __future__ import annotations

import unicodedata

from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from soonish.errors import InvalidInput
from soonish.infra.db import crypto

# RFC 5321, in octets: a local part, and a path without its angle brackets.
MAX_LOCAL, MAX_LENGTH = 64, 254
_PURPOSE = "email"
# Names like .test and .local may work in a private network; that is not for us to judge.
SPECIAL_USE_DOMAIN_NAMES.clear()


def normalise(address: str, field: str = "email") -> str:
    """Return the address as mail uses it: trimmed, NFC, its domain in ASCII (IDNA, lowercase).

    Raise InvalidInput on `field` for anything but `local@domain` with a dot in the domain. Reserved
    domains such as `example.com` and `.test` are allowed; deliverability is not checked.
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
    """Return 64 hexadecimal digits that ignore the case of the (normalised) address."""
    return crypto.fingerprint(_PURPOSE, unicodedata.normalize("NFC", address.lower()))


def searched_fingerprint(text: str) -> str | None:
    """Return the fingerprint of a search text, or None if it is not a whole address."""
    try:
        return fingerprint_of(normalise(text))
    except InvalidInput:
        return None


def _wrong(field: str) -> InvalidInput:
    return InvalidInput(field, "Enter an email address, such as name@example.com.")
