"""why a channel's last message did not arrive"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("integrations", sa.Column("last_failure", sa.String(length=200), nullable=True))


def downgrade() -> None:
    op.drop_column("integrations", "last_failure")
