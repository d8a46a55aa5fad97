"""Sessions: a row per signed-in browser or API client; the row is the only truth (DESIGN 12)."""

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
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams
from soonish.kit.paging import id_cursor
from soonish.kit.schemas import Page, encode_cursor

TOUCH_EVERY = timedelta(minutes=1)
_USER_AGENT_LENGTH = 300


def ends_at(row: Session, settings: Settings) -> datetime:
    """When the session ends by itself: SESSION_IDLE_HOURS unseen, or its absolute limit."""
    idle = timedelta(hours=settings.session_idle_hours)
    return min(row.expires_at, row.last_seen_at + idle)


async def start(
    session: AsyncSession, settings: Settings, user_id: int, user_agent: str | None
) -> tuple[Session, str]:
    """Open a session; return its row and the cookie's secret, of which only the hash is kept."""
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
    """The live session with this cookie; None if it is unknown or has ended."""
    return await _find(session, settings, Session.token_hash == hash_of(token), by_cookie=True)


async def find_by_id(
    session: AsyncSession, settings: Settings, session_id: int, user_id: int
) -> SessionAccess | None:
    """The live session that a JWT names; None if it has ended or is not that user's."""
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
    """True if `touch` would write: at most once a minute."""
    return utc_now() - row.last_seen_at >= TOUCH_EVERY


async def touch(db: Database, session_id: int) -> None:
    """Note that the session was used just now. A transaction of its own, after the answer."""
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
    """A page of the user's sessions that work now, newest first."""
    now = utc_now()
    live = select(Session).where(
        Session.user_id == access.user.id,
        Session.ended_at.is_(None),
        Session.expires_at > now,
        Session.last_seen_at > now - timedelta(hours=settings.session_idle_hours),
    )
    if (before := id_cursor(cursor)) is not None:
        live = live.where(Session.id < before)
    found = await session.scalars(live.order_by(Session.id.desc()).limit(limit + 1))
    items = [_out(row, settings, access.session.id) for row in found]
    following = encode_cursor(items[limit - 1].id) if len(items) > limit else None
    return Page(items=items[:limit], next_cursor=following)


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
    """End one session of the user; False if there is none with this id, or it has ended."""
    return bool(await _end(session, (Session.user_id == user_id) & (Session.id == session_id)))


async def end_token(session: AsyncSession, token: str) -> None:
    """End the session with this cookie, if there is one."""
    await _end(session, Session.token_hash == hash_of(token))


async def end_all(session: AsyncSession, user_id: int, *, but: int | None = None) -> None:
    """End the user's sessions, all or all but one."""
    which = Session.user_id == user_id
    await _end(session, which if but is None else which & (Session.id != but))


async def check(session: AsyncSession, settings: Settings, session_id: int) -> float | None:
    """Seconds until the session must be looked at again, None if it has ended; ends it when due."""
    # First, so that what is marked done was committed before it is looked at.
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
    """End them, for a reason that somebody gave (time's are `check`'s); how many."""
    ending = _open(which).values(ended_at=utc_now()).returning(Session.id, Session.user_id)
    ended = (await session.execute(ending)).all()
    for session_id, user_id in ended:
        outbox.add(session, streams.session(session_id), streams.ENDED, {"session_id": session_id})
        audit.record(
            session,
            "session.end",
            actor_id=audit.actor() or user_id,
            object_type="session",
            object_id=session_id,
        )
    return len(ended)


def _open(which: ColumnElement[bool]) -> Update:
    return (
        update(Session)
        .where(which, Session.ended_at.is_(None))
        .execution_options(synchronize_session=False)
    )
