"""Argon2id, and what other hashes turn into."""

from __future__ import annotations

import bcrypt
import pytest

from soonish.domain.accounts.password_rules import validate_password
from soonish.domain.accounts.passwords import hash_password, verify_password
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
    assert validate_password("ä" * 12) == "ä" * 12
    assert validate_password("💥" * 128)
    for wrong in ("x" * 11, "x" * 129, ""):
        with pytest.raises(InvalidInput, match="12 to 128"):
            validate_password(wrong)


@pytest.mark.parametrize(
    "password",
    [
        "qwerty123456",
        "QWERTY123456",
        "ｑｗｅｒｔｙ123456",
        "password1234",
        "Password!2031",
        "...password...",
        "passwordpassword",
        "iloveyouiloveyou",
        "2024sunshine2024",
        "123456789012",
        "098765432109",
        "abcdefghijklmnop",
    ],
)
def test_what_many_people_have_is_refused(password: str) -> None:
    with pytest.raises(InvalidInput, match="Many people have this password") as caught:
        validate_password(password, field="new")
    assert [error.field for error in caught.value.errors] == ["new"]


@pytest.mark.parametrize(
    "password",
    [
        "ada@example.com",
        "ADA@EXAMPLE.COM!",
        "adalovelace1815",
        "Ada Lovelace",
        "lovelace-1815",
        "soonish2031!",
        "soonishsoonish",
    ],
)
def test_what_everybody_knows_about_the_account_is_refused(password: str) -> None:
    with pytest.raises(InvalidInput, match="easily guessed"):
        validate_password(password, "ada@example.com", "Ada Lovelace")


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "            ",
        "sunshine over the harbour",
        "ada likes the difference engine",
        "password of the lighthouse",
        "пароль для маяка",
        "0000 1234 9876",
        "🐙🌊🎈🐙🌊🎈🐙🌊🎈🐙🌊🎈",
        "cafe\u0301 au lait",
    ],
)
def test_what_is_long_and_rare_is_taken_as_it_is(password: str) -> None:
    assert validate_password(password, "ada@example.com", "Ada", None) == password


def test_length_counts_what_people_see_as_one_character() -> None:
    with pytest.raises(InvalidInput, match="12 to 128"):
        validate_password("e\u0301" * 11)
    assert validate_password("e\u0301" * 128)
