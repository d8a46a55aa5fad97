"""`delivering`: the deliverer as a worker has it, with real sinks and no Temporal."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import uuid4

import pytest

from soonish.config import Settings
from soonish.delivery.ledger import completion
from soonish.delivery.sending.deliverer import Deliverer
from soonish.delivery.transports.mail.service import ServiceMail
from soonish.delivery.transports.sender import Sender
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.types import utc_now
from soonish.workflow_types import BroadcastState, DeliveryReport
from tests.support.http_sink import HttpSink
from tests.support.smtp_sink import SmtpSink
from tests.support.world import World

LOOPBACK = ["127.0.0.0/8"]


@dataclass
class Delivering:
    """`workers` share nothing but the database."""

    world: World
    http: HttpSink
    mail: SmtpSink
    settings: Settings
    workers: list[Deliverer] = field(default_factory=list[Deliverer])

    def add_worker(self, **overrides: object) -> Deliverer:
        settings = self.settings.model_copy(update=overrides)
        made = Deliverer(self.world.db, settings, Sender(settings), ServiceMail(settings))
        self.workers.append(made)
        return made

    @property
    def first(self) -> Deliverer:
        return self.workers[0] if self.workers else self.add_worker()

    async def deliver(
        self, notification: Notification, worker: Deliverer | None = None
    ) -> DeliveryReport:
        """One activity's work, and its settling."""
        report = await (worker or self.first).run(notification.id, str(uuid4()), 1, lambda: False)
        await self.settle(notification)
        return report

    async def settle(self, notification: Notification) -> BroadcastState:
        async with self.world.db.write() as session:
            return await completion.complete_if_done(session, notification.id, utc_now())

    async def through(self, event: Event, path: str, **channel: object) -> Subscription:
        """A new subscriber with a channel that POSTs to the sink's path."""
        return await self.world.through(event, self.http.apprise_url(path), **channel)

    async def channel(self, subscription: Subscription) -> Integration:
        return await self.world.one(Integration, Integration.user_id == subscription.user_id)

    async def delivery(self, notification: Notification, subscription: Subscription) -> Delivery:
        return await self.world.one(
            Delivery,
            Delivery.notification_id == notification.id,
            Delivery.subscription_id == subscription.id,
        )

    async def time_passes(self, **units: float) -> None:
        """Everything that waits is so much nearer."""
        by = timedelta(**units)
        waiting = {
            Integration: ("not_before", "open_until", "failing_since"),
            Delivery: ("next_attempt_at", "expires_at", "lease_until"),
        }
        async with self.world.db.write() as session:
            for model, names in waiting.items():
                for row in await self.world.rows(model):
                    moved = await session.get_one(model, row.id)
                    for name in names:
                        if (instant := getattr(moved, name)) is not None:
                            setattr(moved, name, instant - by)

    async def close(self) -> None:
        for worker in self.workers:
            await worker.slow_sends.close(5)
            await asyncio.to_thread(worker.sender.close)
            await asyncio.to_thread(worker.mailer.close)


@pytest.fixture
async def delivering(
    world: World, http_sink: HttpSink, smtp_sink: SmtpSink
) -> AsyncGenerator[Delivering]:
    settings = world.settings.model_copy(
        update={
            "egress_allowed_networks": LOOPBACK,
            "smtp_server": "127.0.0.1",
            "smtp_port": smtp_sink.port,
            "smtp_security": "none",
        }
    )
    made = Delivering(world, http_sink, smtp_sink, settings)
    yield made
    http_sink.closing.set()  # lets go of what hangs
    await made.close()
