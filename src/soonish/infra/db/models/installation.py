"""The installation's own data: leases of processes, check values."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from soonish.infra.db.base import Base


class Lease(Base):
    """A lease on a job that only one process at a time may do, or a sign of life of a process."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    holder: Mapped[str] = mapped_column(String(120))
    until: Mapped[datetime]


class Installation(Base):
    """A named value that all processes share, such as the fingerprint check."""

    __tablename__ = "installation"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(String(255))
