"""How many mails others may cause to an address that did not ask for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from soonish.errors import InvalidInput
from soonish.identity.addresses import fingerprint_of, normalise
from soonish.infra.db.models.accounts import User
from soonish.infra.rate_limits.limits import MAIL, UNASKED, WRITTEN_TO, Meter


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
