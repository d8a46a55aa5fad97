"""Encryption at rest and keyed fingerprints (docs/architecture.md#secrets).

A process has one keyring, set at its start by `configure`. Encryption rotates while it runs
(`replace_keys`); fingerprints never do, so FINGERPRINT_KEY is checked against the database at
start.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from soonish.config import Settings
from soonish.errors import ConfigurationError

_ID_LENGTH = 8


def key_id(key: str) -> str:
    """Return a public name of a key: 32 bits of its SHA-256."""
    return hashlib.sha256(f"soonish key:{key}".encode()).hexdigest()[:_ID_LENGTH]


class Keyring:
    """Encryption keys, of which the first encrypts and any decrypts, and the fingerprint key."""

    def __init__(self, encryption_keys: Sequence[str], fingerprint_key: str) -> None:
        self._first = Fernet(encryption_keys[0])
        self._fernet = MultiFernet([Fernet(key) for key in encryption_keys])
        self._fingerprint_key = fingerprint_key.encode()
        self.key_ids = [key_id(key) for key in encryption_keys]

    def encrypt(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        """Decrypt with any key. Raises InvalidToken if none fits."""
        return self._fernet.decrypt(token.encode()).decode()

    def is_current(self, token: str) -> bool:
        """Return True if the first key can decrypt it."""
        try:
            self._first.decrypt(token.encode())
        except InvalidToken:
            return False
        return True

    def with_keys(self, encryption_keys: Sequence[str]) -> Keyring:
        """Return a keyring with other encryption keys and the same fingerprint key."""
        return Keyring(encryption_keys, self._fingerprint_key.decode())

    def fingerprint(self, purpose: str, value: str) -> str:
        """Return an HMAC-SHA256 of purpose and value, 64 hexadecimal digits."""
        message = f"{purpose}:{value}".encode()
        return hmac.new(self._fingerprint_key, message, hashlib.sha256).hexdigest()


_keyring: Keyring | None = None
# Called if no key fits; returns True if it loaded others. Set by ops/key_watch.py.
on_unknown_key: Callable[[], bool] | None = None


def configure(settings: Settings) -> Keyring:
    """Set the process's keyring. Raises ConfigurationError for an unusable secret."""
    global _keyring
    settings.check_secrets()
    _keyring = Keyring(settings.encryption_keys, settings.fingerprint_key)
    return _keyring


def keyring() -> Keyring:
    if _keyring is None:
        raise ConfigurationError("The encryption keys are not loaded: call crypto.configure.")
    return _keyring


def replace_keys(encryption_keys: Sequence[str]) -> None:
    """Replace the process's encryption keys. Raises ValueError for an invalid key."""
    global _keyring
    _keyring = keyring().with_keys(encryption_keys)


def decrypt(token: str) -> str:
    """Decrypt with any key, even one added meanwhile. Raises ConfigurationError if none fits."""
    try:
        return keyring().decrypt(token)
    except InvalidToken as error:
        if on_unknown_key is not None and on_unknown_key():
            return _decrypt_or_fail(token)
        raise _wrong_key() from error


def _decrypt_or_fail(token: str) -> str:
    try:
        return keyring().decrypt(token)
    except InvalidToken as error:
        raise _wrong_key() from error


def _wrong_key() -> ConfigurationError:
    return ConfigurationError("ENCRYPTION_KEY does not fit this database.")


def fingerprint(purpose: str, value: str) -> str:
    return keyring().fingerprint(purpose, value)
