"""The long-lived parts of a process, shared by both composition roots (app and worker)."""

from __future__ import annotations

import asyncio
import gc
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

GC_THRESHOLD = 10_000  # new objects between collections; every 700 costs 2% of a large broadcast


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
        """Wait for pokes and sends in flight, for at most `patience` seconds each."""
        await self.relay.close(min(patience, 2.0))
        await self.slow_sends.close(patience)
        await asyncio.gather(
            asyncio.to_thread(self.mailer.close, patience),
            asyncio.to_thread(self.sender.close, patience),
        )
        await self.limits.close()
        await self.db.close()


def make_runtime(settings: Settings, *, in_background: bool = False) -> Runtime:
    """Create the parts, without connecting to anything. Raises ConfigurationError for bad secrets.

    `in_background`: nobody waits for this process, so others get SQLite's lock first.
    """
    crypto.configure(settings)
    db = Database(settings, is_patient=in_background)
    temporal = Temporal(settings)
    relay = Relay(db, temporal, settings)
    db.on_commit = relay.nudge
    sender, mailer = Sender(settings), ServiceMail(settings)
    return Runtime(settings, db, temporal, relay, sender, mailer, RateLimits(settings))


def tune_garbage_collection() -> None:
    """Collect rarely, and never what exists by now; call it once everything is imported.

    Traversing the imported objects costs a worker 5%, and stops the API for tens of milliseconds.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD)
