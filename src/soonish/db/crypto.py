"""Encryption at rest and keyed fingerprints (DESIGN 11).

A process has one keyring, set once at its start by `configure`. Encryption may rotate;
fingerprints never do, so FINGERPRINT_KEY is checked against the database at start.
"""

from __future__ import annotations

import hashlib
import hmac

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from soonish.config import Settings
from soonish.errors import ConfigurationError


class Keyring:
    """Encrypts with the first key, decrypts with any."""

    def __init__(self, encryption_keys: list[str], fingerprint_key: str) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in encryption_keys])
        self._fingerprint_key = fingerprint_key.encode()

    def encrypt(self, text: str) -> str:
        return self._fernet.encrypt(text.encode()).decode()

    def decrypt(self, token: str) -> str:
        try:
            return self._fernet.decrypt(token.encode()).decode()
        except InvalidToken as error:
            raise ConfigurationError("ENCRYPTION_KEY does not fit this database.") from error

    def fingerprint(self, purpose: str, value: str) -> str:
        """HMAC-SHA256 of the value, 64 hexadecimal digits; another purpose, another result."""
        message = f"{purpose}:{value}".encode()
        return hmac.new(self._fingerprint_key, message, hashlib.sha256).hexdigest()


_keyring: Keyring | None = None


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


def fingerprint(purpose: str, value: str) -> str:
    return keyring().fingerprint(purpose, value)
