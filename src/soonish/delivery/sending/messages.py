"""Build the messages of one notification for its recipients."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from soonish.config import Settings
from soonish.delivery.ledger.ledger import Claimed
from soonish.delivery.sending.recipients import MailTarget
from soonish.delivery.texts.content import Content
from soonish.delivery.texts.rendering import (
    ACTION_SLOT,
    MANAGE_SLOT,
    UNSUBSCRIBE_SLOT,
    Rendering,
    content_of,
    message_id,
)
from soonish.delivery.transports.mail.service import Mail
from soonish.delivery.transports.message import Message
from soonish.i18n import best_language
from soonish.identity import links, tokens
from soonish.identity.signed_tokens import Purpose, make_token
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.session import Database


@dataclass
class MessageBuilder:
    """Builds messages: renders once per language, then fills in each recipient's values."""

    event_id: int | None
    content: Content
    settings: Settings
    _renderings: dict[str, Rendering] = field(default_factory=dict[str, Rendering])

    @classmethod
    async def load(
        cls, session: AsyncSession, notification: Notification, settings: Settings
    ) -> MessageBuilder:
        content = await content_of(session, notification, settings.base_url)
        return cls(notification.event_id, content, settings)

    def message(self, row: Claimed, locale: str) -> Message:
        """Return the message for a channel; its id is the same for every retry of the row."""
        identity = message_id(row.id, row.created_at)
        return replace(self._rendering(locale).message, message_id=identity)

    async def mails(
        self, db: Database, rows: Sequence[Claimed], mail_targets: dict[int, MailTarget]
    ) -> list[Mail]:
        """Return a mail per row, in order, and issue the tokens that their links carry.

        `mail_targets` are by delivery id.
        """
        actions = await self._action_urls(db, rows)
        return [self._mail(row, mail_targets[row.id], actions.get(row.id)) for row in rows]

    def _rendering(self, locale: str) -> Rendering:
        locale = best_language(locale)
        if locale not in self._renderings:
            self._renderings[locale] = Rendering(self.content, locale, self.settings)
        return self._renderings[locale]

    def _mail(self, row: Claimed, target: MailTarget, action_url: str | None) -> Mail:
        rendering = self._rendering(target.locale)
        if row.subscription_id is None:
            template, values = rendering.plain_mail, {ACTION_SLOT: action_url or ""}
        else:
            template, values = rendering.subscriber_mail, self._links(row, target)
        address = target.address or ""
        identity = message_id(row.id, row.created_at)
        return Mail(to=address, template=template, message_id=identity, values=values)

    def _links(self, row: Claimed, target: MailTarget) -> dict[str, str]:
        base = self.settings.base_url
        return {
            UNSUBSCRIBE_SLOT: f"{base}/u/{self._token('unsubscribe', row, target)}",
            MANAGE_SLOT: f"{base}/manage/{self._token('manage', row, target)}",
        }

    def _token(self, purpose: Purpose, row: Claimed, target: MailTarget) -> str:
        return make_token(
            self.settings.secret_key,
            purpose,
            event_id=self.event_id or 0,
            user_id=row.user_id,
            epoch=target.epoch,
            issued_at=row.created_at,
        )

    async def _action_urls(self, db: Database, rows: Sequence[Claimed]) -> dict[int, str]:
        """Return the links of account mails by delivery id, each with a token made just now."""
        if not self.content.extra.get("purpose"):
            return {}
        async with db.write() as session:
            return {row.id: await self._action_url(session, row) for row in rows}

    async def _action_url(self, session: AsyncSession, row: Claimed) -> str:
        extra, base = self.content.extra, self.settings.base_url
        if invitation_id := extra.get("invitation_id"):
            return await links.issue_invitation_url(session, int(invitation_id), base)
        bound: dict[str, Any] = {
            name: int(extra[name])
            for name in ("registration_id", "subscription_id")
            if extra.get(name)
        }
        token = await tokens.issue(session, extra["purpose"], row.user_id, **bound)
        return links.action_url(base, extra["purpose"], token)
