"""The dry run: a message's appearance and reach, without sending it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.config import Settings
from soonish.delivery.texts.compose import Composed, compose
from soonish.delivery.texts.content import Content
from soonish.delivery.texts.mail import mail_document
from soonish.delivery.texts.rendering import facts_of
from soonish.delivery.transports.apprise import previews
from soonish.delivery.transports.message import Message
from soonish.domain.access import policy
from soonish.domain.notifications.audience import reach
from soonish.domain.notifications.schemas import (
    ChatPreview,
    MailPreview,
    ManualMessage,
    PreviewOut,
    SmsPreview,
)
from soonish.domain.notifications.service import check_audience
from soonish.infra.db.models.accounts import User
from soonish.infra.db.types import utc_now

NOWHERE = "#"  # replaces the recipient's own links in a preview


async def preview(
    session: AsyncSession, event_id: int, user: User, message: ManualMessage, settings: Settings
) -> PreviewOut:
    """Return the preview of what `request_manual` would accept now, in the organizer's language.

    Raise what that does: Conflict if the event takes no messages any more, InvalidInput for ids of
    other events.
    """
    event = await policy.require_organizer(session, event_id, user)
    grace, locale = timedelta(days=settings.event_grace_days), user.locale or "en"
    policy.require_open_for_messages(event, grace, utc_now())
    await check_audience(session, event.id, message.audience())
    reached = await reach(session, event.id, message.audience())
    organizer = await session.get(User, event.owner_user_id)
    facts = facts_of(event, organizer and organizer.name, settings.base_url)
    content = Content("manual", facts=facts, title=message.title, body=message.body)
    composed = compose(content, locale)
    return PreviewOut(
        **vars(reached),
        mail=_mail(composed, locale, settings),
        chat=_chat(composed),
        sms=_sms(composed),
    )


def _mail(composed: Composed, locale: str, settings: Settings) -> MailPreview:
    text, html = mail_document(
        composed,
        base_url=settings.base_url,
        unsubscribe_slot=NOWHERE,
        manage_slot=NOWHERE,
        locale=locale,
    )
    return MailPreview(subject=composed.title, html=html, text=text)


def _chat(composed: Composed) -> ChatPreview:
    shown = previews.as_chat(_message(composed))
    return ChatPreview(title=shown.title, body=shown.body)


def _sms(composed: Composed) -> SmsPreview:
    shown = previews.as_sms(_message(composed))
    return SmsPreview(body=shown.body, is_cut=shown.is_cut)


def _message(composed: Composed) -> Message:
    return Message(composed.title, composed.text, composed.markdown, composed.html)
