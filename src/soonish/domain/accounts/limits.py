"""Limits for wrong passwords, per client and per address."""

from __future__ import annotations

from dataclasses import dataclass

from soonish.errors import InvalidInput
from soonish.identity.addresses import fingerprint_of, normalise
from soonish.infra.rate_limits.limits import LOGIN_ADDRESS, LOGIN_CLIENT, Limit, Meter


@dataclass(frozen=True)
class LoginGuard:
    """Limits password guessing.

    Call `require_attempts_left` before and after each verification, and `record_failure` for a
    wrong password.

    The second check stops guesses that are sent all at once. Unknown addresses count as well, so
    nothing reveals whether an address has an account.
    """

    meter: Meter
    client: str

    async def require_attempts_left(self, account: str | None) -> None:
        """Raise TooManyRequests at the limit. `account` is an address's fingerprint, or None."""
        for limit, key in self._windows(account):
            await self.meter.require_room(limit, key)

    async def record_failure(self, account: str | None) -> None:
        """Count a wrong password. Raise TooManyRequests if concurrent attempts reached the limit
        first."""
        for limit, key in self._windows(account):
            await self.meter.require(limit, key)

    def _windows(self, account: str | None) -> list[tuple[Limit, str]]:
        own = [(LOGIN_CLIENT, self.client)]
        return own if account is None else [*own, (LOGIN_ADDRESS, account)]


def account_key(address: str) -> str | None:
    """Return the fingerprint of a typed address; None if it is not an address."""
    try:
        return fingerprint_of(normalise(address))
    except InvalidInput:
        return None
