"""An event's subscribers for its organizers, and a user's subscriptions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.delivery.ledger.routing import select_targets
from soonish.domain.access.policy import of_event
from soonish.domain.access.subscription_queries import find_own, is_confirmed
from soonish.errors import NotFound
from soonish.identity.addresses import normalise
from soonish.identity.users import find_by_address, name_or_address_matches
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.subscriptions import PENDING_APPROVAL, Subscription
from soonish.infra.db.sql import id_list


@dataclass(frozen=True)
class Subscriber:
    """A subscription with the data its organizers may see about the person."""

    subscription: Subscription
    name: str | None
    address: str | None
    channels: list[str] = field(default_factory=list[str])


async def subscribers(
    session: AsyncSession,
    event: Event,
    *,
    query: str = "",
    status: str | None = None,
    ids: Collection[int] | None = None,
    limit: int = 50,
    before_id: int | None = None,
) -> list[Subscriber]:
    """Return a page of an event's subscribers with full addresses, newest first.

    The caller checks who may see them. `ids` restricts the result to these subscriptions. `query`
    is searched in names and compared with whole addresses.
    """
    conditions = [Subscription.event_id == event.id]
    if query.strip():
        conditions.append(name_or_address_matches(query))
    if status:
        conditions.append(Subscription.status == status)
    if ids is not None:
        conditions.append(Subscription.id.in_(id_list(session, ids)))
    if before_id is not None:
        conditions.append(Subscription.id < before_id)
    return await _select(session, limit, *conditions)


async def subscriber(session: AsyncSession, event: Event, subscription_id: int) -> Subscriber:
    """Return one subscriber. Raise NotFound for a subscription of another event or an ended one."""
    found = await _select(session, 1, of_event(event, subscription_id))
    if not found:
        raise NotFound("There is no such subscription.")
    return found[0]


async def _select(
    session: AsyncSession, limit: int, *conditions: ColumnElement[bool]
) -> list[Subscriber]:
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
    return [Subscriber(s, name, address, kinds.get(s.id, [])) for s, name, address in rows]


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


async def waiting_for_approval(session: AsyncSession, event_ids: Iterable[int]) -> dict[int, int]:
    """Return the number of subscriptions awaiting approval by event; events without any are
    omitted."""
    query = (
        select(Subscription.event_id, func.count())
        .where(
            Subscription.event_id.in_(id_list(session, event_ids)),
            Subscription.ended_at.is_(None),
            Subscription.status == PENDING_APPROVAL,
        )
        .group_by(Subscription.event_id)
    )
    return dict((await session.execute(query)).all())


async def of_user(
    session: AsyncSession, user: User, limit: int, before_id: int | None = None
) -> Sequence[tuple[Subscription, Event]]:
    """Return a page of the user's current subscriptions with their events, newest first."""
    query = (
        select(Subscription, Event)
        .join(Event, Event.id == Subscription.event_id)
        .where(Subscription.user_id == user.id, Subscription.ended_at.is_(None), is_confirmed())
    )
    if before_id is not None:
        query = query.where(Subscription.id < before_id)
    rows = await session.execute(query.order_by(Subscription.id.desc()).limit(limit))
    return [(subscription, event) for subscription, event in rows]


async def find_current_id(session: AsyncSession, event_id: int, address: str) -> int | None:
    """Return the id of the address's current, confirmed subscription to the event, or None.

    Raise InvalidInput for an invalid address.
    """
    user = await find_by_address(session, normalise(address))
    if user is None:
        return None
    found = await find_own(session, event_id, user.id)
    return found.id if found else None
