"""Compute the audience of a message: select subscriptions, and count them before sending.

Everything here is a few statements over `select_targets`, however many subscribers there are.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.delivery.ledger.routing import is_active, select_targets
from soonish.domain.access import policy
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, DeliveryState
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.sql import id_list


@dataclass(frozen=True)
class Audience:
    """A selection of an event's active subscribers; every condition that is set must hold.

    `subscription_ids` None means all. `channel` is `mail` or the kind of an integration.
    `last_failed`: their last finished delivery (`sent` or `failed`) failed.
    """

    subscription_ids: Collection[int] | None = None
    channel: str | None = None
    last_failed: bool = False

    @property
    def is_filtered(self) -> bool:
        """Return True if the result depends on when it is evaluated."""
        return self.channel is not None or self.last_failed


@dataclass(frozen=True)
class ChannelReach:
    """The number of targets of one kind, and of subscriptions with such a target."""

    channel: str
    targets: int
    subscriptions: int


@dataclass(frozen=True)
class AudienceReach:
    """`audience` active subscriptions, of which `unreachable` have no working channel."""

    audience: int
    channels: list[ChannelReach]
    unreachable: int


async def reach(session: AsyncSession, event_id: int, audience: Audience) -> AudienceReach:
    """Return the reach of a message to the audience at this moment; largest channels first."""
    conditions = _conditions(session, event_id, audience)
    total = select(func.count()).select_from(Subscription).where(is_active(), *conditions)
    targets = select_targets(*conditions).subquery()
    reached = select(func.count(targets.c.subscription_id.distinct())).where(
        targets.c.outcome.is_(None)
    )
    size = await session.scalar(total) or 0
    return AudienceReach(
        audience=size,
        channels=await _channels(session, *conditions),
        unreachable=size - (await session.scalar(reached) or 0),
    )


@dataclass(frozen=True)
class Choices:
    """The audiences to offer: kinds of channels, and the size of `last_failed`."""

    channels: list[ChannelReach]
    last_failed: int


async def choices(session: AsyncSession, event_id: int, user: User) -> Choices:
    """Return the audiences that the event's organizers can choose."""
    event = await policy.require_organizer(session, event_id, user)
    channels = await _channels(session, *_conditions(session, event.id, Audience()))
    return Choices(channels, await _last_failed_count(session, event.id))


async def ids_of(session: AsyncSession, event_id: int, audience: Audience) -> list[int]:
    """Return the selected subscriptions at this moment, in ascending order."""
    conditions = _conditions(session, event_id, audience)
    query = select(Subscription.id).where(is_active(), *conditions).order_by(Subscription.id)
    return list(await session.scalars(query))


async def _last_failed_count(session: AsyncSession, event_id: int) -> int:
    """Return the number of active subscriptions whose last delivery failed."""
    conditions = _conditions(session, event_id, Audience(last_failed=True))
    query = select(func.count()).select_from(Subscription).where(is_active(), *conditions)
    return await session.scalar(query) or 0


def _conditions(
    session: AsyncSession, event_id: int, audience: Audience
) -> list[ColumnElement[bool]]:
    made: list[ColumnElement[bool]] = [Subscription.event_id == event_id]
    if audience.subscription_ids is not None:
        made.append(Subscription.id.in_(id_list(session, audience.subscription_ids)))
    if audience.channel is not None:
        made.append(Subscription.id.in_(_reached_over(event_id, audience.channel)))
    if audience.last_failed:
        made.append(_last_result() == DeliveryState.FAILED)
    return made


def _reached_over(event_id: int, channel: str) -> Select[int]:
    targets, kind = _with_kinds(Subscription.event_id == event_id)
    return targets.with_only_columns(targets.selected_columns.subscription_id).where(
        kind == channel
    )


async def _channels(session: AsyncSession, *conditions: ColumnElement[bool]) -> list[ChannelReach]:
    targets, _ = _with_kinds(*conditions)
    found = targets.subquery()
    people = func.count(found.c.subscription_id.distinct())
    query = (
        select(found.c.channel, func.count(), people)
        .group_by(found.c.channel)
        .order_by(people.desc(), found.c.channel)
    )
    return [ChannelReach(*row) for row in await session.execute(query)]


def _with_kinds(*conditions: ColumnElement[bool]) -> tuple[Select[Any, str], ColumnElement[str]]:
    """Return (subscription_id, channel) of every reachable target, and the channel's column."""
    targets = select_targets(*conditions).subquery()
    kind = func.coalesce(Integration.kind, targets.c.target_key)
    query = (
        select(targets.c.subscription_id, kind.label("channel"))
        .join(Integration, Integration.id == targets.c.integration_id, isouter=True)
        .where(targets.c.outcome.is_(None))
    )
    return query, kind


def _last_result() -> ColumnElement[Any]:
    return (
        select(Delivery.state)
        .where(
            Delivery.subscription_id == Subscription.id,
            Delivery.state.in_((DeliveryState.SENT, DeliveryState.FAILED)),
        )
        .order_by(Delivery.id.desc())
        .limit(1)
        .correlate(Subscription)
        .scalar_subquery()
    )
