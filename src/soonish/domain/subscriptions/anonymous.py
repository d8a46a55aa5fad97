"""Subscribe an address that may be anybody's, on the word of whoever typed it."""

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
    """The address to subscribe to an event. `locale` is kept as the language of its mails, unless
    it has one or is an account's; `invitation` is the token of one to a private event."""

    event_id: int
    address: str
    name: str | None = None
    locale: str | None = None
    invitation: str | None = None


@dataclass(frozen=True)
class Asker:
    """Who asks for an address that may be anybody's: only the client can be held to limits."""

    meter: Meter
    client: str


async def subscribe(
    db: Database, asker: Asker, wanted: AnonymousRequest, *, double_opt_in: bool
) -> str | None:
    """As subscribe_address, in a transaction of its own and within the limits of who asks.

    TooManyRequests beyond what a client may ask for. An address that has had enough mails is
    subscribed all the same, and not mailed about it.
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
    """Subscribe an address by service mail; nothing happens where it is subscribed already.

    The status that a new subscription gets in the end, whether or not this one is new. `muted`:
    the welcome, or the mail that asks, is in the ledger as suppressed and not sent, since the
    address has had enough of them.

    With `double_opt_in` it gets one mail that asks for confirmation, and nothing else before,
    account or not: anybody can type an address. A private event takes the holder of an
    invitation, one that needs approval after that.

    NotFound for an event that is not to be seen, Conflict for one that is over or cancelled and
    for an invitation that is used up, InvalidInput for what is no address.
    """
    token = wanted.invitation
    event = await require_visible(session, wanted.event_id, None, lock="share", invitation=token)
    require_open(event, now)
    admission = await admit(session, event, None, token)
    user = await find_or_create_by_address(session, wanted.address, wanted.name, wanted.locale)
    if user.deactivated_at is None:
        begin = confirmation.ask if double_opt_in else start.begin
        await begin(session, event, user.id, now, admission, muted=muted)
    return admission.status


async def _has_had_enough(db: Database, meter: Meter, wanted: AnonymousRequest) -> bool:
    """Count the mail that this causes, if it does, by the address. Whether it must not be sent."""
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
