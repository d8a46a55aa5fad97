"""Each rule removes what is older than its setting says, and nothing else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from soonish.domain.retention import service
from soonish.domain.retention.rules import BY_NAME, RULES
from soonish.infra.db.models.accounts import ApiToken, Registration, Session, Token, User
from soonish.infra.db.models.audit import AuditEntry
from soonish.infra.db.models.events import Event, Invitation
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import (
    Delivery,
    DeliveryAttempt,
    DeliveryState,
    Notification,
)
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from tests.support.world import World

Make = Callable[[World, datetime], Awaitable[Any]]
DAYS = {rule.setting: rule for rule in RULES if rule.setting}


async def apply(world: World, *names: str, **settings: float) -> dict[str, int]:
    """Rows removed, by rule; every rule if none is named."""
    changed = world.settings.model_copy(update=settings)
    removed: dict[str, int] = {}
    for name in names or BY_NAME:
        rows, more = await service.remove(world.db, changed, BY_NAME[name], utc_now())
        assert not more
        removed[name] = rows
    return removed


async def outbox_row(world: World, at: datetime) -> Any:
    return await world.add(OutboxRow(stream="x-1", kind="wake", payload={}, done_at=at))


async def session(world: World, at: datetime) -> Any:
    user = await world.user()
    return await world.add(
        Session(user_id=user.id, token_hash=f"{at}{user.id}"[:64], last_seen_at=at, expires_at=at)
    )


async def token(world: World, at: datetime) -> Any:
    user = await world.user()
    row = Token(token_hash=f"{user.id}", purpose="magic_link", user_id=user.id, expires_at=at)
    return await world.add(row)


async def api_token(world: World, at: datetime) -> Any:
    user = await world.user()
    return await world.add(
        ApiToken(user_id=user.id, name="x", token_hash=f"{user.id}", scope="read", revoked_at=at)
    )


async def registration(world: World, at: datetime) -> Any:
    user = await world.user()
    return await world.add(
        Registration(user_id=user.id, workflow_id=f"v-{user.id}", expires_at=at, completed_at=at)
    )


async def invitation(world: World, at: datetime) -> Any:
    event = await world.event()
    return await world.add(Invitation(event_id=event.id, token_hash=f"{event.id}", expires_at=at))


async def audit_entry(world: World, at: datetime) -> Any:
    return await world.add(AuditEntry(action="event.create", created_at=at))


async def address(world: World, at: datetime) -> Any:
    return await world.user(is_verified=False, created_at=at)


async def account_mail(world: World, at: datetime) -> Any:
    return await world.add(
        Notification(kind="magic_link", dedup_key=f"m:{at}", completed_at=at, expanded_at=at)
    )


async def delivery(world: World, at: datetime) -> Any:
    event = await world.event()
    subscription = await world.subscribe(event)
    notification = await world.expanded(event)
    [row] = await world.deliveries(notification.id)
    await world.change(Delivery, row.id, state=DeliveryState.SENT, finished_at=at)
    await world.add(DeliveryAttempt(delivery_id=row.id, attempt=1, at=at, outcome="timeout"))
    assert subscription
    return row


async def event(world: World, at: datetime) -> Any:
    return await world.event(start_date=at, completed_at=at)


SIMPLE: dict[str, Make] = {
    "events": event,
    "deliveries": delivery,
    "account_mails": account_mail,
    "outbox": outbox_row,
    "sessions": session,
    "tokens": token,
    "api_tokens": api_token,
    "registrations": registration,
    "invitations": invitation,
    "audit": audit_entry,
    "addresses": address,
}


@pytest.mark.parametrize("name", SIMPLE)
async def test_what_is_older_than_the_setting_goes(world: World, name: str) -> None:
    rule, make = BY_NAME[name], SIMPLE[name]
    days = getattr(world.settings, rule.setting or "")
    old = await make(world, utc_now() - timedelta(days=days, hours=1))
    new = await make(world, utc_now() - timedelta(days=days - 1))
    assert await apply(world, name, **{rule.setting or "": 0}) == {name: 0}
    counts = await service.count_due(world.db, world.settings, utc_now())
    [due] = [one for one in counts if one.rule == name]
    assert (due.rows, due.days) == (1, days)
    assert await apply(world, name) == {name: 1}
    left = {row.id for row in await world.rows(rule.table)}
    assert old.id not in left
    assert new.id in left
    assert await apply(world, name) == {name: 0}


def test_every_rule_is_tested_and_has_a_name_of_its_own() -> None:
    elsewhere = {
        *("unverified_registrations", "event_deliveries", "event_subscriptions"),
        *("event_notifications", "erased_channels"),
    }
    assert {*SIMPLE, *elsewhere} == set(BY_NAME)
    assert len(BY_NAME) == len(RULES)


async def test_an_old_event_goes_with_everything_and_nobody_else_loses_anything(
    world: World,
) -> None:
    old, kept = await world.event(), await world.event()
    gone = await world.subscribe(old, await world.user(is_verified=False))
    stays = await world.subscribe(kept)
    for one in (old, kept):
        await world.expanded(one)
    long_ago = utc_now() - timedelta(days=400)
    await world.change(Event, old.id, start_date=long_ago, completed_at=long_ago)
    await world.change(User, gone.user_id, created_at=long_ago)
    removed = await apply(world)
    assert {name: rows for name, rows in removed.items() if rows} == {
        "event_deliveries": 1,
        "event_subscriptions": 1,
        "event_notifications": 1,
        "events": 1,
        "addresses": 1,
    }
    assert [row.id for row in await world.rows(Event)] == [kept.id]
    assert [row.id for row in await world.rows(Subscription)] == [stays.id]
    assert len(await world.rows(Delivery)) == 1
    assert gone.user_id not in {row.id for row in await world.rows(User)}


async def test_an_event_that_is_not_finished_stays_however_old(world: World) -> None:
    await world.event(start_date=utc_now() - timedelta(days=4000))
    assert await apply(world, "events") == {"events": 0}


async def test_a_cancelled_event_counts_from_its_cancellation(world: World) -> None:
    long_ago = utc_now() - timedelta(days=400)
    await world.event(cancelled_at=long_ago, completed_at=long_ago)
    assert await apply(world, "events") == {"events": 1}


@pytest.mark.parametrize(
    "state", [DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.RETRYING]
)
async def test_what_is_still_to_be_sent_stays(world: World, state: DeliveryState) -> None:
    row = await delivery(world, utc_now() - timedelta(days=4000))
    await world.change(Delivery, row.id, state=state)
    assert await apply(world, "deliveries") == {"deliveries": 0}


async def test_what_was_put_aside_with_an_error_stays(world: World) -> None:
    row = await outbox_row(world, utc_now() - timedelta(days=4000))
    await world.change(OutboxRow, row.id, error="ValueError")
    assert await apply(world, "outbox") == {"outbox": 0}


async def test_unverified_registrations_go_but_no_subscriber_and_no_organizer(
    world: World,
) -> None:
    late = utc_now() - timedelta(days=8)
    nobody, subscriber, owner = [await world.user(is_verified=False) for _ in range(3)]
    made = await world.event(owner_user_id=owner.id)
    await world.subscribe(made, subscriber)
    for user in (nobody, subscriber, owner):
        row = Registration(user_id=user.id, workflow_id=f"v-{user.id}", expires_at=late)
        await world.add(row)
    assert await apply(world, "unverified_registrations") == {"unverified_registrations": 3}
    left = {user.id for user in await world.rows(User)}
    assert nobody.id not in left
    assert {subscriber.id, owner.id} <= left
    assert await world.rows(Registration) == []


async def test_addresses_that_something_leads_to_stay(world: World) -> None:
    long_ago = utc_now() - timedelta(days=400)
    made = await world.event()
    values = {"is_verified": False, "created_at": long_ago}
    ended = await world.user(**values)
    subscription = await world.subscribe(made, ended)
    await world.end(subscription.id)
    stay = [
        ended,
        await world.user(**values, deactivated_at=long_ago),
        await world.user(created_at=long_ago),
        await world.user(**values, password_hash="x"),
    ]
    await world.add(
        Invitation(event_id=made.id, user_id=(invited := await world.user(**values)).id)
    )
    heir = await world.user()
    young = utc_now() - timedelta(days=40)
    merged = await world.user(**values, erased_at=young, merged_into_id=heir.id)
    assert await apply(world, "addresses") == {"addresses": 0}
    left = {user.id for user in await world.rows(User)}
    assert {*(user.id for user in stay), invited.id, merged.id} <= left


async def test_of_somebody_erased_nothing_is_left_in_the_end(world: World) -> None:
    long_ago = utc_now() - timedelta(days=400)
    user = await world.user(is_verified=False, erased_at=long_ago)
    channel = await world.channel(user.id, "json://127.0.0.1/a", deleted_at=long_ago)
    await world.add(AuditEntry(action="user.erase", actor_user_id=user.id))
    done = await apply(world, "erased_channels", "addresses")
    assert done == {"erased_channels": 1, "addresses": 1}
    assert channel.id not in {row.id for row in await world.rows(Integration)}
    [entry] = await world.rows(AuditEntry)
    assert entry.actor_user_id is None


async def test_many_rows_go_in_batches(world: World) -> None:
    few = {"batch": 3, "batches": 2}
    for _ in range(10):
        await audit_entry(world, utc_now() - timedelta(days=4000))
    turns = [
        await service.remove(world.db, world.settings, BY_NAME["audit"], utc_now(), **few)
        for _ in range(3)
    ]
    assert turns == [(6, True), (4, True), (0, False)]
