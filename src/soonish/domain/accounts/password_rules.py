"""Which passwords may be chosen: 12 to 128 characters of any kind, none that many people have, and
none made of what everybody knows about the account (OWASP ASVS 5.0, 6.2).

There are no rules about digits or capitals: length and rarity are what counts.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from itertools import pairwise
from pathlib import Path

from soonish.errors import InvalidInput
from soonish.i18n import LazyText, _

MIN_LENGTH, MAX_LENGTH = 12, 128  # characters, as NFC counts them
_LIST = Path(__file__).with_name("common_passwords.txt")
_SHORTEST_WORD = 3  # of what is known about the account


def check(password: str, *about: str | None, field: str = "password") -> str:
    """Return the password. Raises InvalidInput on `field` for one that may not be chosen.

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
    """What to say of a password that is too short or too long; None for any other."""
    if MIN_LENGTH <= len(unicodedata.normalize("NFC", password)) <= MAX_LENGTH:
        return None
    return _("Use %(least)s to %(most)s characters.", least=MIN_LENGTH, most=MAX_LENGTH)


def _forms(password: str) -> set[str]:
    """What the password comes down to: as it is, without what stands around it, said once."""
    plain = _plain(password)
    core = plain.strip("".join(c for c in plain if not c.isalpha()))
    return {plain, core, _unit(plain), _unit(core)}


def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).casefold()


def _unit(text: str) -> str:
    """The shortest part of which the text is a repetition; the text itself where it is none."""
    return text[: (text + text).find(text, 1)] if text else text


def _is_sequence(text: str) -> bool:
    """`1234567890123` and `zyxwvutsrqpo`: each character is the next one, or the one before."""
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
