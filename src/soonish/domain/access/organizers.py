"""The organizers of an event: its owner, co-organizers, and transfers of ownership."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger.account_mail import add_account_mail
from soonish.domain.access import policy
from soonish.domain.access.schemas import Organizer, OrganizerOut
from soonish.errors import Conflict, InvalidInput
from soonish.identity.addresses import normalise
from soonish.identity.mail_limits import MailAllowance
from soonish.identity.users import find_by_address, find_or_create_by_address, is_live, lock_user
from soonish.infra.audit.service import record
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event, EventOrganizer
from soonish.infra.db.session import Database
from soonish.infra.db.sql import insert
from soonish.infra.db.types import utc_now
from soonish.infra.rate_limits.limits import TRANSFER
from soonish.kit.paging import id_cursor, page
from soonish.kit.schemas import Page

OWNER, CO_ORGANIZER = "owner", "co_organizer"
MAX_CO_ORGANIZERS = 50
MAIL_LIFETIME = timedelta(days=3)


async def list_organizers(
    session: AsyncSession, event_id: int, user: User, *, limit: int, cursor: str | None = None
) -> Page[OrganizerOut]:
    """Return the owner, then the co-organizers in the order they were added; for the owner."""
    event = await policy.require_owner(session, event_id, user)
    before, found = id_cursor(cursor), await _all(session, event)
    rest = [one for one in found if before is None or one.row_id > before]
    shown, following = page(rest, limit, lambda one: one.row_id)
    return Page(items=[OrganizerOut.of(one) for one in shown], next_cursor=following)


async def _all(session: AsyncSession, event: Event) -> list[Organizer]:
    owner = await session.get_one(User, event.owner_user_id)
    query = (
        select(EventOrganizer, User)
        .join(User, User.id == EventOrganizer.user_id)
        .where(EventOrganizer.event_id == event.id)
        .order_by(EventOrganizer.id)
    )
    found = (await session.execute(query)).all()
    helpers = [Organizer(user, row.role, row.created_at, row.id) for row, user in found]
    return [Organizer(owner, OWNER, event.created_at), *helpers]


async def user_ids(session: AsyncSession, event: Event) -> Sequence[int]:
    """Return the users who receive organizer mail, the owner first."""
    query = select(EventOrganizer.user_id).where(EventOrganizer.event_id == event.id)
    return [event.owner_user_id, *await session.scalars(query.order_by(EventOrganizer.id))]


async def add(
    db: Database, allowance: MailAllowance, event_id: int, owner: User, address: str
) -> tuple[OrganizerOut, bool]:
    """Add the address as a co-organizer of the owner's event; return it and whether it is new.

    A new co-organizer is mailed unless the address reached its limit of mails. Their rights need a
    sign-in, so an address without an account may be added too. Raise InvalidInput for an invalid
    address, Conflict `already_owner` or `too_many_organizers`.
    """
    async with db.read() as session:
        await policy.require_owner(session, event_id, owner)
    full = await allowance.take([address])
    async with db.write() as session:
        event = await policy.require_owner(session, event_id, owner, lock="update")
        made, is_new = await _add(session, event, owner, address, utc_now(), muted=bool(full))
    return OrganizerOut.of(made), is_new


async def _add(
    session: AsyncSession, event: Event, owner: User, address: str, now: datetime, *, muted: bool
) -> tuple[Organizer, bool]:
    user = await find_or_create_by_address(session, address)
    if user.id == event.owner_user_id:
        raise Conflict("This is the owner of the event.", code="already_owner")
    is_new = await _insert(session, event, user.id, owner.id, now)
    if is_new:
        await _check_number(session, event)
        await _tell(session, event, user.id, "co_organizer", owner, muted=muted)
        record(session, "organizer.add", owner.id, on=("user", user.id), event_id=event.id)
    row = (await session.scalars(_row(event.id, user.id))).one()
    return Organizer(user, row.role, row.created_at, row.id), is_new


async def remove(session: AsyncSession, event_id: int, owner: User, user_id: int) -> None:
    """Remove a co-organizer; do nothing if the user is none.

    Raise Conflict `already_owner` for the owner: without one, nobody could transfer the event.
    """
    event = await policy.require_owner(session, event_id, owner, lock="update")
    if user_id == event.owner_user_id:
        message = "The owner cannot be removed; hand the event over first."
        raise Conflict(message, code="already_owner")
    row = (await session.scalars(_row(event.id, user_id))).one_or_none()
    if row is None:
        return
    await session.delete(row)
    record(session, "organizer.remove", owner.id, on=("user", user_id), event_id=event.id)


async def transfer(
    db: Database, allowance: MailAllowance, event_id: int, owner: User, address: str
) -> None:
    """Transfer the event to another account; the old owner stays as a co-organizer.

    The new owner is mailed unless the address reached its limit of mails. Raise InvalidInput for an
    invalid address or one without an account that can sign in.
    """
    async with db.read() as session:
        await policy.require_owner(session, event_id, owner)
    # the answer tells who has an account
    await allowance.meter.require(TRANSFER, str(owner.id))
    full = await allowance.take([address])
    async with db.write() as session:
        event = await policy.require_owner(session, event_id, owner, lock="update")
        await _transfer(session, event, owner, address, utc_now(), muted=bool(full))


async def _transfer(
    session: AsyncSession, event: Event, owner: User, address: str, now: datetime, *, muted: bool
) -> None:
    heir = await _account(session, address)
    if heir.id == event.owner_user_id:
        return
    await session.execute(
        delete(EventOrganizer).where(
            EventOrganizer.event_id == event.id, EventOrganizer.user_id == heir.id
        )
    )
    await _insert(session, event, event.owner_user_id, heir.id, now)
    event.owner_user_id, event.updated_at = heir.id, now
    await _tell(session, event, heir.id, "new_owner", owner, muted=muted)
    on = ("event", event.id)
    record(session, "event.transfer", owner.id, on=on, event_id=event.id, new_owner_id=heir.id)


async def _account(session: AsyncSession, address: str) -> User:
    found = await find_by_address(session, normalise(address))
    user = found and await lock_user(session, found.id)
    if user is None or not user.is_verified or not is_live(user):
        message = "must be the address of an account; ask its owner to register first"
        raise InvalidInput("email", message, code="not_an_account")
    return user


def _row(event_id: int, user_id: int) -> Select[EventOrganizer]:
    return select(EventOrganizer).where(
        EventOrganizer.event_id == event_id, EventOrganizer.user_id == user_id
    )


async def _insert(
    session: AsyncSession, event: Event, user_id: int, added_by: int, now: datetime
) -> bool:
    query = insert(session, EventOrganizer).values(
        event_id=event.id, user_id=user_id, role=CO_ORGANIZER, added_by=added_by, created_at=now
    )
    made = await session.scalars(query.on_conflict_do_nothing().returning(EventOrganizer.id))
    return made.one_or_none() is not None


async def _check_number(session: AsyncSession, event: Event) -> None:
    mine = EventOrganizer.event_id == event.id
    count = await session.scalar(select(func.count()).select_from(EventOrganizer).where(mine))
    if (count or 0) > MAX_CO_ORGANIZERS:
        message = f"An event has at most {MAX_CO_ORGANIZERS} co-organizers."
        raise Conflict(message, code="too_many_organizers")


async def _tell(
    session: AsyncSession, event: Event, user_id: int, kind: str, organizer: User, *, muted: bool
) -> None:
    await add_account_mail(
        session,
        user_id,
        kind,
        dedup_key=f"{kind}:{event.id}:{user_id}:{uuid.uuid4()}",
        lifetime=MAIL_LIFETIME,
        extra={"event": event.name, "organizer": organizer.name or "", "event_id": event.id},
        muted=muted,
    )
