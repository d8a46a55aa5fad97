"""Limits for mails that others cause to an address which did not ask for them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from soonish.errors import InvalidInput
from soonish.identity.addresses import fingerprint_of, normalise
from soonish.infra.db.models.accounts import User
from soonish.infra.rate_limits.limits import DAILY_RECIPIENTS, MAIL, UNSOLICITED_MAIL, Meter


async def may_mail(meter: Meter, address: str) -> bool:
    """Count a mail that an anonymous request causes to this normalised address.

    Return False if the address has reached its limit, whoever asked: do not send anything then.
    """
    return await meter.has_room(MAIL, _mailbox(address))


@dataclass(frozen=True)
class MailAllowance:
    """Limits mail that a signed-in user causes to addresses which did not ask for it.

    Invitations, roles and confirmation requests count. Accounts are free, and must not become a way
    to flood inboxes.
    """

    meter: Meter
    sender: User

    async def take(self, addresses: Iterable[str]) -> frozenset[str]:
        """Count a mail to each typed address; return the fingerprints that reached their limit.

        Send nothing to those. Invalid addresses are skipped. Raise TooManyRequests if the sender
        wrote to too many addresses; administrators have no limit.
        """
        if not self.meter.enabled:
            return frozenset()
        known = {fingerprint_of(one): one for one in _normalised(addresses)}
        if known and not self.sender.is_admin:
            await self.meter.require(DAILY_RECIPIENTS, str(self.sender.id), len(known))
        return frozenset(
            [
                f
                for f, one in known.items()
                if not await self.meter.has_room(UNSOLICITED_MAIL, _mailbox(one))
            ]
        )


def _normalised(addresses: Iterable[str]) -> Iterable[str]:
    for address in addresses:
        try:
            yield normalise(address)
        except InvalidInput:
            continue


def _mailbox(address: str) -> str:
    """Return the key an address is limited by: `name+anything@domain` counts as `name@domain`."""
    local, _, domain = address.rpartition("@")
    return fingerprint_of(f"{local.partition('+')[0] or local}@{domain}")
