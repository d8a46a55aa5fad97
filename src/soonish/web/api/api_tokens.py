"""Routes of personal API tokens. All need a session: no token sees, makes or ends another."""

from __future__ import annotations

from fastapi import APIRouter, status

from soonish.domain.accounts import api_tokens
from soonish.domain.accounts.schemas import ApiTokenInput, ApiTokenOut, NewApiTokenOut
from soonish.errors import NotFound
from soonish.kit.schemas import Page
from soonish.web.deps import CurrentSession, DbDep
from soonish.web.params import CursorText, Limit, RowId

router = APIRouter(prefix="/api/users/me/tokens", tags=["users"])
_DEFAULT_PAGE = 50


@router.get("")
async def list_tokens(
    db: DbDep, access: CurrentSession, limit: Limit = _DEFAULT_PAGE, cursor: CursorText = None
) -> Page[ApiTokenOut]:
    """List the tokens that are not revoked, newest first."""
    async with db.read() as session:
        return await api_tokens.list_own(session, access.user.id, limit=limit, cursor=cursor)


@router.post("", status_code=status.HTTP_201_CREATED)
async def make_token(body: ApiTokenInput, db: DbDep, access: CurrentSession) -> NewApiTokenOut:
    """Create a token for `Authorization: Bearer`. Only this answer shows it."""
    async with db.write() as session:
        return await api_tokens.issue(session, access.user.id, body)


@router.delete("", status_code=status.HTTP_204_NO_CONTENT)
async def revoke_tokens(db: DbDep, access: CurrentSession) -> None:
    """Revoke all of them."""
    async with db.write() as session:
        await api_tokens.revoke_all(session, access.user.id)


@router.delete("/{token_id}", status_code=status.HTTP_204_NO_CONTENT)
async def revoke_token(token_id: RowId, db: DbDep, access: CurrentSession) -> None:
    async with db.write() as session:
        if not await api_tokens.revoke(session, access.user.id, token_id):
            raise NotFound
