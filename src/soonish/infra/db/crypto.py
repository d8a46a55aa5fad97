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
    """What a key is called where others may read it: 32 bits of its SHA-256."""
    return hashlib.sha256(f"soonish key:{key}".encode()).hexdigest()[:_ID_LENGTH]


class Keyring:
    """Encrypts with the first key, decrypts with any."""

    def __init__(self, encryption_keys: Sequence[str], fingerprint_key: str) -> None:
        self._first = Fernet(encryption_keys[0])
        self._fernet = MultiFernet([Fernet(key) for key in encryption_keys])
        self._fingerprint_key = fingerprint_key.encode()
        self.key_ids = [key_id(key) for key in encryption_keys]

    def encrypt(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        """Raises InvalidToken where no key fits."""
        return self._fernet.decrypt(token.encode()).decode()

    def is_current(self, token: str) -> bool:
        """Whether the first key alone can read it."""
        try:
            self._first.decrypt(token.encode())
        except InvalidToken:
            return False
        return True

    def with_keys(self, encryption_keys: Sequence[str]) -> Keyring:
        """Other encryption keys, the same fingerprints."""
        return Keyring(encryption_keys, self._fingerprint_key.decode())

    def fingerprint(self, purpose: str, value: str) -> str:
        """HMAC-SHA256 of the value, 64 hexadecimal digits; another purpose, another result."""
        message = f"{purpose}:{value}".encode()
        return hmac.new(self._fingerprint_key, message, hashlib.sha256).hexdigest()


_keyring: Keyring | None = None
# Asked where no key fits: whether there are other ones now. Set by ops/keys.py.
on_unknown_key: Callable[[], bool] | None = None


def configure(settings: Settings) -> Keyring:
    """Set the process's keyring. Raises ConfigurationError where a secret is not usable."""
    global _keyring
    settings.check_secrets()
    _keyring = Keyring(settings.encryption_keys, settings.fingerprint_key)
    return _keyring


def keyring() -> Keyring:
    if _keyring is None:
        raise ConfigurationError("The encryption keys are not loaded: call crypto.configure.")
    return _keyring


def replace_keys(encryption_keys: Sequence[str]) -> None:
    """From now on the process encrypts and decrypts with these. ValueError for what is no key."""
    global _keyring
    _keyring = keyring().with_keys(encryption_keys)


def decrypt(token: str) -> str:
    """Raises ConfigurationError where no key fits, also none that came meanwhile."""
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
