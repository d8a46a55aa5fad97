"""Find who acts on a subscription: the signed-in user, or the holder of a mail's manage token."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Header, Request

from soonish.domain.access.subscription_queries import not_subscribed
from soonish.domain.subscriptions import service as subscriptions
from soonish.errors import Gone, Unauthorized
from soonish.identity.signed_tokens import read_token
from soonish.infra.db.models.accounts import User
from soonish.infra.db.types import utc_now
from soonish.web.deps import DbDep, OptionalUser, SettingsDep
from soonish.web.params import RowId

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
    """Return the user whose subscription to the event is meant.

    `Authorization` takes precedence, then the manage token, then the cookie. Raise Unauthorized
    without any, NotFound for another event's token.
    """
    if manage_token is None or "authorization" in request.headers:
        if user is None:
            raise Unauthorized
        return user
    try:
        claims = read_token(settings.secret_key, "manage", manage_token, utc_now())
        async with db.read() as session:
            _, holder = await subscriptions.token_subject(session, claims)
    except Gone as error:
        raise Unauthorized("This manage link is no longer valid.") from error
    if claims.event_id != event_id:
        raise not_subscribed()
    return holder


ActingUser = Annotated[User, Depends(get_acting_user)]
