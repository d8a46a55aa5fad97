"""The declarative base: explicit queries, no relationships, named constraints."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import MetaData, String
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from soonish.infra.db.types import Id, UtcDateTime, utc_now

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = {datetime: UtcDateTime, str: String}  # noqa: RUF012 (declared by SQLAlchemy)


class HasId:
    id: Mapped[int] = mapped_column(Id, primary_key=True, autoincrement=True)


class HasCreatedAt:
    created_at: Mapped[datetime] = mapped_column(default=utc_now)
