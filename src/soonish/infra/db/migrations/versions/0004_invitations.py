"""invitations: what they let in, and the tokens of mailed ones"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from soonish.infra.db.types import Id

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_KEEP = {"sqlite_autoincrement": True}  # what SQLite's copy of the table would forget


def upgrade() -> None:
    with op.batch_alter_table("subscriptions") as batch_op:
        batch_op.add_column(sa.Column("admitted_as", sa.String(length=20), nullable=True))

    with op.batch_alter_table("tokens", table_kwargs=_KEEP) as batch_op:
        batch_op.add_column(sa.Column("invitation_id", Id, nullable=True))
        batch_op.create_index(batch_op.f("ix_tokens_invitation_id"), ["invitation_id"])
        batch_op.create_foreign_key(
            batch_op.f("fk_tokens_invitation_id"),
            "invitations",
            ["invitation_id"],
            ["id"],
            ondelete="CASCADE",
        )


def downgrade() -> None:
    with op.batch_alter_table("tokens", table_kwargs=_KEEP) as batch_op:
        batch_op.drop_constraint(batch_op.f("fk_tokens_invitation_id"), type_="foreignkey")
        batch_op.drop_index(batch_op.f("ix_tokens_invitation_id"))
        batch_op.drop_column("invitation_id")

    with op.batch_alter_table("subscriptions") as batch_op:
        batch_op.drop_column("admitted_as")
