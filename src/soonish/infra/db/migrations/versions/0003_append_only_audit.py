"""The audit log is append only: an entry may lose its identity, and grow too old, nothing else"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_FIXED = ("id", "created_at", "action", "outcome", "object_type", "object_id", "event_id")
_SAME = "OLD.{0} IS NOT DISTINCT FROM NEW.{0}"


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        _guard_sqlite()
    else:
        _guard_postgresql()


def downgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        op.execute("DROP TRIGGER audit_entries_append_only")
    else:
        op.execute("DROP TRIGGER audit_entries_append_only ON audit_entries")
        op.execute("DROP FUNCTION audit_entries_append_only")


def _guard_sqlite() -> None:
    same = " AND ".join(f"OLD.{name} IS NEW.{name}" for name in (*_FIXED, "details"))
    op.execute(
        f"""
        CREATE TRIGGER audit_entries_append_only BEFORE UPDATE ON audit_entries
        WHEN NOT ({same}
            AND (NEW.actor_user_id IS NULL OR OLD.actor_user_id IS NEW.actor_user_id)
            AND (NEW.client IS NULL OR OLD.client IS NEW.client))
        BEGIN SELECT RAISE(ABORT, 'audit_entries is append only'); END
        """
    )


def _guard_postgresql() -> None:
    same = " AND ".join(_SAME.format(name) for name in (*_FIXED, "details::text"))
    op.execute(
        """
        CREATE OR REPLACE FUNCTION audit_entries_append_only() RETURNS trigger AS $$
        BEGIN RAISE EXCEPTION 'audit_entries is append only'; END
        $$ LANGUAGE plpgsql
        """
    )
    op.execute(
        f"""
        CREATE TRIGGER audit_entries_append_only BEFORE UPDATE ON audit_entries
        FOR EACH ROW WHEN (NOT ({same}
            AND (NEW.actor_user_id IS NULL
                OR OLD.actor_user_id IS NOT DISTINCT FROM NEW.actor_user_id)
            AND (NEW.client IS NULL OR OLD.client IS NOT DISTINCT FROM NEW.client)))
        EXECUTE FUNCTION audit_entries_append_only()
        """
    )
