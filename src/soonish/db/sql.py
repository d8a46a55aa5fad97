"""The few places where SQLite and PostgreSQL need different words for the same thing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Select, column, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.types import BigInteger

from soonish.db.base import Base


def insert(session: AsyncSession, table: type[Base]) -> sqlite.Insert | postgresql.Insert:
    """An INSERT that knows ON CONFLICT, for the session's database."""
    dialect = session.get_bind().dialect.name
    return sqlite.insert(table) if dialect == "sqlite" else postgresql.insert(table)


def id_list(session: AsyncSession, ids: Iterable[int]) -> Select[Any]:
    """A SELECT of the ids, one bound parameter however many there are."""
    numbers = list(ids)
    if session.get_bind().dialect.name == "sqlite":
        each = func.json_each(json.dumps(numbers)).table_valued("value")
        return select(each.c.value)
    array = func.unnest(func.cast(numbers, postgresql.ARRAY(BigInteger)))
    return select(array.table_valued(column("id", BigInteger), name="ids").c.id)


def is_sqlite(session: AsyncSession) -> bool:
    return session.get_bind().dialect.name == "sqlite"


def rows_as_json(rows: Sequence[dict[str, Any]]) -> str:
    return json.dumps(rows)


__all__ = ["id_list", "insert", "is_sqlite", "rows_as_json", "text"]
