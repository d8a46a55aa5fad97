"""Routes of what people may do about what is held about them: take it along, have it erased."""

from __future__ import annotations

from fastapi import APIRouter, Response, status
from fastapi.responses import StreamingResponse

from soonish.domain.accounts.schemas import ErasureInput
from soonish.domain.privacy import erasure, export
from soonish.domain.privacy.export_schemas import Export
from soonish.web import cookies
from soonish.web.deps import CurrentSession, DbDep, LoginGuardDep, SettingsDep

router = APIRouter(prefix="/api/users/me", tags=["users"])
_FILE = {"Content-Disposition": 'attachment; filename="soonish-export.json"'}


@router.get("/export", response_class=StreamingResponse, responses={200: {"model": Export}})
async def export_me(db: DbDep, access: CurrentSession) -> StreamingResponse:
    """Everything that is held about you, as a JSON file."""
    await export.record_export(db, access.user)
    return StreamingResponse(
        export.document(db, access.user), media_type="application/json", headers=_FILE
    )


@router.delete("", status_code=status.HTTP_204_NO_CONTENT)
async def erase_me(
    response: Response,
    db: DbDep,
    settings: SettingsDep,
    guard: LoginGuardDep,
    access: CurrentSession,
    body: ErasureInput | None = None,
) -> None:
    """Erase the account and everything about it, for good. Own events are cancelled first."""
    wanted = body or ErasureInput()
    await erasure.erase_account(db, guard, access, wanted.current_password)
    cookies.clear_session(response, settings)
