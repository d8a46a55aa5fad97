"""Check, test and save channels. Sends happen here, outside of any transaction.

See docs/architecture.md#the-straight-path.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from soonish.config import Settings
from soonish.delivery.transports.apprise.urls import ChannelInfo, check_url
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.delivery.transports.sender import Sender
from soonish.domain.integrations import queries, service
from soonish.domain.integrations.schemas import (
    IntegrationCreate,
    IntegrationCreated,
    IntegrationPatch,
    Verification,
)
from soonish.i18n import _
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.rate_limits.limits import CHANNEL_TEST, Meter


@dataclass(frozen=True)
class Tester:
    """Sends the test messages of channels."""

    settings: Settings
    sender: Sender

    async def send(self, integration: Integration, locale: str | None) -> SendResult:
        """Send the test message once; this takes up to 15 seconds."""
        if integration.apprise_url is None:
            return SendResult(Outcome.CHANNEL_GONE, _("The channel was deleted"))
        return await self.send_to(integration.apprise_url, integration.name, locale)

    async def send_to(self, url: str, name: str, locale: str | None) -> SendResult:
        """Send the test message to a URL that need not be saved."""
        message = service.test_message(name, self.settings.base_url, locale)
        return await self.sender.send(url, message)


async def create(
    db: Database, tester: Tester, user: User, wanted: IntegrationCreate
) -> IntegrationCreated:
    """Add a channel; if a test is requested, its result activates the channel or does not.

    Raise as check_url and service.create do.
    """
    channel = await _checked(wanted.apprise_url, tester.settings)
    async with db.write() as session:
        integration = await service.create(session, user, wanted, channel)
    if not wanted.verify:
        return IntegrationCreated.after(integration, utc_now(), None)
    result = await tester.send(integration, user.locale)
    async with db.write() as session:
        integration = await service.record_test(
            session, user, integration.id, result, utc_now(), decides=True
        )
    return IntegrationCreated.after(integration, utc_now(), result)


async def update(
    db: Database, settings: Settings, user: User, integration_id: int, wanted: IntegrationPatch
) -> Integration:
    """Change the fields that were sent. Raise as check_url and service.update do."""
    async with db.read() as session:
        await queries.require_own(session, user, integration_id)
    has_url = "apprise_url" in wanted.model_fields_set
    channel = await _checked(wanted.apprise_url, settings) if has_url else None
    async with db.write() as session:
        return await service.update(session, user, integration_id, wanted, channel)


async def test(
    db: Database, meter: Meter, tester: Tester, user: User, integration_id: int
) -> Verification:
    """Send the test message to the user's channel and record the result.

    Raise NotFound as queries.require_own does, TooManyRequests beyond the user's limit.
    """
    async with db.read() as session:
        integration = await queries.require_own(session, user, integration_id)
    await meter.require(CHANNEL_TEST, str(user.id))
    result = await tester.send(integration, user.locale)
    async with db.write() as session:
        await service.record_test(session, user, integration_id, result, utc_now())
    return Verification.of(result)


async def try_out(meter: Meter, tester: Tester, user: User, url: str, name: str) -> Verification:
    """Send the test message to a URL without saving it. Raise as `create` and `test` do."""
    await _checked(url, tester.settings)
    await meter.require(CHANNEL_TEST, str(user.id))
    return Verification.of(await tester.send_to(url, name, user.locale))


async def _checked(url: str, settings: Settings) -> ChannelInfo:
    # a thread, because Apprise may take a good part of a second over a hostile URL
    return await asyncio.to_thread(check_url, url, settings)
