"""Who acts on a subscription: the signed-in user, or the holder of a mail's manage token."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request

from soonish.accounts.models import User
from soonish.db.types import utc_now
from soonish.deps import DbDep, OptionalUser, SettingsDep
from soonish.errors import Gone, Unauthorized
from soonish.params import RowId
from soonish.subscriptions import service
from soonish.subscriptions.queries_api import not_subscribed
from soonish.subscriptions.tokens import read_token

ManageToken = Annotated[
    str | None,
    Header(alias="X-Manage-Token", description="The token of a manage link, for this event only"),
]


async def get_acting_user(
    event_id: RowId,
    request: Request,
    db: DbDep,
    settings: SettingsDep,
    user: OptionalUser,
    manage_token: ManageToken = None,
) -> User:
    """The user whose subscription to the event is meant. `Authorization` decides alone, then the
    manage token, then the cookie. Unauthorized without any, NotFound for another event's token."""
    if manage_token is None or "authorization" in request.headers:
        if user is None:
            raise Unauthorized
        return user
    try:
        claims = read_token(settings.secret_key, "manage", manage_token, utc_now())
        async with db.read() as session:
            _, holder = await service.token_subject(session, claims)
    except Gone as error:
        raise Unauthorized("This manage link is no longer valid.") from error
    if claims.event_id != event_id:
        raise not_subscribed()
    return holder


ActingUser = Annotated[User, Depends(get_acting_user)]
