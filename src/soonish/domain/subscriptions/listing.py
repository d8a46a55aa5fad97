"""An event's subscribers for its organizers, and a user's subscriptions."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.config import Settings
from soonish.delivery.ledger.routing import select_targets
from soonish.domain.access import policy
from soonish.domain.access.subscription_queries import find_own, is_confirmed
from soonish.domain.events.queries import details
from soonish.domain.events.schemas import EventOut
from soonish.domain.subscriptions import queries
from soonish.domain.subscriptions.schemas import OwnSubscription, SelectorOut, SubscriberOut
from soonish.errors import NotFound
from soonish.identity.addresses import normalise
from soonish.identity.users import find_by_address, name_or_address_matches
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.subscriptions import ACTIVE, PENDING_APPROVAL, Subscription
from soonish.infra.db.sql import id_list
from soonish.kit.paging import id_cursor, page
from soonish.kit.schemas import Page


@dataclass(frozen=True)
class SubscriberFilter:
    """Filters of a list of subscribers.

    `ids` restricts the result to these subscriptions. `query` is searched in names and compared
    with whole addresses.
    """

    query: str = ""
    status: str | None = None
    ids: Collection[int] | None = None


async def subscribers(
    session: AsyncSession,
    event_id: int,
    user: User,
    wanted: SubscriberFilter,
    *,
    limit: int,
    cursor: str | None = None,
    as_administrator: bool = False,
) -> Page[SubscriberOut]:
    """Return a page of the event's subscribers with full addresses, newest first.

    Only its organizers may read it, and administrators. Raise as policy.require_organizer_or_admin.
    """
    event = await policy.require_organizer_or_admin(
        session, event_id, user, as_administrator=as_administrator
    )
    conditions = _conditions(session, event, wanted)
    if (before := id_cursor(cursor)) is not None:
        conditions.append(Subscription.id < before)
    found = await _select(session, limit + 1, *conditions)
    shown, following = page(found, limit, lambda one: one.id)
    return Page(items=shown, next_cursor=following)


async def subscriber(
    session: AsyncSession, event_id: int, user: User, subscription_id: int
) -> SubscriberOut:
    """Return one subscriber. Raise NotFound for a subscription of another event or an ended one."""
    event = await policy.require_organizer(session, event_id, user)
    found = await _select(session, 1, policy.of_event(event, subscription_id))
    if not found:
        raise NotFound("There is no such subscription.")
    return found[0]


@dataclass(frozen=True)
class Recipients:
    """Possible recipients: the `chosen` ones, and some `others` who match a search."""

    chosen: list[SubscriberOut]
    others: list[SubscriberOut]


async def recipients(
    session: AsyncSession, event_id: int, user: User, ids: Collection[int], query: str, most: int
) -> Recipients:
    """Return the subscriptions with these ids and up to `most` active ones, for organizers."""
    event = await policy.require_organizer(session, event_id, user)
    these = _conditions(session, event, SubscriberFilter(ids=ids))
    chosen = await _select(session, len(ids), *these) if ids else []
    wanted = SubscriberFilter(query=query, status=ACTIVE)
    found = await _select(session, most, *_conditions(session, event, wanted))
    known = {one.id for one in chosen}
    return Recipients(chosen, [one for one in found if one.id not in known])


def _conditions(
    session: AsyncSession, event: Event, wanted: SubscriberFilter
) -> list[ColumnElement[bool]]:
    made = [Subscription.event_id == event.id]
    if wanted.query.strip():
        made.append(name_or_address_matches(wanted.query))
    if wanted.status:
        made.append(Subscription.status == wanted.status)
    if wanted.ids is not None:
        made.append(Subscription.id.in_(id_list(session, wanted.ids)))
    return made


async def _select(
    session: AsyncSession, limit: int, *conditions: ColumnElement[bool]
) -> list[SubscriberOut]:
    """Return confirmed subscriptions with name, address and kinds of channels, newest first."""
    query = (
        select(Subscription, User.name, User.email)
        .join(User, User.id == Subscription.user_id)
        .where(Subscription.ended_at.is_(None), is_confirmed(), *conditions)
        .order_by(Subscription.id.desc())
        .limit(limit)
    )
    rows = (await session.execute(query)).all()
    kinds = await _kinds(session, [subscription.id for subscription, _, _ in rows])
    return [
        SubscriberOut(
            id=one.id,
            name=name,
            address=address,
            status=one.status,
            channels=kinds.get(one.id, []),
            created_at=one.created_at,
        )
        for one, name, address in rows
    ]


async def _kinds(session: AsyncSession, subscription_ids: list[int]) -> dict[int, list[str]]:
    reached = select_targets(Subscription.id.in_(subscription_ids)).subquery()
    query = (
        select(reached.c.subscription_id, func.coalesce(Integration.kind, reached.c.target_key))
        .join(Integration, Integration.id == reached.c.integration_id, isouter=True)
        .where(reached.c.outcome.is_(None))
        .distinct()
    )
    made: dict[int, list[str]] = {}
    for subscription_id, kind in sorted(await session.execute(query)):
        made.setdefault(subscription_id, []).append(kind)
    return made


async def count_waiting(session: AsyncSession, event_id: int, user: User) -> int:
    """Return the number of subscriptions awaiting approval, for the event's organizers."""
    event = await policy.require_organizer(session, event_id, user)
    query = select(func.count()).where(
        Subscription.event_id == event.id,
        Subscription.ended_at.is_(None),
        Subscription.status == PENDING_APPROVAL,
    )
    return await session.scalar(query) or 0


async def of_user(
    session: AsyncSession, user: User, settings: Settings, *, limit: int, cursor: str | None = None
) -> Page[OwnSubscription]:
    """Return a page of the user's current subscriptions with their events, newest first."""
    query = (
        select(Subscription, Event)
        .join(Event, Event.id == Subscription.event_id)
        .where(Subscription.user_id == user.id, Subscription.ended_at.is_(None), is_confirmed())
    )
    if (before := id_cursor(cursor)) is not None:
        query = query.where(Subscription.id < before)
    found = await session.execute(query.order_by(Subscription.id.desc()).limit(limit + 1))
    rows = [(subscription, event) for subscription, event in found]
    shown, following = page(rows, limit, lambda row: row[0].id)
    items = await _own_out(session, shown, settings)
    return Page(items=items, next_cursor=following)


async def _own_out(
    session: AsyncSession, rows: Sequence[tuple[Subscription, Event]], settings: Settings
) -> list[OwnSubscription]:
    selectors = await queries.selectors_of(session, [one.id for one, _ in rows])
    found = await details(session, [event for _, event in rows])
    return [
        OwnSubscription(
            subscription_id=one.id,
            status=one.status,
            selectors=[SelectorOut.model_validate(s) for s in selectors[one.id]],
            created_at=one.created_at,
            event=EventOut.of(event, settings),
        )
        for (one, _), event in zip(rows, found, strict=True)
    ]


async def find_current_id(session: AsyncSession, event_id: int, address: str) -> int | None:
    """Return the id of the address's current, confirmed subscription to the event, or None.

    Raise InvalidInput for an invalid address.
    """
    user = await find_by_address(session, normalise(address))
    if user is None:
        return None
    found = await find_own(session, event_id, user.id)
    return found.id if found else None
