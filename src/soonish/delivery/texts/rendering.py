"""Render a notification once per language, not once per recipient."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.config import Settings
from soonish.delivery.texts.accounts import FOR_ORGANIZERS
from soonish.delivery.texts.compose import Composed, compose
from soonish.delivery.texts.content import Content, EventFacts
from soonish.delivery.texts.mail import mail_document
from soonish.delivery.transports.mail.service import MailContent, MailTemplate, reply_address
from soonish.delivery.transports.message import Message
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.notifications import NotificationKind as Kind

UNSUBSCRIBE_SLOT = "unsubscribe_url"
MANAGE_SLOT = "manage_url"
ACTION_SLOT = "action_url"


def public_url(base_url: str, slug: str) -> str:
    return f"{base_url}/e/{slug}"


def facts_of(event: Event, organizer_name: str | None, base_url: str) -> EventFacts:
    """Return the facts about the event that its texts state, as they are now."""
    return EventFacts(
        name=event.name,
        start=event.start_date,
        end=event.end_date,
        timezone=event.timezone,
        location=event.location,
        contact=event.contact,
        organizer_name=organizer_name,
        description=event.description,
        url=public_url(base_url, event.slug),
        is_public=event.is_public,
    )


async def content_of(session: AsyncSession, notification: Notification, base_url: str) -> Content:
    """Return the notification's content, with the facts of its event as they are now."""
    facts = None
    if notification.event_id is not None:
        query = select(Event, User.name).join(User, User.id == Event.owner_user_id)
        row = (await session.execute(query.where(Event.id == notification.event_id))).one()
        facts = facts_of(row[0], row[1], base_url)
    own: dict[str, Any] = {
        "kind": notification.kind,
        "title": notification.title,
        "body": notification.body,
    }
    content = replace(Content.from_json(own | (notification.content or {})), facts=facts)
    if notification.kind == Kind.CREATED:
        content.extra["url"] = f"{base_url}/events/{notification.event_id}"
    if (section := FOR_ORGANIZERS.get(notification.kind)) is not None:
        content.extra["url"] = f"{base_url}/events/{content.extra['event_id']}{section}"
    if notification.kind in (Kind.CHANNEL_FAILING, Kind.CHANNEL_OFF):
        content.extra["url"] = f"{base_url}/integrations"
    return content


class Rendering:
    """One notification in one language; mail templates are built when first needed."""

    def __init__(self, content: Content, locale: str, settings: Settings) -> None:
        self._content = content
        self._locale = locale
        self._settings = settings
        self.composed: Composed = compose(content, locale)

    @cached_property
    def message(self) -> Message:
        """The message for channels; an event's message never has an action's slot."""
        composed = self.composed
        return Message(composed.title, composed.text, composed.markdown, composed.html)

    @cached_property
    def subscriber_mail(self) -> MailTemplate:
        """The mail with links to unsubscribe and to manage, and the headers of RFC 8058."""
        return self._template(with_links=True)

    @cached_property
    def plain_mail(self) -> MailTemplate:
        """The mail for accounts and organizers, who have nothing to unsubscribe from."""
        return self._template(with_links=False)

    @cached_property
    def _for_subscribers(self) -> Composed:
        """The message with links for subscribers.

        A private event's page is 404 without a sign-in, so its mails link to the manage page.
        """
        facts = self._content.facts
        if facts is None or facts.is_public:
            return self.composed
        own = replace(facts, url=_slot(MANAGE_SLOT))
        return compose(replace(self._content, facts=own), self._locale)

    def _template(self, *, with_links: bool) -> MailTemplate:
        composed = self._for_subscribers if with_links else self.composed
        text, html = mail_document(
            composed,
            base_url=self._settings.base_url,
            unsubscribe_slot=_slot(UNSUBSCRIBE_SLOT) if with_links else None,
            manage_slot=_slot(MANAGE_SLOT) if with_links else None,
            locale=self._locale,
        )
        slots = [UNSUBSCRIBE_SLOT, MANAGE_SLOT] if with_links else [ACTION_SLOT]
        return MailTemplate(
            MailContent(composed.title, text, html, reply_to=self._reply_to()),
            sender=self._settings.smtp_from,
            slots=slots,
            list_unsubscribe_slot=UNSUBSCRIBE_SLOT if with_links else None,
        )

    def _reply_to(self) -> str | None:
        return reply_address(self._content.facts.contact if self._content.facts else None)


def _slot(name: str) -> str:
    return "{{" + name + "}}"


def message_id(delivery_id: int, created_at: datetime) -> str:
    """Return an id that is the same for every retry of a row."""
    return f"{delivery_id}.{int(created_at.timestamp())}"
