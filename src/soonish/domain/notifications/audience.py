"""Whom a message would reach: chosen subscriptions, counted before anything is sent.

Everything here is a few statements over `targets_select`, however many subscribers there are.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.delivery.ledger.routing import is_active, targets_select
from soonish.domain.access import policy
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, State
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.sql import id_list


@dataclass(frozen=True)
class Audience:
    """Who of an event's active subscribers is meant; every condition that is set must hold.

    `subscription_ids` None means all. `channel` is `mail` or the kind of an integration.
    `last_failed`: the last try to reach them that ended in `sent` or `failed` was a failure.
    """

    subscription_ids: Collection[int] | None = None
    channel: str | None = None
    last_failed: bool = False

    @property
    def is_filtered(self) -> bool:
        """Whether who it is depends on the moment it is asked for."""
        return self.channel is not None or self.last_failed


@dataclass(frozen=True)
class ChannelReach:
    """How many targets of one kind there are, and how many subscriptions have one."""

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
    """What a message to the audience would be expanded to at this moment; kinds by size."""
    conditions = _conditions(session, event_id, audience)
    total = select(func.count()).select_from(Subscription).where(is_active(), *conditions)
    targets = targets_select(*conditions).subquery()
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
    """What an organizer can choose from: kinds of channels, and how many `last_failed` are."""

    channels: list[ChannelReach]
    last_failed: int


async def choices(session: AsyncSession, event_id: int, user: User) -> Choices:
    """The audiences that the event's organizers can write to."""
    event = await policy.require_organizer(session, event_id, user)
    channels = await _channels(session, *_conditions(session, event.id, Audience()))
    return Choices(channels, await _last_failed_count(session, event.id))


async def ids_of(session: AsyncSession, event_id: int, audience: Audience) -> list[int]:
    """The subscriptions that are meant at this moment, in ascending order."""
    conditions = _conditions(session, event_id, audience)
    query = select(Subscription.id).where(is_active(), *conditions).order_by(Subscription.id)
    return list(await session.scalars(query))


async def _last_failed_count(session: AsyncSession, event_id: int) -> int:
    """How many active subscriptions the last try did not reach."""
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
        made.append(_last_result() == State.FAILED)
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
    """(subscription_id, channel) of every target that is reached, and the channel's column."""
    targets = targets_select(*conditions).subquery()
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
            Delivery.state.in_((State.SENT, State.FAILED)),
        )
        .order_by(Delivery.id.desc())
        .limit(1)
        .correlate(Subscription)
        .scalar_subquery()
    )
