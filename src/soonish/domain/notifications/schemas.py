"""Request and response schemas of notifications and their deliveries."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, StringConstraints

from soonish.domain.notifications.audience import Audience
from soonish.infra.db.models.notifications import DeliveryState
from soonish.kit.schemas import MAX_ID, Input, Instant, OneLine, Output, Text

TITLE_LENGTH = 200
BODY_LENGTH = 20_000

SubscriptionId = Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]


class ManualMessage(Input):
    """An organizer's message (Markdown body) to all subscribers, or those who meet every condition.

    `channel` is `mail` or an integration's kind; `last_failed` selects those whose last delivery
    failed.
    """

    title: Annotated[OneLine, StringConstraints(min_length=1, max_length=TITLE_LENGTH)]
    body: Annotated[Text, StringConstraints(min_length=1, max_length=BODY_LENGTH)]
    subscription_ids: list[SubscriptionId] | None = None
    channel: Annotated[Text, StringConstraints(min_length=1, max_length=64)] | None = None
    last_failed: StrictBool = False

    def audience(self) -> Audience:
        return Audience(self.subscription_ids, self.channel, self.last_failed)


class MailPreview(Output):
    """The mail as it is sent, except that its unsubscribe and manage links lead nowhere."""

    subject: str
    html: str
    text: str


class ChatPreview(Output):
    """The chat message in Markdown, cut to a chat's limits."""

    title: str
    body: str


class SmsPreview(Output):
    """The text message of at most 160 characters; `is_cut` tells whether it was shortened."""

    body: str
    is_cut: bool


class ChannelReachOut(Output):
    """`targets` of one kind of channel, and the number of subscriptions with at least one."""

    channel: str
    targets: int
    subscriptions: int


class ReachOut(Output):
    """The reach of a message: `unreachable` of the `audience` have no working channel."""

    audience: int
    channels: list[ChannelReachOut]
    unreachable: int


class PreviewOut(ReachOut):
    """A preview of the message and its reach, without sending anything."""

    mail: MailPreview
    chat: ChatPreview
    sms: SmsPreview


class Accepted(Output):
    """`audience` is the number of active subscriptions the message is for."""

    notification_id: int
    audience: int


class Retried(Output):
    """`retried` is the number of failed deliveries that are retried."""

    notification_id: int
    retried: int


class Counts(Output):
    """Deliveries of a notification by state."""

    pending: int = 0
    sending: int = 0
    sent: int = 0
    retrying: int = 0
    failed: int = 0
    expired: int = 0
    suppressed: int = 0


class NotificationOut(Output):
    id: int
    kind: str
    title: str
    created_at: Instant
    completed_at: Instant | None
    counts: Counts


class DeliveryOut(Output):
    """One recipient and target; `address` is masked, `channel` is `mail` or an integration's kind.

    `channel` is null if the subscriber's choice reaches no channel at present.
    """

    id: int
    subscription_id: int | None
    address: str | None
    channel: str | None
    state: DeliveryState
    attempts: int
    outcome: str | None
    created_at: Instant
    first_attempt_at: Instant | None
    next_attempt_at: Instant | None
    finished_at: Instant | None
    expires_at: Instant | None
