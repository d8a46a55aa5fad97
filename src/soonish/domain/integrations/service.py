"""The rules for a user's channels. The network is the business of `testing`.

See docs/architecture.md#the-straight-path.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.channels import health
from soonish.delivery.channels.circuit import reason_of
from soonish.delivery.ledger import completion
from soonish.delivery.texts.compose import compose
from soonish.delivery.texts.content import Content
from soonish.delivery.transports.apprise.urls import ChannelInfo
from soonish.delivery.transports.message import Message
from soonish.delivery.transports.outcome import SendResult
from soonish.domain.integrations import queries
from soonish.domain.integrations.schemas import IntegrationCreate, IntegrationPatch
from soonish.errors import Conflict
from soonish.identity.users import require_live
from soonish.infra.audit import service as audit
from soonish.infra.db import crypto
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams


def url_fingerprint(url: str) -> str:
    """Return the 64 hexadecimal digits that identify an Apprise URL."""
    return crypto.fingerprint("apprise_url", url.strip())


async def create(
    session: AsyncSession, user: User, wanted: IntegrationCreate, channel: ChannelInfo
) -> Integration:
    """Add a channel; `channel` is the result of check_url.

    It is inactive until verified, or active at once without a test. Raise Conflict
    `integration_duplicate` for the same URL and tag.
    """
    await require_live(session, user.id)
    integration = Integration(
        user_id=user.id,
        name=wanted.name,
        tag=wanted.tag,
        is_active=not wanted.verify,
        **_url_values(wanted.apprise_url, channel),
    )
    await _save(session, integration)
    _record(session, "integration.create", integration)
    if integration.is_active:
        await reroute_pending(session, integration.user_id)
    return integration


async def update(
    session: AsyncSession,
    user: User,
    integration_id: int,
    wanted: IntegrationPatch,
    channel: ChannelInfo | None,
) -> Integration:
    """Change the fields that were sent; `channel` is the result of check_url for a new URL.

    A new URL and an activation reset the channel's health and reroute deliveries that wait for a
    channel of this user. Raise NotFound as queries.require_own, Conflict as create.
    """
    integration = await queries.require_own(session, user, integration_id, lock=True)
    sent = wanted.model_fields_set
    for name in sent & {"name", "tag", "is_active"}:
        setattr(integration, name, getattr(wanted, name))
    if channel is not None:
        for name, value in _url_values(wanted.apprise_url, channel).items():
            setattr(integration, name, value)
        integration.not_before = None
    await _save(session, integration)
    _record(session, "integration.update", integration, fields=sorted(sent))
    if channel is not None or (wanted.is_active and "is_active" in sent):
        await reset_health(session, integration)
    if integration.is_active and sent & {"apprise_url", "tag", "is_active"}:
        await reroute_pending(session, integration.user_id)
    return integration


async def delete(session: AsyncSession, user: User, integration_id: int, now: datetime) -> None:
    """Erase the channel's URL for good, keeping the row for the ledger.

    Raise NotFound as `update`.
    """
    integration = await queries.require_own(session, user, integration_id, lock=True)
    integration.apprise_url = None
    integration.is_active = False
    integration.deleted_at = now
    _record(session, "integration.delete", integration)


async def record_test(
    session: AsyncSession,
    user: User,
    integration_id: int,
    result: SendResult,
    now: datetime,
    *,
    decides: bool = False,
) -> Integration:
    """Record the result of a test message; with `decides` it activates or deactivates the channel.

    Raise NotFound if the channel was deleted meanwhile.
    """
    integration = await queries.require_own(session, user, integration_id, lock=True)
    if result.ok:
        await reset_health(session, integration)
        integration.last_delivery_at = now
    else:
        integration.last_failure = reason_of(result)
    outcome = audit.OK if result.ok else audit.FAILED
    _record(session, "integration.test", integration, outcome)
    if decides:
        integration.is_active = result.ok
        if result.ok:
            await session.flush()
            await reroute_pending(session, integration.user_id)
    return integration


async def reroute_pending(session: AsyncSession, user_id: int) -> None:
    """Reroute everything that waits for a channel of this user."""
    for notification_id in await queries.notifications_waiting(session, user_id, utc_now()):
        stream = streams.broadcast(notification_id)
        outbox.add(session, stream, streams.WAKE, {"user_id": user_id})


async def reset_health(session: AsyncSession, integration: Integration) -> None:
    """Reset the channel's health and retry its waiting deliveries at once."""
    integration.fail_streak = 0
    integration.failing_since = integration.open_until = integration.last_failure = None
    await health.reset(session, [integration.id])
    user_id, target_key = integration.user_id, integration.url_fingerprint
    for notification_id in await completion.retry_now(session, user_id, target_key, utc_now()):
        outbox.add(session, streams.broadcast(notification_id), streams.WAKE, {})


def test_message(channel_name: str, base_url: str, locale: str | None) -> Message:
    """Return the message of the test button."""
    extra = {"channel": channel_name, "url": f"{base_url}/integrations"}
    words = compose(Content("test", extra=extra), locale or "en")
    return Message(title=words.title, text=words.text, markdown=words.markdown, html=words.html)


def _record(
    session: AsyncSession,
    action: str,
    integration: Integration,
    outcome: str = audit.OK,
    **details: Any,
) -> None:
    on = ("integration", integration.id)
    audit.record(session, action, integration.user_id, on=on, outcome=outcome, **details)


def _url_values(url: str, channel: ChannelInfo) -> dict[str, str]:
    return {
        "apprise_url": url.strip(),
        "url_fingerprint": url_fingerprint(url),
        "kind": channel.kind,
        "target": channel.target,
    }


async def _save(session: AsyncSession, integration: Integration) -> None:
    session.add(integration)
    try:
        await session.flush()
    except IntegrityError as error:
        message = "You already have this channel with this tag."
        raise Conflict(message, code="integration_duplicate") from error
