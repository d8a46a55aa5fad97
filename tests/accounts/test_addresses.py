"""What is an address, and which are the same."""

from __future__ import annotations

import pytest

from soonish.config import Settings
from soonish.errors import InvalidInput
from soonish.identity.addresses import fingerprint_of, normalise


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("ada@example.com", "ada@example.com"),
        ("  Ada.L+news@EXAMPLE.com \n", "Ada.L+news@example.com"),
        ("a@x.test", "a@x.test"),
        ("a@soonish.test", "a@soonish.test"),
        ("a@mail.internal.local", "a@mail.internal.local"),
        ("a@münchen.de", "a@xn--mnchen-3ya.de"),
        ("re\u0301ne\u0301@example.com", "r\u00e9n\u00e9@example.com"),
    ],
)
def test_addresses_are_kept_in_one_spelling(typed: str, kept: str) -> None:
    assert normalise(typed) == kept


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "ada",
        "ada@",
        "@example.com",
        "ada@localhost",
        "ada@test",
        "a b@example.com",
        '"a b"@example.com',
        "ada@[127.0.0.1]",
        "ada@example..com",
        "ada@example.com\r\nBcc: eve@example.com",
        "ada@example.com,eve@example.com",
        "Ada <ada@example.com>",
        "a" * 65 + "@example.com",
        "a@" + ("b" * 60 + ".") * 5 + "com",
        "a@exa\0mple.com",
    ],
)
def test_anything_else_names_the_field(typed: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        normalise(typed, "address")
    assert [error.field for error in caught.value.errors] == ["address"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_capitals_do_not_make_another_address(settings: Settings) -> None:
    assert fingerprint_of("Ada@example.com") == fingerprint_of("ada@example.com")
    assert fingerprint_of("ada@example.com") != fingerprint_of("ada@example.org")
    assert len(fingerprint_of("ada@example.com")) == 64
