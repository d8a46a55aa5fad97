"""Who is an administrator; for everybody else nothing of it exists."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from soonish.accounts.models import User
from soonish.deps import OptionalUser
from soonish.errors import NotFound


async def require_admin(user: OptionalUser) -> User:
    """Raises NotFound for everybody who is no administrator (CONTRACT)."""
    if user is None or not user.is_admin:
        raise NotFound
    return user


Admin = Annotated[User, Depends(require_admin)]
