"""What a process is made of; both composition roots (app.py, worker.py) start from here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from soonish.config import Settings
from soonish.delivery.sending.in_flight import SlowSends
from soonish.delivery.transports.mail.service import ServiceMail
from soonish.delivery.transports.sender import Sender
from soonish.infra.db import crypto
from soonish.infra.db.session import Database
from soonish.infra.outbox.relay import Relay
from soonish.infra.rate_limits.limits import RateLimits
from soonish.infra.temporal import Temporal


@dataclass
class Runtime:
    """The long-lived objects of one process."""

    settings: Settings
    db: Database
    temporal: Temporal
    relay: Relay
    sender: Sender
    mailer: ServiceMail
    limits: RateLimits
    slow_sends: SlowSends = field(default_factory=SlowSends)

    async def close(self, patience: float = 15.0) -> None:
        """Let pokes and sends under way end, each for at most `patience` seconds."""
        await self.relay.close(min(patience, 2.0))
        await self.slow_sends.close(patience)
        await asyncio.gather(
            asyncio.to_thread(self.mailer.close, patience),
            asyncio.to_thread(self.sender.close, patience),
        )
        await self.limits.close()
        await self.db.close()


def make_runtime(settings: Settings, *, in_background: bool = False) -> Runtime:
    """Raises ConfigurationError where a secret is missing or unusable. Connects to nothing yet.

    `in_background`: nobody waits for an answer, so those who do come first at the database.
    """
    crypto.configure(settings)
    db = Database(settings, is_patient=in_background)
    temporal = Temporal(settings)
    relay = Relay(db, temporal, settings)
    db.on_commit = relay.nudge
    sender, mailer = Sender(settings), ServiceMail(settings)
    return Runtime(settings, db, temporal, relay, sender, mailer, RateLimits(settings))
