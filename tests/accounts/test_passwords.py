"""Argon2id, and what other hashes turn into."""

from __future__ import annotations

import bcrypt
import pytest

from soonish.accounts.passwords import check, hash_password, verify_password
from soonish.errors import InvalidInput


async def test_argon2id_is_what_we_store() -> None:
    hashed = await hash_password("twelve chars")
    assert hashed.startswith("$argon2id$")
    assert await verify_password("twelve chars", hashed) == (True, None)
    assert await verify_password("twelve chars!", hashed) == (False, None)


async def test_without_a_hash_nothing_fits() -> None:
    assert await verify_password("nobody has this password", None) == (False, None)
    assert await verify_password("twelve chars", "no hash at all") == (False, None)


async def test_bcrypt_is_accepted_and_upgraded() -> None:
    long = "é" * 60  # 120 bytes, of which bcrypt reads 72
    for password in ("twelve chars", long):
        old = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
        fits, better = await verify_password(password, old)
        assert fits
        assert better is not None
        assert better.startswith("$argon2id$")
        assert await verify_password(password, better) == (True, None)
        assert await verify_password("é" * 40 if password == long else "x", better) == (False, None)
    assert await verify_password("wrong chars!", old) == (False, None)


async def test_another_keyboard_types_the_same_password() -> None:
    hashed = await hash_password("cafe\u0301 au lait")
    assert await verify_password("caf\u00e9 au lait", hashed) == (True, None)


def test_twelve_to_128_characters_of_any_kind() -> None:
    assert check("ä" * 12) == "ä" * 12
    assert check("💥" * 128)
    for wrong in ("x" * 11, "x" * 129, ""):
        with pytest.raises(InvalidInput, match="12 to 128"):
            check(wrong)
