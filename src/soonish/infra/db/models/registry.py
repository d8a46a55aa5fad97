"""Import every table, so that `Base.metadata` is complete."""

from soonish.infra.db.base import Base
from soonish.infra.db.models import (
    accounts,
    audit,
    events,
    installation,
    integrations,
    notifications,
    outbox,
    reminders,
    subscriptions,
)

__all__ = [
    "Base",
    "accounts",
    "audit",
    "events",
    "installation",
    "integrations",
    "notifications",
    "outbox",
    "reminders",
    "subscriptions",
]
