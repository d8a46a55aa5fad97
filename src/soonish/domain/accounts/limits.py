"""How many wrong passwords a client may send, how many an address gets, and how many
mails strangers may cause to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from soonish.errors import InvalidInput
from soonish.identity.addresses import fingerprint_of, normalise
from soonish.infra.db.models.accounts import User
from soonish.infra.rate_limits.limits import (
    LOGIN_ADDRESS,
    LOGIN_CLIENT,
    MAIL,
    UNASKED,
    WRITTEN_TO,
    Limit,
    Meter,
)


@dataclass(frozen=True)
class LoginGuard:
    """Around each password check: `check` before it and again after it, `failed` when it was wrong.

    The second check is what stops guesses that are sent all at once. Nothing tells whether an
    address has an account: unknown ones are counted as well.
    """

    meter: Meter
    client: str

    async def check(self, account: str | None) -> None:
        """`account` is an address's fingerprint, None for what is none. Raises TooManyRequests."""
        for limit, key in self._windows(account):
            await self.meter.require_room(limit, key)

    async def failed(self, account: str | None) -> None:
        """Count a wrong password. Raises TooManyRequests where others were faster."""
        for limit, key in self._windows(account):
            await self.meter.require(limit, key)

    def _windows(self, account: str | None) -> list[tuple[Limit, str]]:
        own = [(LOGIN_CLIENT, self.client)]
        return own if account is None else [*own, (LOGIN_ADDRESS, account)]


def account_key(address: str) -> str | None:
    """The fingerprint of an address as it was typed; None where it is no address."""
    try:
        return fingerprint_of(normalise(address))
    except InvalidInput:
        return None


async def may_mail(meter: Meter, address: str) -> bool:
    """Count a mail to the (normalised) address that somebody without an account causes.

    False where it has had enough of them, whoever asked: nothing may then be sent.
    """
    return await meter.has_room(MAIL, _mailbox(address))


@dataclass(frozen=True)
class MailAllowance:
    """Mails that somebody signed in causes to addresses which did not ask for them: invitations,
    roles, requests to confirm. An account costs nothing, and must not be worth a mail cannon."""

    meter: Meter
    sender: User

    async def take(self, addresses: Iterable[str]) -> frozenset[str]:
        """Count a mail to each address, as typed; the fingerprints of those that had enough, to
        which nothing may be sent. What is no address is left out.

        Raises TooManyRequests where the sender wrote to too many; administrators may.
        """
        if not self.meter.enabled:
            return frozenset()
        known = {fingerprint_of(one): one for one in _normalised(addresses)}
        if known and not self.sender.is_admin:
            await self.meter.require(WRITTEN_TO, str(self.sender.id), len(known))
        return frozenset(
            [f for f, one in known.items() if not await self.meter.has_room(UNASKED, _mailbox(one))]
        )


def _normalised(addresses: Iterable[str]) -> Iterable[str]:
    for address in addresses:
        try:
            yield normalise(address)
        except InvalidInput:
            continue


def _mailbox(address: str) -> str:
    """The key of an address's limits: `name+anything@domain` usually is the mailbox of `name`."""
    local, _, domain = address.rpartition("@")
    return fingerprint_of(f"{local.partition('+')[0] or local}@{domain}")
