"""Subscribe an address on an anonymous request: anybody can type it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.domain.access.policy import admit, require_open, require_visible
from soonish.domain.subscriptions import confirmation, queries, start
from soonish.identity.addresses import normalise
from soonish.identity.mail_limits import may_mail
from soonish.identity.users import find_by_address, find_or_create_by_address
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.rate_limits.limits import SUBSCRIBE, Meter


@dataclass(frozen=True)
class AnonymousRequest:
    """A request to subscribe an address to an event.

    `locale` becomes the language of its mails, unless the address has one or belongs to an account.
    A private event requires an `invitation` token, and may require approval after that.
    """

    event_id: int
    address: str
    name: str | None = None
    locale: str | None = None
    invitation: str | None = None


@dataclass(frozen=True)
class Asker:
    """The client that sends anonymous requests, with the meter of its limits."""

    meter: Meter
    client: str


async def subscribe(
    db: Database, asker: Asker, wanted: AnonymousRequest, *, double_opt_in: bool
) -> str | None:
    """Subscribe as subscribe_address does, in a transaction of its own and within the limits.

    Raise TooManyRequests beyond the client's limit. An address that reached its limit of mails is
    subscribed without being mailed.
    """
    await asker.meter.require(SUBSCRIBE, asker.client)
    wanted = replace(wanted, address=normalise(wanted.address))
    muted = await _has_had_enough(db, asker.meter, wanted)
    async with db.write() as session:
        return await subscribe_address(
            session, wanted, utc_now(), double_opt_in=double_opt_in, muted=muted
        )


async def subscribe_address(
    session: AsyncSession,
    wanted: AnonymousRequest,
    now: datetime,
    *,
    double_opt_in: bool,
    muted: bool = False,
) -> str | None:
    """Subscribe an address by service mail; do nothing if it is subscribed already.

    Return the status a new subscription would end up with, whether or not this one is new. With
    `muted` the address has reached its mail limit: the welcome or confirmation request is in the
    ledger as suppressed and not sent. With `double_opt_in` only a confirmation request is mailed at
    first, account or not: anybody can type an address.

    Raise NotFound for an event that is not visible, Conflict for one that is over or cancelled or
    for an invitation that is used up, InvalidInput for an invalid address.
    """
    token = wanted.invitation
    event = await require_visible(session, wanted.event_id, None, lock="share", invitation=token)
    require_open(event, now)
    admission = await admit(session, event, None, token)
    user = await find_or_create_by_address(session, wanted.address, wanted.name, wanted.locale)
    if user.deactivated_at is None:
        subscribe = confirmation.request_confirmation if double_opt_in else start.start_subscription
        await subscribe(session, event, user.id, now, admission, muted=muted)
    return admission.status


async def _has_had_enough(db: Database, meter: Meter, wanted: AnonymousRequest) -> bool:
    """Count the mail this request causes, if any; return True if it must not be sent."""
    if not meter.enabled:
        return False
    async with db.read() as session:
        is_told = await _would_mail(session, wanted, utc_now())
    return is_told and not await may_mail(meter, wanted.address)


async def _would_mail(session: AsyncSession, wanted: AnonymousRequest, now: datetime) -> bool:
    user = await find_by_address(session, wanted.address)
    if user is None:
        return True
    own = (Subscription.event_id == wanted.event_id) & (Subscription.user_id == user.id)
    known = await queries.exists(session, own & confirmation.asked_or_active(now))
    return user.deactivated_at is None and not known
