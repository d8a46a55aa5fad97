"""Password rules: 12 to 128 characters, neither common nor derived from the account's own data.

There are no rules about digits or capitals: length and rarity are what counts (OWASP ASVS 5.0,
6.2).
"""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path

from soonish.errors import InvalidInput
from soonish.i18n import LazyText, _

MIN_LENGTH, MAX_LENGTH = 12, 128  # characters after NFC
_LIST = Path(__file__).with_name("common_passwords.txt")
_SHORTEST_WORD = 3  # of the account's name and address


def validate_password(password: str, *about: str | None, field: str = "password") -> str:
    """Return the password. Raise InvalidInput on `field` if it breaks a rule.

    `about`: the account's address and name.
    """
    if wrong := length_error(password):
        raise InvalidInput(field, wrong)
    normal = unicodedata.normalize("NFC", password)
    forms = _forms(normal)
    if forms & _common() or _is_sequence(normal):
        raise InvalidInput(
            field, _("Many people have this password, so it is tried first. Choose another.")
        )
    if forms & _words(about):
        raise InvalidInput(
            field, _("Your address, your name or ours is easily guessed. Choose another.")
        )
    return password


def length_error(password: str) -> LazyText | None:
    """Return the error for a password that is too short or too long, else None."""
    if MIN_LENGTH <= len(unicodedata.normalize("NFC", password)) <= MAX_LENGTH:
        return None
    return _("Use %(least)s to %(most)s characters.", least=MIN_LENGTH, most=MAX_LENGTH)


def _forms(password: str) -> set[str]:
    """Return the variants to compare: as typed, without surrounding digits, and without
    repetition."""
    plain = _plain(password)
    core = plain.strip("".join(c for c in plain if not c.isalpha()))
    return {plain, core, _unit(plain), _unit(core)}


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _unit(text: str) -> str:
    """Return the shortest unit the text repeats, or the text itself."""
    return text[: (text + text).find(text, 1)] if text else text


def _is_sequence(text: str) -> bool:
    """Return True for runs such as `1234567890123` and `zyxwvutsrqpo`."""
    steps = {(ord(b) - ord(a)) % (10 if text.isdigit() else 1 << 21) for a, b in pairwise(text)}
    return steps in ({1}, {9 if text.isdigit() else (1 << 21) - 1})


def _words(about: tuple[str | None, ...]) -> set[str]:
    known = {"soonish"}
    for text in about:
        plain = _plain(text or "")
        known |= {plain, plain.partition("@")[0], plain.replace(" ", ""), *plain.split()}
    return {word for word in known if len(word) >= _SHORTEST_WORD}


@cache
def _common() -> frozenset[str]:
    lines = _LIST.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("# "))
