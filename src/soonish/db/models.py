"""Every table, so that `Base.metadata` is complete."""

from soonish.accounts import models as accounts
from soonish.audit import models as audit
from soonish.db.base import Base
from soonish.events import models as events
from soonish.integrations import models as integrations
from soonish.notifications import models as notifications
from soonish.ops import models as ops
from soonish.outbox import models as outbox
from soonish.reminders import models as reminders
from soonish.subscriptions import models as subscriptions

__all__ = [
    "Base",
    "accounts",
    "audit",
    "events",
    "integrations",
    "notifications",
    "ops",
    "outbox",
    "reminders",
    "subscriptions",
]
