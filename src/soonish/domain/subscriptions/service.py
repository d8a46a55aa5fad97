"""The rules of subscriptions: start, choose channels, end (docs/architecture.md#routing)."""

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

# `unconfirmed` is set by maintenance, `merged` when an account takes over an address
EndReason = Literal["unsubscribed", "removed", "rejected", "erased"]
_TRIES = 5  # when somebody subscribes and unsubscribes concurrently


@dataclass(frozen=True)
class SubscriptionDetails:
    """A user's subscription with its selectors and warnings; `is_new` if it was just created."""

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
) -> SubscriptionDetails:
    """Subscribe a signed-in user by their channels and tags, or add these to their subscription.

    Raise NotFound for an event they may not see, Conflict for one that is over or cancelled or for
    an invitation that is used up, InvalidInput for channels or tags that are not theirs.
    """
    event = await require_visible(session, event_id, user, lock="share", invitation=invitation)
    require_open(event, now)
    await require_live(session, user.id)
    channels = await queries.channels_of(session, user.id)
    selection.check_known(wanted, channels)
    for _ in range(_TRIES):
        admission = await admit(session, event, user, invitation)
        is_new = await start.start_subscription(session, event, user.id, now, admission) is not None
        subscription = await subscription_queries.find_own(session, event.id, user.id, lock=True)
        if subscription is not None:
            await queries.add_selectors(
                session, subscription.id, wanted.integration_ids, wanted.tags
            )
            return await _describe(session, subscription, is_new=is_new)
    raise RuntimeError("the subscription keeps vanishing")


async def update_selectors(
    session: AsyncSession, event_id: int, user: User, wanted: SelectionPatch, now: datetime
) -> SubscriptionDetails:
    """Add, remove or replace the selectors of the user's subscription.

    Raise as subscribe_user does; NotFound `not_subscribed` without a subscription.
    """
    event = await require_visible(session, event_id, user, lock="share")
    subscription = await require_own_subscription(session, event_id, user, lock=True)
    require_open(event, now)
    channels = await queries.channels_of(session, user.id)
    chosen = (await queries.selectors_of(session, [subscription.id]))[subscription.id]
    selection.check_known(wanted, channels, chosen if wanted.mode == "remove" else ())
    await queries.delete_selectors(session, selection.selectors_to_remove(wanted, chosen))
    if wanted.mode != "remove":
        await queries.add_selectors(session, subscription.id, wanted.integration_ids, wanted.tags)
        await integrations.reroute_pending(session, user.id)
    own = await _describe(session, subscription)
    if not own.selectors:
        own.warnings.append(selection.NO_CHANNEL)
    return own


async def get_own(session: AsyncSession, event_id: int, user: User) -> SubscriptionDetails:
    """Return the user's subscription to an event. Raise NotFound `not_subscribed` without one."""
    return await _describe(session, await require_own_subscription(session, event_id, user))


async def unsubscribe_user(session: AsyncSession, event_id: int, user: User, now: datetime) -> None:
    """End the user's own subscription, whatever the event's state; repeating it does nothing.

    Raise NotFound if they were never subscribed.
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
    """End a subscription as an organizer, notifying the subscriber, and others only if asked.

    Raise NotFound or Forbidden as require_organizer does, NotFound for another event's
    subscription.
    """
    event = await require_organizer(session, event_id, organizer)
    this = of_event(event, subscription_id)
    if await end(session, "removed", now, this, by=organizer.id, notify_others=notify_others):
        return
    if not await queries.exists(session, this):
        raise NotFound("There is no such subscription.")


async def token_subject(session: AsyncSession, claims: LinkClaims) -> tuple[Event, User]:
    """Return a token's event and user. Raise Gone if either is gone or the epoch has changed."""
    found = await queries.event_and_user(session, claims.event_id, claims.user_id)
    if found is None or found[1].token_epoch != claims.epoch:
        raise Gone
    if heir := found[1].merged_into_id:  # an account took over the address
        found = await queries.event_and_user(session, claims.event_id, heir)
    if found is None or found[1].erased_at:
        raise Gone
    return found


async def unsubscribe(session: AsyncSession, claims: LinkClaims, now: datetime) -> Event:
    """End the token user's subscription to its event, if any; return the event for the page.

    Idempotent (mail clients repeat the POST). Raise Gone as token_subject does.
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
    """End the one matching subscription with its reminders, and write the outbox row.

    Nobody is notified about one that was never confirmed. Return False if it had ended before or
    never existed. `by` is the actor for the audit log. Removal and rejection by organizers also
    revoke invitations to the user's own address.
    """
    ended = await queries.end(session, reason, now, which)
    if ended is None:
        return False
    await reminders.drop_subscription(session, ended.subscription_id)
    if reason in ("removed", "rejected"):
        await invitation_queries.revoke_personal(session, ended.event_id, ended.user_id, now)
    on = ("subscription", ended.subscription_id)
    audit.record(session, "subscription.end", by, on=on, event_id=ended.event_id, reason=reason)
    if ended.status != PENDING_CONFIRMATION:
        others = {"notify_others": True} if notify_others else {}
        payload = {"subscription_id": ended.subscription_id, **others}
        outbox.add(session, ended.stream, streams.PARTICIPANT_REMOVED, payload)
    return True


async def _describe(
    session: AsyncSession, subscription: Subscription, *, is_new: bool = False
) -> SubscriptionDetails:
    chosen = (await queries.selectors_of(session, [subscription.id]))[subscription.id]
    channels = await queries.channels_of(session, subscription.user_id) if chosen else ()
    return SubscriptionDetails(subscription, chosen, selection.warnings(chosen, channels), is_new)
