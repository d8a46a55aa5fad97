"""Passwords: Argon2id; bcrypt hashes are accepted and upgraded (docs/architecture.md#accounts).

Hashing takes some 50 ms and 64 MiB on purpose: it runs in threads of its own, never in the event
loop and never within a transaction.
"""

from __future__ import annotations

import asyncio
import os
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher
from pwdlib.hashers.bcrypt import BcryptHasher

_BCRYPT_BYTES = 72  # bcrypt never reads more, and its library rejects more
_argon2 = Argon2Hasher()
_hashes = PasswordHash((_argon2, BcryptHasher()))
_threads = ThreadPoolExecutor(max_workers=os.cpu_count() or 1, thread_name_prefix="passwords")


async def hash_password(password: str) -> str:
    """Return the Argon2id hash of the password."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _hash, password)


async def verify_password(password: str, hashed: str | None) -> tuple[bool, str | None]:
    """Return whether the password matches, and a better hash to store if there is one.

    Without a hash the answer is False after the same work, so timing reveals nothing.
    """
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_threads, _verify, password, hashed)


def _verify(password: str, hashed: str | None) -> tuple[bool, str | None]:
    against = hashed or _nobodys_hash()
    try:
        fits = _hashes.verify(_readable(password, against), against)
    except UnknownHashError:
        return False, None
    if not (fits and hashed):
        return False, None
    return True, _hash(password) if _is_outdated(hashed) else None


def _is_outdated(hashed: str) -> bool:
    return not _argon2.identify(hashed) or _argon2.check_needs_rehash(hashed)


def _hash(password: str) -> str:
    return _hashes.hash(_normal(password))


def _normal(password: str) -> str:
    """Normalise the password, so that every keyboard gives the same characters."""
    return unicodedata.normalize("NFC", password)


def _readable(password: str, hashed: str) -> str | bytes:
    normal = _normal(password)
    return normal.encode()[:_BCRYPT_BYTES] if BcryptHasher.identify(hashed) else normal


@cache
def _nobodys_hash() -> str:
    return _hash("nobody has this password")
