"""Store the health of channels in their rows, shared by all workers.

All integrations of one user with the same URL are one channel: they are read and updated
together. Rows are locked in the order of their ids, so that workers never deadlock.
See docs/architecture.md#channel-health.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import groupby
from operator import attrgetter
from typing import Any

import structlog
from sqlalchemy import Case, Row, Select, Update, bindparam, case, literal, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute, aliased

from soonish.delivery.channels import circuit
from soonish.delivery.channels.circuit import ChannelHealth, Permit
from soonish.delivery.transports.outcome import SendResult
from soonish.infra.db import sql
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import NotificationKind
from soonish.infra.db.types import UtcDateTime
from soonish.kit.rates import Rate

_COLUMNS = (
    Integration.not_before,
    Integration.fail_streak,
    Integration.failing_since,
    Integration.open_until,
    Integration.last_failure,
)
log = structlog.get_logger()


@dataclass(frozen=True)
class ChannelGroup:
    """One user's integrations with the same URL, without deleted ones; `name` is the oldest's."""

    user_id: int
    name: str
    ids: tuple[int, ...]
    is_active: bool
    health: ChannelHealth


@dataclass(frozen=True)
class ChannelResult:
    """The result of one send over a channel; `probe` as in Permit."""

    integration_id: int
    result: SendResult
    probe: bool = False


@dataclass(frozen=True)
class OwnerNotice:
    """A mail to a channel's owner, sent once for each `since`.

    `kind`: CHANNEL_FAILING or CHANNEL_OFF; `problem` quotes the service, if it said anything.
    """

    channel: ChannelGroup
    kind: NotificationKind
    since: datetime
    problem: str = ""


async def acquire(
    session: AsyncSession, wanted: Mapping[int, tuple[int, Rate | None]], now: datetime
) -> dict[int, Permit]:
    """Ask to send each message of `wanted`, which maps any key to (integration id, rate).

    Takes two statements for any number of messages. Granted messages count as sent. A message
    over a deleted integration gets no permit.
    """
    channels = await lock(session, {integration_id for integration_id, _ in wanted.values()})
    states = _healths(channels)
    permits: dict[int, Permit] = {}
    for key, (integration_id, rate) in wanted.items():
        if integration_id in channels:
            channel = channels[integration_id]
            states[channel.ids], permits[key] = circuit.acquire(states[channel.ids], rate, now)
    await _write(session, channels, states)
    return permits


async def record_success(
    session: AsyncSession, integration_ids: Iterable[int], now: datetime
) -> None:
    """Reset the failures of these channels after a success, in one statement."""
    these = {"p_ids": sql.ids_value(session, integration_ids), "p_now": now}
    await session.execute(_success(sqlite=sql.is_sqlite(session)), these)


@cache
def _success(*, sqlite: bool) -> Update:
    """Build the statement once, as it runs for every batch. Parameters: p_ids and p_now."""
    return (
        update(Integration)
        .where(Integration.id.in_(_siblings(sql.ids(sqlite=sqlite)).with_for_update()))
        .values(
            last_delivery_at=bindparam("p_now", type_=UtcDateTime()),
            fail_streak=0,
            failing_since=None,
            open_until=None,
            last_failure=None,
        )
        .execution_options(synchronize_session=False, dml_strategy="core_only")
    )


async def record_failures(
    session: AsyncSession, answers: Sequence[ChannelResult], now: datetime
) -> list[OwnerNotice]:
    """Count failed sends against their channels; return the notices for their owners."""
    counted = (circuit.Effect.FAILS, circuit.Effect.REFUSES, circuit.Effect.WAITS)
    answers = [one for one in answers if circuit.effect_of(one.result) in counted]
    if not answers:
        return []
    channels = await lock(session, {one.integration_id for one in answers})
    states = _healths(channels)
    notices: list[OwnerNotice] = []
    for one in answers:
        if one.integration_id not in channels:
            continue
        channel = channels[one.integration_id]
        before = states[channel.ids]
        states[channel.ids] = circuit.after(before, one.result, now, probe=one.probe)
        if before.failing_since is None and states[channel.ids].failing_since is not None:
            notices.append(
                OwnerNotice(channel, NotificationKind.CHANNEL_FAILING, now, one.result.detail)
            )
    await _write(session, channels, states)
    for channel in set(channels.values()):
        if channel.is_active and circuit.is_over(states[channel.ids], now):
            since = states[channel.ids].failing_since or now
            notices.append(await _switch_off(session, channel, since))
    return notices


async def reset(session: AsyncSession, integration_ids: Iterable[int]) -> None:
    """Forget past failures of these channels, but keep the wait that a service asked for."""
    await session.execute(
        update(Integration)
        .where(
            Integration.id.in_(_siblings(sql.id_list(session, integration_ids)).with_for_update())
        )
        .values(fail_streak=0, failing_since=None, open_until=None, last_failure=None)
        .execution_options(synchronize_session=False)
    )


async def any_long_failing(session: AsyncSession, now: datetime) -> bool:
    """Return True if switch_off_long_failing would find channels."""
    return await session.scalar(_long_failing(now).limit(1)) is not None


def _long_failing(now: datetime) -> Select[int]:
    return select(Integration.id).where(
        Integration.failing_since <= now - circuit.OFF_AFTER,
        Integration.is_active.is_(True),
        Integration.deleted_at.is_(None),
    )


async def switch_off_long_failing(
    session: AsyncSession, now: datetime, limit: int
) -> list[OwnerNotice]:
    """Switch off channels that failed for 5 days without a success; return a notice for each."""
    query = _long_failing(now).order_by(Integration.id).limit(limit)
    overdue = (await session.scalars(query)).all()
    channels = set((await lock(session, overdue)).values()) if overdue else set[ChannelGroup]()
    over = [one for one in channels if one.is_active and circuit.is_over(one.health, now)]
    return [await _switch_off(session, one, one.health.failing_since or now) for one in over]


async def lock(session: AsyncSession, integration_ids: Iterable[int]) -> dict[int, ChannelGroup]:
    """Lock the channels of these integrations; return them by the ids of all their rows."""
    query = (
        select(
            Integration.id,
            Integration.user_id,
            Integration.url_fingerprint,
            Integration.name,
            Integration.is_active,
            *_COLUMNS,
        )
        .where(Integration.id.in_(_siblings(sql.id_list(session, integration_ids))))
        .order_by(Integration.id)
        .with_for_update()
    )
    rows = (await session.execute(query)).all()
    key = attrgetter("user_id", "url_fingerprint")
    found = [_channel(list(group)) for _, group in groupby(sorted(rows, key=key), key=key)]
    return {row_id: channel for channel in found for row_id in channel.ids}


def _siblings(integration_ids: Select[Any]) -> Select[int]:
    """Select the ids of all integrations of the same users with the same URLs, in order."""
    asked = aliased(Integration)
    theirs = select(asked.user_id, asked.url_fingerprint).where(asked.id.in_(integration_ids))
    one = aliased(Integration)
    return (
        select(one.id)
        .where(tuple_(one.user_id, one.url_fingerprint).in_(theirs), one.deleted_at.is_(None))
        .order_by(one.id)
    )


def _channel(rows: Sequence[Row[*tuple[Any, ...]]]) -> ChannelGroup:
    since = [row.failing_since for row in rows if row.failing_since]
    return ChannelGroup(
        user_id=rows[0].user_id,
        name=rows[0].name,
        ids=tuple(row.id for row in rows),
        is_active=any(row.is_active for row in rows),
        health=ChannelHealth(
            not_before=max((row.not_before for row in rows if row.not_before), default=None),
            fail_streak=max(row.fail_streak for row in rows),
            failing_since=min(since, default=None),
            open_until=max((row.open_until for row in rows if row.open_until), default=None),
            last_failure=next((row.last_failure for row in rows if row.last_failure), None),
        ),
    )


def _healths(channels: Mapping[int, ChannelGroup]) -> dict[tuple[int, ...], ChannelHealth]:
    return {channel.ids: channel.health for channel in channels.values()}


async def _write(
    session: AsyncSession,
    channels: Mapping[int, ChannelGroup],
    states: Mapping[tuple[int, ...], ChannelHealth],
) -> None:
    """Write the changed columns of all changed channels in one statement."""
    changed = {
        row_id: (channel.health, states[channel.ids])
        for row_id, channel in channels.items()
        if states[channel.ids] != channel.health
    }
    if not changed:
        return
    values = {column.key: _by_id(column, changed) for column in _COLUMNS}
    await session.execute(
        update(Integration)
        .where(Integration.id.in_(sql.id_list(session, changed)))
        .values({name: value for name, value in values.items() if value is not None})
        .execution_options(synchronize_session=False)
    )


def _by_id(
    column: InstrumentedAttribute[Any], changed: Mapping[int, tuple[ChannelHealth, ChannelHealth]]
) -> Case[Any] | None:
    """Return the column's new values by row id, None if no row changes it."""
    news = {
        row_id: (getattr(before, column.key), getattr(after, column.key))
        for row_id, (before, after) in changed.items()
    }
    if all(before == after for before, after in news.values()):
        return None
    literals = {row_id: literal(after, column.type) for row_id, (_, after) in news.items()}
    return case(literals, value=Integration.id)


async def _switch_off(
    session: AsyncSession, channel: ChannelGroup, failing_since: datetime
) -> OwnerNotice:
    await session.execute(
        update(Integration)
        .where(Integration.id.in_(channel.ids))
        .values(is_active=False)
        .execution_options(synchronize_session=False)
    )
    log.warning("channel switched off", integration_id=channel.ids[0])
    return OwnerNotice(channel, NotificationKind.CHANNEL_OFF, failing_since)
