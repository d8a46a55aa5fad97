"""The format of an export (docs/privacy.md): what is held about a person, without secrets."""

from __future__ import annotations

from typing import Literal

from soonish.infra.audit.schemas import AuditEntryOut
from soonish.kit.schemas import Instant, Output

FORMAT = "soonish-export-1"


class ProfileData(Output):
    id: int
    email: str | None
    name: str | None
    timezone: str | None
    locale: str | None
    is_verified: bool
    is_admin: bool
    has_password: bool
    created_at: Instant
    verified_at: Instant | None


class SessionData(Output):
    id: int
    user_agent: str | None
    created_at: Instant
    last_seen_at: Instant
    expires_at: Instant
    ended_at: Instant | None


class ApiTokenData(Output):
    id: int
    name: str
    scope: str
    created_at: Instant
    expires_at: Instant | None
    last_used_at: Instant | None
    revoked_at: Instant | None


class IdentityData(Output):
    issuer: str
    subject: str
    created_at: Instant


class MailedLinkData(Output):
    """A mailed link; the token itself is not stored."""

    purpose: str
    created_at: Instant
    expires_at: Instant
    used_at: Instant | None


class AddressClaimData(Output):
    """A registration of the address, or the account's request to move to another."""

    kind: Literal["registration", "new_address"]
    created_at: Instant
    expires_at: Instant
    completed_at: Instant | None


class IntegrationData(Output):
    """A channel; its URL is a secret and never included."""

    id: int
    name: str
    kind: str
    target: str
    tag: str
    is_active: bool
    created_at: Instant
    deleted_at: Instant | None
    last_delivery_at: Instant | None
    failing_since: Instant | None
    last_failure: str | None


class UpdateData(Output):
    category: str
    title: str
    body: str
    created_at: Instant


class MessageData(Output):
    kind: str
    title: str | None
    body: str | None
    created_at: Instant


class EventData(Output):
    """The person's own event with its log and messages, but without other people's data."""

    id: int
    name: str
    description: str | None
    start_date: Instant
    end_date: Instant | None
    timezone: str
    location: str | None
    contact: str | None
    category: str | None
    is_public: bool
    slug: str
    created_at: Instant
    updated_at: Instant
    cancelled_at: Instant | None
    tags: list[str]
    subscriber_count: int
    updates: list[UpdateData]
    messages: list[MessageData]


class CoOrganizedData(Output):
    event_id: int
    event_name: str
    role: str
    created_at: Instant


class SelectorData(Output):
    integration_id: int | None
    tag: str | None


class RemindMeData(Output):
    at: Instant
    created_at: Instant
    fired_at: Instant | None
    cancelled_at: Instant | None


class SubscriptionData(Output):
    id: int
    event_id: int
    event_name: str
    status: str
    created_at: Instant
    ended_at: Instant | None
    end_reason: str | None
    reminder_offsets: list[int] | None
    end_reminder_offsets: list[int] | None
    countdown_every_seconds: int | None
    countdown_from_seconds: int | None
    selectors: list[SelectorData]
    remind_mes: list[RemindMeData]


class InvitationData(Output):
    event_id: int
    event_name: str
    needs_approval: bool
    created_at: Instant
    expires_at: Instant | None
    revoked_at: Instant | None
    uses: int


class AttemptData(Output):
    attempt: int
    at: Instant
    outcome: str
    detail: str | None
    status: int | None


class DeliveryData(Output):
    """A message to this person, by mail or through one of their channels."""

    id: int
    event_id: int | None
    kind: str
    title: str | None
    subscription_id: int | None
    integration_id: int | None
    via: Literal["mail", "channel"]
    state: str
    attempts: int
    outcome: str | None
    outcome_detail: str | None
    created_at: Instant
    due_at: Instant | None
    first_attempt_at: Instant | None
    finished_at: Instant | None
    tries: list[AttemptData]


class Export(Output):
    format: Literal["soonish-export-1"]
    exported_at: Instant
    profile: ProfileData
    sessions: list[SessionData]
    api_tokens: list[ApiTokenData]
    identities: list[IdentityData]
    mailed_links: list[MailedLinkData]
    address_claims: list[AddressClaimData]
    integrations: list[IntegrationData]
    events: list[EventData]
    co_organized_events: list[CoOrganizedData]
    subscriptions: list[SubscriptionData]
    invitations: list[InvitationData]
    deliveries: list[DeliveryData]
    audit: list[AuditEntryOut]
