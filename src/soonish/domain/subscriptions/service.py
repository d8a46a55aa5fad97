"""Rules of subscriptions: begin, choose channels, end (DESIGN 7, CONTRACT)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from soonish.domain.access import invitation_queries, subscription_queries
from soonish.domain.access.policy import (
    admit,
    of_event,
    require_open,
    require_organizer,
    require_own_subscription,
    require_visible,
)
from soonish.domain.integrations import service as integrations
from soonish.domain.reminders import service as reminders
from soonish.domain.subscriptions import queries, selection, start
from soonish.domain.subscriptions.schemas import Selection, SelectionPatch
from soonish.errors import Gone, NotFound
from soonish.identity.signed_tokens import LinkClaims
from soonish.identity.users import require_live
from soonish.infra.audit import service as audit
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.subscriptions import (
    PENDING_CONFIRMATION,
    Subscription,
    SubscriptionSelector,
)
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams

# `unconfirmed` is maintenance's, `merged` that of an account which moves (accounts/merging.py)
EndReason = Literal["unsubscribed", "removed", "rejected", "erased"]
_TRIES = 5  # against somebody who subscribes and unsubscribes at the same time


@dataclass(frozen=True)
class Own:
    """A user's subscription with its selectors and what to warn about; `is_new`: just begun."""

    subscription: Subscription
    selectors: list[SubscriptionSelector]
    warnings: list[str]
    is_new: bool = False


async def subscribe_user(
    session: AsyncSession,
    event_id: int,
    user: User,
    wanted: Selection,
    now: datetime,
    *,
    invitation: str | None = None,
) -> Own:
    """Subscribe a signed-in user by channels and tags of theirs, or add these to what they have.

    NotFound for an event they may not see, Conflict for one that is over or cancelled and for an
    invitation that is used up, InvalidInput for channels or tags that are not theirs.
    """
    event = await require_visible(session, event_id, user, lock="share", invitation=invitation)
    require_open(event, now)
    await require_live(session, user.id)
    channels = await queries.channels_of(session, user.id)
    selection.check_known(wanted, channels)
    for _ in range(_TRIES):
        admission = await admit(session, event, user, invitation)
        is_new = await start.begin(session, event, user.id, now, admission) is not None
        subscription = await subscription_queries.own(session, event.id, user.id, lock=True)
        if subscription is not None:
            await queries.add_selectors(
                session, subscription.id, wanted.integration_ids, wanted.tags
            )
            return await _describe(session, subscription, is_new=is_new)
    raise RuntimeError("the subscription keeps vanishing")


async def choose(
    session: AsyncSession, event_id: int, user: User, wanted: SelectionPatch, now: datetime
) -> Own:
    """Add, remove or replace the selectors of the user's subscription.

    Errors as subscribe_user; NotFound `not_subscribed` without a subscription.
    """
    event = await require_visible(session, event_id, user, lock="share")
    subscription = await require_own_subscription(session, event_id, user, lock=True)
    require_open(event, now)
    channels = await queries.channels_of(session, user.id)
    chosen = (await queries.selectors_of(session, [subscription.id]))[subscription.id]
    selection.check_known(wanted, channels, chosen if wanted.mode == "remove" else ())
    await queries.delete_selectors(session, selection.dropped(wanted, chosen))
    if wanted.mode != "remove":
        await queries.add_selectors(session, subscription.id, wanted.integration_ids, wanted.tags)
        await integrations.revive_pending(session, user.id)
    own = await _describe(session, subscription)
    if not own.selectors:
        own.warnings.append(selection.NO_CHANNEL)
    return own


async def view(session: AsyncSession, event_id: int, user: User) -> Own:
    """The user's subscription to an event. NotFound `not_subscribed` without one."""
    return await _describe(session, await require_own_subscription(session, event_id, user))


async def leave(session: AsyncSession, event_id: int, user: User, now: datetime) -> None:
    """End the user's own subscription, whatever the event's state; a second time does nothing.

    NotFound for somebody who never was subscribed.
    """
    own = (Subscription.event_id == event_id) & (Subscription.user_id == user.id)
    was_there = await end(session, "unsubscribed", now, own, by=user.id)
    if was_there or await queries.exists(session, own):
        return
    await require_visible(session, event_id, user)
    raise subscription_queries.not_subscribed()


async def remove(
    session: AsyncSession,
    event_id: int,
    organizer: User,
    subscription_id: int,
    now: datetime,
    *,
    notify_others: bool = False,
) -> None:
    """End somebody's subscription as the organizer; they are told, others only if asked.

    NotFound or Forbidden as require_organizer, NotFound for a subscription of another event.
    """
    event = await require_organizer(session, event_id, organizer)
    this = of_event(event, subscription_id)
    if await end(session, "removed", now, this, by=organizer.id, notify_others=notify_others):
        return
    if not await queries.exists(session, this):
        raise NotFound("There is no such subscription.")


async def token_subject(session: AsyncSession, claims: LinkClaims) -> tuple[Event, User]:
    """Whom and what a token speaks for. Gone where either is no more, or the epoch has moved on."""
    found = await queries.event_and_user(session, claims.event_id, claims.user_id)
    if found is None or found[1].token_epoch != claims.epoch:
        raise Gone
    if heir := found[1].merged_into_id:  # an account has the address and its subscriptions now
        found = await queries.event_and_user(session, claims.event_id, heir)
    if found is None or found[1].erased_at:
        raise Gone
    return found


async def unsubscribe(session: AsyncSession, claims: LinkClaims, now: datetime) -> Event:
    """End whatever subscription the token's user has to its event; the event, for the page.

    Idempotent (mail programs repeat the POST). Gone as token_subject.
    """
    event, user = await token_subject(session, claims)
    own = (Subscription.event_id == event.id) & (Subscription.user_id == user.id)
    await end(session, "unsubscribed", now, own, by=user.id)
    return event


async def end(
    session: AsyncSession,
    reason: EndReason,
    now: datetime,
    which: ColumnElement[bool],
    *,
    by: int | None,
    notify_others: bool = False,
) -> bool:
    """End the one subscription that meets the condition, with its reminders, and say so in the
    outbox; of one that was never confirmed nobody is told. False where it had ended before (or
    never was). `by` is who asked, for the audit log.

    Whom the organizers remove or reject, no invitation to their own address lets in again."""
    ended = await queries.end(session, reason, now, which)
    if ended is None:
        return False
    await reminders.drop_subscription(session, ended.subscription_id)
    if reason in ("removed", "rejected"):
        await invitation_queries.revoke_personal(session, ended.event_id, ended.user_id, now)
    _record(session, "subscription.end", by, ended.subscription_id, ended.event_id, reason=reason)
    if ended.status != PENDING_CONFIRMATION:
        others = {"notify_others": True} if notify_others else {}
        payload = {"subscription_id": ended.subscription_id, **others}
        outbox.add(session, ended.stream, streams.PARTICIPANT_REMOVED, payload)
    return True


def _record(
    session: AsyncSession,
    action: str,
    actor_id: int | None,
    subscription_id: int,
    event_id: int,
    **details: str,
) -> None:
    audit.record(
        session,
        action,
        actor_id=actor_id,
        object_type="subscription",
        object_id=subscription_id,
        event_id=event_id,
        details=details or None,
    )


async def _describe(
    session: AsyncSession, subscription: Subscription, *, is_new: bool = False
) -> Own:
    chosen = (await queries.selectors_of(session, [subscription.id]))[subscription.id]
    channels = await queries.channels_of(session, subscription.user_id) if chosen else ()
    return Own(subscription, chosen, selection.warnings(chosen, channels), is_new)
