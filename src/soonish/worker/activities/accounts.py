"""Activities of the account workflows: do what is due, and return when to look again."""

from __future__ import annotations

from temporalio import activity

from soonish.config import Settings
from soonish.domain.accounts import registration, sessions
from soonish.infra.db.session import Database
from soonish.workflow_types import Deadline, SessionInput, VerificationInput


class AccountActivities:
    def __init__(self, db: Database, settings: Settings) -> None:
        self._db = db
        self._settings = settings

    @activity.defn
    async def begin_verification(self, request: VerificationInput) -> None:
        """Request the registration's mail; a second call changes nothing."""
        async with self._db.write() as session:
            await registration.send_mail(session, request.workflow_id, self._settings.base_url)

    @activity.defn
    async def check_verification(self, request: VerificationInput) -> Deadline:
        """Clean up the registration if its time is over."""
        async with self._db.write() as session:
            return Deadline(await registration.expire_if_due(session, request.workflow_id))

    @activity.defn
    async def check_session(self, request: SessionInput) -> Deadline:
        """End the session if its time is over."""
        async with self._db.write() as session:
            return Deadline(
                await sessions.expire_if_due(session, self._settings, request.session_id)
            )
