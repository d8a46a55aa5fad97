"""What the API takes and tells about notifications and their deliveries."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StrictBool, StringConstraints

from soonish.domain.notifications.audience import Audience
from soonish.infra.db.models.notifications import State
from soonish.kit.schemas import MAX_ID, Input, Instant, OneLine, Output, Text

TITLE_LENGTH = 200
BODY_LENGTH = 20_000

SubscriptionId = Annotated[int, Field(strict=True, ge=1, le=MAX_ID)]


class ManualMessage(Input):
    """An organizer's message (Markdown body): to everybody, or to those who meet every condition.

    `channel` is `mail` or an integration's kind; `last_failed` means those whom the last try to
    reach them did not reach.
    """

    title: Annotated[OneLine, StringConstraints(min_length=1, max_length=TITLE_LENGTH)]
    body: Annotated[Text, StringConstraints(min_length=1, max_length=BODY_LENGTH)]
    subscription_ids: list[SubscriptionId] | None = None
    channel: Annotated[Text, StringConstraints(min_length=1, max_length=64)] | None = None
    last_failed: StrictBool = False

    def audience(self) -> Audience:
        return Audience(self.subscription_ids, self.channel, self.last_failed)


class MailPreview(Output):
    """The mail as it is sent; its links to unsubscribe and to manage lead nowhere."""

    subject: str
    html: str
    text: str


class ChatPreview(Output):
    """As a chat gets it, in Markdown, cut where a chat's limits cut it."""

    title: str
    body: str


class SmsPreview(Output):
    """As a text message of 160 characters gets it; `is_cut` says that its end is missing."""

    body: str
    is_cut: bool


class ChannelReachOut(Output):
    """`targets` of one kind of channel, and how many subscriptions have at least one."""

    channel: str
    targets: int
    subscriptions: int


class ReachOut(Output):
    """What a message would reach now: `unreachable` of the `audience` have no working channel."""

    audience: int
    channels: list[ChannelReachOut]
    unreachable: int


class PreviewOut(ReachOut):
    """What would be sent, and to whom, without sending anything."""

    mail: MailPreview
    chat: ChatPreview
    sms: SmsPreview


class Accepted(Output):
    """`audience` counts the active subscriptions the message is for."""

    notification_id: int
    audience: int


class Retried(Output):
    """`retried` counts the failed deliveries that are tried again."""

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

    `channel` is null where the subscriber's choice reaches no channel at present.
    """

    id: int
    subscription_id: int | None
    address: str | None
    channel: str | None
    state: State
    attempts: int
    outcome: str | None
    created_at: Instant
    first_attempt_at: Instant | None
    next_attempt_at: Instant | None
    finished_at: Instant | None
    expires_at: Instant | None
