"""How many wrong passwords a client may send, and how many an address gets (CONTRACT)."""

from __future__ import annotations

from dataclasses import dataclass

from soonish.errors import InvalidInput
from soonish.identity.addresses import fingerprint_of, normalise
from soonish.infra.rate_limits.limits import LOGIN_ADDRESS, LOGIN_CLIENT, Limit, Meter


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
