"""Sessions: a row per signed-in browser or API client; the row is the only truth.

See docs/architecture.md#accounts.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Update, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.config import Settings
from soonish.domain.accounts.principal import SessionAccess
from soonish.domain.accounts.schemas import SessionOut
from soonish.identity.tokens import hash_of, new_secret
from soonish.infra.audit import service as audit
from soonish.infra.db.models.accounts import Session, User
from soonish.infra.db.session import Database
from soonish.infra.db.sql import newest_page
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams
from soonish.kit.schemas import Page

TOUCH_EVERY = timedelta(minutes=1)
_USER_AGENT_LENGTH = 300


def ends_at(row: Session, settings: Settings) -> datetime:
    """Return when the session expires: after SESSION_IDLE_HOURS unseen, or at its absolute
    limit."""
    idle = timedelta(hours=settings.session_idle_hours)
    return min(row.expires_at, row.last_seen_at + idle)


async def start(
    session: AsyncSession, settings: Settings, user_id: int, user_agent: str | None
) -> tuple[Session, str]:
    """Open a session; return its row and the cookie's secret, which is stored only as a hash."""
    now, token = utc_now(), new_secret()
    row = Session(
        user_id=user_id,
        token_hash=hash_of(token),
        user_agent=user_agent[:_USER_AGENT_LENGTH] if user_agent else None,
        created_at=now,
        last_seen_at=now,
        expires_at=now + timedelta(days=settings.session_max_days),
    )
    session.add(row)
    await session.flush()
    outbox.add(session, streams.session(row.id), streams.WAKE, {"session_id": row.id})
    return row, token


async def find_by_token(
    session: AsyncSession, settings: Settings, token: str
) -> SessionAccess | None:
    """Return the live session with this cookie; None if it is unknown or has ended."""
    return await _find(session, settings, Session.token_hash == hash_of(token), by_cookie=True)


async def find_by_id(
    session: AsyncSession, settings: Settings, session_id: int, user_id: int
) -> SessionAccess | None:
    """Return the live session named by a JWT; None if it has ended or belongs to another user."""
    mine = (Session.id == session_id) & (Session.user_id == user_id)
    return await _find(session, settings, mine, by_cookie=False)


async def _find(
    session: AsyncSession, settings: Settings, which: ColumnElement[bool], *, by_cookie: bool
) -> SessionAccess | None:
    live = (
        which,
        Session.ended_at.is_(None),
        User.deactivated_at.is_(None),
        User.erased_at.is_(None),
    )
    found = select(Session, User).join(User, User.id == Session.user_id).where(*live)
    row = (await session.execute(found)).one_or_none()
    if row is None or ends_at(row[0], settings) <= utc_now():
        return None
    return SessionAccess(session=row[0], user=row[1], by_cookie=by_cookie)


def is_due(row: Session) -> bool:
    """Return True if `touch` would write: at most once a minute."""
    return utc_now() - row.last_seen_at >= TOUCH_EVERY


async def touch(db: Database, session_id: int) -> None:
    """Record that the session was just used, in a separate transaction after the response."""
    now = utc_now()
    seen = _open(Session.id == session_id).where(Session.last_seen_at <= now - TOUCH_EVERY)
    async with db.write() as session:
        await session.execute(seen.values(last_seen_at=now))


async def list_own(
    session: AsyncSession,
    settings: Settings,
    access: SessionAccess,
    *,
    limit: int,
    cursor: str | None = None,
) -> Page[SessionOut]:
    """Return a page of the user's live sessions, newest first."""
    now = utc_now()
    live = select(Session).where(
        Session.user_id == access.user.id,
        Session.ended_at.is_(None),
        Session.expires_at > now,
        Session.last_seen_at > now - timedelta(hours=settings.session_idle_hours),
    )
    rows, following = await newest_page(session, live, Session, limit, cursor)
    items = [_out(row, settings, access.session.id) for row in rows]
    return Page(items=items, next_cursor=following)


def _out(row: Session, settings: Settings, current_id: int) -> SessionOut:
    return SessionOut(
        id=row.id,
        user_agent=row.user_agent,
        created_at=row.created_at,
        last_seen_at=row.last_seen_at,
        expires_at=ends_at(row, settings),
        current=row.id == current_id,
    )


async def end(session: AsyncSession, user_id: int, session_id: int) -> bool:
    """End one of the user's sessions. Return False if there is none or it has ended."""
    return bool(await _end(session, (Session.user_id == user_id) & (Session.id == session_id)))


async def end_token(session: AsyncSession, token: str) -> None:
    """End the session with this cookie, if there is one."""
    await _end(session, Session.token_hash == hash_of(token))


async def end_all(session: AsyncSession, user_id: int, *, but: int | None = None) -> None:
    """End all of the user's sessions, except `but`."""
    which = Session.user_id == user_id
    await _end(session, which if but is None else which & (Session.id != but))


async def expire_if_due(session: AsyncSession, settings: Settings, session_id: int) -> float | None:
    """Return the seconds until the next check, None once the session has ended; end it when due."""
    # First, so that whatever is marked done was committed before it is read.
    await outbox.finish(session, streams.session(session_id))
    row = await session.get(Session, session_id)
    if row is None or row.ended_at is not None:
        return None
    left = (ends_at(row, settings) - utc_now()).total_seconds()
    if left > 0:
        return left
    unseen = (Session.id == session_id) & (Session.last_seen_at == row.last_seen_at)
    ending = _open(unseen).values(ended_at=utc_now()).returning(Session.id)
    return 0.0 if await session.scalar(ending) is None else None


async def _end(session: AsyncSession, which: ColumnElement[bool]) -> int:
    """End sessions on request (expiry is `expire_if_due`'s job) and return how many."""
    ending = _open(which).values(ended_at=utc_now()).returning(Session.id, Session.user_id)
    ended = (await session.execute(ending)).all()
    for session_id, user_id in ended:
        outbox.add(session, streams.session(session_id), streams.ENDED, {"session_id": session_id})
        audit.record(session, "session.end", audit.actor() or user_id, on=("session", session_id))
    return len(ended)


def _open(which: ColumnElement[bool]) -> Update:
    return (
        update(Session)
        .where(which, Session.ended_at.is_(None))
        .execution_options(synchronize_session=False)
    )
