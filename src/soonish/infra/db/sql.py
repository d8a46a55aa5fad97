"""Statements that differ between SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import Select, Table, bindparam, func, literal, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects import sqlite as sqlite_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.types import BigInteger

from soonish.infra.db.base import Base
from soonish.kit.paging import id_cursor, page


def is_sqlite(on: AsyncSession | AsyncConnection) -> bool:
    dialect = on.dialect if isinstance(on, AsyncConnection) else on.get_bind().dialect
    return dialect.name == "sqlite"


def insert(session: AsyncSession, table: type[Base]) -> sqlite_.Insert | postgresql.Insert:
    """Return an INSERT that supports ON CONFLICT, for the session's database."""
    return sqlite_.insert(table) if is_sqlite(session) else postgresql.insert(table)


def core_insert(table: type[Base], *, sqlite: bool) -> sqlite_.Insert | postgresql.Insert:
    """Return such an INSERT without the ORM, for statements that are built once."""
    return (sqlite_ if sqlite else postgresql).insert(cast(Table, table.__table__))


def ids(*, sqlite: bool) -> Select[*tuple[Any, ...]]:
    """Select the ids of the parameter `p_ids`, for statements that are built once."""
    if sqlite:
        return select(func.json_each(bindparam("p_ids")).table_valued("value").c.value)
    return select(func.unnest(bindparam("p_ids", type_=postgresql.ARRAY(BigInteger))))


def ids_value(on: AsyncSession | AsyncConnection, numbers: Iterable[int]) -> str | list[int]:
    """Return the value of the parameter `p_ids`."""
    return json.dumps(list(numbers)) if is_sqlite(on) else list(numbers)


def id_list(session: AsyncSession, ids: Iterable[int]) -> Select[Any]:
    """Select these ids, with one bound parameter for any number of them."""
    numbers = list(ids)
    if is_sqlite(session):
        return select(func.json_each(json.dumps(numbers)).table_valued("value").c.value)
    return select(func.unnest(literal(numbers, postgresql.ARRAY(BigInteger))))


async def newest_page(
    session: AsyncSession, query: Select[Any], table: type[Any], limit: int, cursor: str | None
) -> tuple[list[Any], str | None]:
    """Return a page of the query's rows of a table, newest first, and its next_cursor."""
    if (before := id_cursor(cursor)) is not None:
        query = query.where(table.id < before)
    rows = (await session.scalars(query.order_by(table.id.desc()).limit(limit + 1))).all()
    return page(rows, limit, lambda row: row.id)
