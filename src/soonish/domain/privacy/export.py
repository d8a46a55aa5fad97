"""Export everything held about a person as one JSON document, streamed while it is read."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator

from soonish.domain.accounts.service import record_change
from soonish.domain.privacy.export_queries import SECTIONS, Read
from soonish.domain.privacy.export_schemas import FORMAT, ProfileData
from soonish.infra.db.models.accounts import User
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.kit.schemas import as_z


async def record_export(db: Database, user: User) -> None:
    """Record the export in the audit log."""
    async with db.write() as session:
        record_change(session, "user.export", user)


async def document(db: Database, user: User) -> AsyncGenerator[str]:
    """Yield the document in pieces, in the format of `Export`.

    Each page of rows is a separate read: memory stays small however much there is, and a slow
    reader holds nothing in the database.
    """
    profile = {name: getattr(user, name, None) for name in ProfileData.model_fields}
    profile["has_password"] = user.password_hash is not None
    head = {
        "format": FORMAT,
        "exported_at": as_z(utc_now()),
        "profile": ProfileData.model_validate(profile).model_dump(mode="json"),
    }
    yield json.dumps(head, ensure_ascii=False)[:-1]
    for name, read in SECTIONS.items():
        yield f',\n"{name}": ['
        async for piece in _items(db, user.id, read):
            yield piece
        yield "]"
    yield "}\n"


async def _items(db: Database, user_id: int, read: Read) -> AsyncGenerator[str]:
    separator, after_id = "\n", 0
    while True:
        async with db.read() as session:
            page = await read(session, user_id, after_id)
        if not page:
            return
        yield separator + ",\n".join(item.model_dump_json() for _, item in page)
        separator, after_id = ",\n", page[-1][0]
