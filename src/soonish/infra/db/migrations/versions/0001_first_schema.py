"""first schema"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from soonish.infra.db.types import Id, Json, UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "installation",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("value", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_installation")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=120), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "outbox",
        sa.Column("stream", sa.String(length=120), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("payload", Json, nullable=False),
        sa.Column("poked_at", UtcDateTime(), nullable=True),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.create_index(
            "ix_outbox_undone",
            ["stream", "id"],
            unique=False,
            sqlite_where=sa.text("done_at IS NULL"),
            postgresql_where=sa.text("done_at IS NULL"),
        )

    op.create_table(
        "users",
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("email_fingerprint", sa.String(length=64), nullable=True),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("timezone", sa.String(length=64), nullable=True),
        sa.Column("locale", sa.String(length=16), nullable=True),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("is_verified", sa.Boolean(), nullable=False),
        sa.Column("is_admin", sa.Boolean(), nullable=False),
        sa.Column("token_epoch", sa.Integer(), nullable=False),
        sa.Column("merged_into_id", Id, nullable=True),
        sa.Column("verified_at", UtcDateTime(), nullable=True),
        sa.Column("deactivated_at", UtcDateTime(), nullable=True),
        sa.Column("erased_at", UtcDateTime(), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["merged_into_id"],
            ["users.id"],
            name=op.f("fk_users_merged_into_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("email_fingerprint", name=op.f("uq_users_email_fingerprint")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "events",
        sa.Column("owner_user_id", Id, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("start_date", UtcDateTime(), nullable=False),
        sa.Column("end_date", UtcDateTime(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("location", sa.String(length=500), nullable=True),
        sa.Column("contact", sa.String(length=320), nullable=True),
        sa.Column("category", sa.String(length=64), nullable=True),
        sa.Column("timezone", sa.String(length=64), nullable=False),
        sa.Column("is_public", sa.Boolean(), nullable=False),
        sa.Column("slug", sa.String(length=120), nullable=False),
        sa.Column("temporal_workflow_id", sa.String(length=120), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("cancelled_at", UtcDateTime(), nullable=True),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["owner_user_id"], ["users.id"], name=op.f("fk_events_owner_user_id")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint("slug", name=op.f("uq_events_slug")),
        sa.UniqueConstraint("temporal_workflow_id", name=op.f("uq_events_temporal_workflow_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_events_category"), ["category"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_events_owner_user_id"), ["owner_user_id"], unique=False
        )
        batch_op.create_index("ix_events_start_date_id", ["start_date", "id"], unique=False)

    op.create_table(
        "integrations",
        sa.Column("user_id", Id, nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("apprise_url", sa.Text(), nullable=True),
        sa.Column("url_fingerprint", sa.String(length=64), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("target", sa.String(length=255), nullable=False),
        sa.Column("is_active", sa.Boolean(), nullable=False),
        sa.Column("deleted_at", UtcDateTime(), nullable=True),
        sa.Column("not_before", UtcDateTime(), nullable=True),
        sa.Column("fail_streak", sa.Integer(), nullable=False),
        sa.Column("failing_since", UtcDateTime(), nullable=True),
        sa.Column("open_until", UtcDateTime(), nullable=True),
        sa.Column("last_delivery_at", UtcDateTime(), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_integrations_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_integrations")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("integrations", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_integrations_user_id"), ["user_id"], unique=False)
        batch_op.create_index("ix_integrations_user_id_tag", ["user_id", "tag"], unique=False)
        batch_op.create_index(
            "uq_integrations_user_id_url_fingerprint_tag",
            ["user_id", "url_fingerprint", "tag"],
            unique=True,
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )

    op.create_table(
        "registrations",
        sa.Column("user_id", Id, nullable=False),
        sa.Column("workflow_id", sa.String(length=120), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=True),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("browser_hash", sa.String(length=64), nullable=True),
        sa.Column("claimant_user_id", Id, nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["claimant_user_id"],
            ["users.id"],
            name=op.f("fk_registrations_claimant_user_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_registrations_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_registrations")),
        sa.UniqueConstraint("workflow_id", name=op.f("uq_registrations_workflow_id")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("registrations", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_registrations_claimant_user_id"), ["claimant_user_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_registrations_user_id"), ["user_id"], unique=False)

    op.create_table(
        "sessions",
        sa.Column("user_id", Id, nullable=False),
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("user_agent", sa.String(length=300), nullable=True),
        sa.Column("last_seen_at", UtcDateTime(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_sessions_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_sessions_token_hash")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sessions_user_id"), ["user_id"], unique=False)

    op.create_table(
        "event_tags",
        sa.Column("event_id", Id, nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], name=op.f("fk_event_tags_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("event_id", "tag", name=op.f("pk_event_tags")),
    )
    with op.batch_alter_table("event_tags", schema=None) as batch_op:
        batch_op.create_index("ix_event_tags_tag", ["tag"], unique=False)

    op.create_table(
        "event_updates",
        sa.Column("event_id", Id, nullable=False),
        sa.Column("category", sa.String(length=32), nullable=False),
        sa.Column("title", sa.String(length=300), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("changes", Json, nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], name=op.f("fk_event_updates_event_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_event_updates")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("event_updates", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_event_updates_event_id"), ["event_id"], unique=False)

    op.create_table(
        "notifications",
        sa.Column("event_id", Id, nullable=True),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("dedup_key", sa.String(length=200), nullable=False),
        sa.Column("title", sa.String(length=500), nullable=True),
        sa.Column("body", sa.Text(), nullable=True),
        sa.Column("content", Json, nullable=True),
        sa.Column("audience", Json, nullable=True),
        sa.Column("requested_by", Id, nullable=True),
        sa.Column("idempotency_key", sa.String(length=255), nullable=True),
        sa.Column("request_hash", sa.String(length=64), nullable=True),
        sa.Column("anchor", sa.String(length=8), nullable=True),
        sa.Column("anchor_at", UtcDateTime(), nullable=True),
        sa.Column("expanded_at", UtcDateTime(), nullable=True),
        sa.Column("completed_at", UtcDateTime(), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], name=op.f("fk_notifications_event_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["requested_by"], ["users.id"], name=op.f("fk_notifications_requested_by")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notifications")),
        sa.UniqueConstraint("dedup_key", name=op.f("uq_notifications_dedup_key")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("notifications", schema=None) as batch_op:
        batch_op.create_index("ix_notifications_event_id", ["event_id"], unique=False)
        batch_op.create_index(
            "ix_notifications_open",
            ["expanded_at"],
            unique=False,
            sqlite_where=sa.text("completed_at IS NULL"),
            postgresql_where=sa.text("completed_at IS NULL"),
        )
        batch_op.create_index(
            "uq_notifications_idempotency",
            ["event_id", "requested_by", "idempotency_key"],
            unique=True,
            sqlite_where=sa.text("idempotency_key IS NOT NULL"),
            postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        )

    op.create_table(
        "subscriptions",
        sa.Column("event_id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=False),
        sa.Column("status", sa.String(length=20), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("end_reason", sa.String(length=20), nullable=True),
        sa.Column("reminder_offsets", Json, nullable=True),
        sa.Column("end_reminder_offsets", Json, nullable=True),
        sa.Column("countdown_every_seconds", sa.Integer(), nullable=True),
        sa.Column("countdown_from_seconds", sa.Integer(), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], name=op.f("fk_subscriptions_event_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_subscriptions_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscriptions")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.create_index("ix_subscriptions_event_id", ["event_id"], unique=False)
        batch_op.create_index(
            "ix_subscriptions_unconfirmed",
            ["created_at"],
            unique=False,
            sqlite_where=sa.text("status = 'pending_confirmation' AND ended_at IS NULL"),
            postgresql_where=sa.text("status = 'pending_confirmation' AND ended_at IS NULL"),
        )
        batch_op.create_index("ix_subscriptions_user_id", ["user_id"], unique=False)
        batch_op.create_index(
            "uq_subscriptions_event_id_user_id",
            ["event_id", "user_id"],
            unique=True,
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )

    op.create_table(
        "tokens",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=32), nullable=False),
        sa.Column("user_id", Id, nullable=False),
        sa.Column("registration_id", Id, nullable=True),
        sa.Column("subscription_id", Id, nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["registration_id"],
            ["registrations.id"],
            name=op.f("fk_tokens_registration_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscriptions.id"],
            name=op.f("fk_tokens_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["user_id"], ["users.id"], name=op.f("fk_tokens_user_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_tokens_token_hash")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.create_index("ix_tokens_expires_at", ["expires_at"], unique=False)
        batch_op.create_index(
            batch_op.f("ix_tokens_registration_id"), ["registration_id"], unique=False
        )
        batch_op.create_index(
            batch_op.f("ix_tokens_subscription_id"), ["subscription_id"], unique=False
        )
        batch_op.create_index(batch_op.f("ix_tokens_user_id"), ["user_id"], unique=False)

    op.create_table(
        "deliveries",
        sa.Column("notification_id", Id, nullable=False),
        sa.Column("user_id", Id, nullable=False),
        sa.Column("subscription_id", Id, nullable=True),
        sa.Column("target_key", sa.String(length=80), nullable=False),
        sa.Column("integration_id", Id, nullable=True),
        sa.Column("due_at", UtcDateTime(), nullable=True),
        sa.Column("expires_at", UtcDateTime(), nullable=True),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("claims", sa.Integer(), nullable=False),
        sa.Column("lease_token", sa.String(length=120), nullable=True),
        sa.Column("lease_until", UtcDateTime(), nullable=True),
        sa.Column("next_attempt_at", UtcDateTime(), nullable=True),
        sa.Column("outcome", sa.String(length=20), nullable=True),
        sa.Column("outcome_detail", sa.String(length=300), nullable=True),
        sa.Column("first_attempt_at", UtcDateTime(), nullable=True),
        sa.Column("finished_at", UtcDateTime(), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "state IN ('pending','sending','sent','retrying','failed','expired','suppressed')",
            name=op.f("ck_deliveries_state"),
        ),
        sa.ForeignKeyConstraint(
            ["integration_id"], ["integrations.id"], name=op.f("fk_deliveries_integration_id")
        ),
        sa.ForeignKeyConstraint(
            ["notification_id"],
            ["notifications.id"],
            name=op.f("fk_deliveries_notification_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscriptions.id"],
            name=op.f("fk_deliveries_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_deliveries_user_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deliveries")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.create_index(
            "ix_deliveries_open",
            ["notification_id", "state"],
            unique=False,
            sqlite_where=sa.text("state IN ('pending','sending','retrying')"),
            postgresql_where=sa.text("state IN ('pending','sending','retrying')"),
        )
        batch_op.create_index("ix_deliveries_subscription_id", ["subscription_id"], unique=False)
        batch_op.create_index("ix_deliveries_user_id", ["user_id"], unique=False)
        batch_op.create_index(
            "uq_deliveries_subscription_id_target_key_due_at",
            ["subscription_id", "target_key", "due_at"],
            unique=True,
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )
    # of an expression: what makes autogenerate see nothing of it on SQLite (tests/db compares)
    op.create_index(
        "uq_deliveries_recipient_target",
        "deliveries",
        ["notification_id", sa.text("COALESCE(subscription_id, -user_id)"), "target_key"],
        unique=True,
    )

    op.create_table(
        "remind_mes",
        sa.Column("subscription_id", Id, nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("fired_at", UtcDateTime(), nullable=True),
        sa.Column("cancelled_at", UtcDateTime(), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscriptions.id"],
            name=op.f("fk_remind_mes_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_remind_mes")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("remind_mes", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_remind_mes_subscription_id"), ["subscription_id"], unique=False
        )

    op.create_table(
        "reminders",
        sa.Column("event_id", Id, nullable=False),
        sa.Column("subscription_id", Id, nullable=True),
        sa.Column("schedule_id", sa.String(length=160), nullable=False),
        sa.Column("anchor", sa.String(length=8), nullable=False),
        sa.Column("offset_seconds", sa.Integer(), nullable=False),
        sa.Column("every_seconds", sa.Integer(), nullable=True),
        sa.Column("anchor_at", UtcDateTime(), nullable=False),
        sa.Column("due_at", UtcDateTime(), nullable=False),
        sa.Column("armed_at", UtcDateTime(), nullable=True),
        sa.Column("fired_at", UtcDateTime(), nullable=True),
        sa.Column("expired_at", UtcDateTime(), nullable=True),
        sa.Column("removed_at", UtcDateTime(), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["event_id"], ["events.id"], name=op.f("fk_reminders_event_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscriptions.id"],
            name=op.f("fk_reminders_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_reminders")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("reminders", schema=None) as batch_op:
        batch_op.create_index(
            "ix_reminders_due",
            ["due_at"],
            unique=False,
            sqlite_where=sa.text("fired_at IS NULL AND expired_at IS NULL"),
            postgresql_where=sa.text("fired_at IS NULL AND expired_at IS NULL"),
        )
        batch_op.create_index("ix_reminders_event_id", ["event_id"], unique=False)
        batch_op.create_index("ix_reminders_subscription_id", ["subscription_id"], unique=False)
        batch_op.create_index("uq_reminders_schedule_id", ["schedule_id"], unique=True)

    op.create_table(
        "subscription_selectors",
        sa.Column("subscription_id", Id, nullable=False),
        sa.Column("integration_id", Id, nullable=True),
        sa.Column("tag", sa.String(length=64), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.CheckConstraint(
            "(integration_id IS NULL) <> (tag IS NULL)",
            name=op.f("ck_subscription_selectors_integration_or_tag"),
        ),
        sa.ForeignKeyConstraint(
            ["integration_id"],
            ["integrations.id"],
            name=op.f("fk_subscription_selectors_integration_id"),
        ),
        sa.ForeignKeyConstraint(
            ["subscription_id"],
            ["subscriptions.id"],
            name=op.f("fk_subscription_selectors_subscription_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_subscription_selectors")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("subscription_selectors", schema=None) as batch_op:
        batch_op.create_index(
            "ix_subscription_selectors_integration_id", ["integration_id"], unique=False
        )
        batch_op.create_index(
            "ix_subscription_selectors_subscription_id", ["subscription_id"], unique=False
        )
        batch_op.create_index(
            "uq_subscription_selectors_integration",
            ["subscription_id", "integration_id"],
            unique=True,
            sqlite_where=sa.text("integration_id IS NOT NULL"),
            postgresql_where=sa.text("integration_id IS NOT NULL"),
        )
        batch_op.create_index(
            "uq_subscription_selectors_tag",
            ["subscription_id", "tag"],
            unique=True,
            sqlite_where=sa.text("tag IS NOT NULL"),
            postgresql_where=sa.text("tag IS NOT NULL"),
        )

    op.create_table(
        "delivery_attempts",
        sa.Column("delivery_id", Id, nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("outcome", sa.String(length=20), nullable=False),
        sa.Column("detail", sa.String(length=300), nullable=True),
        sa.Column("status", sa.Integer(), nullable=True),
        sa.Column("id", Id, autoincrement=True, nullable=False),
        sa.ForeignKeyConstraint(
            ["delivery_id"],
            ["deliveries.id"],
            name=op.f("fk_delivery_attempts_delivery_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_delivery_attempts")),
        sqlite_autoincrement=True,
    )
    with op.batch_alter_table("delivery_attempts", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_delivery_attempts_delivery_id"), ["delivery_id"], unique=False
        )


def downgrade() -> None:
    with op.batch_alter_table("delivery_attempts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_delivery_attempts_delivery_id"))

    op.drop_table("delivery_attempts")
    with op.batch_alter_table("subscription_selectors", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_subscription_selectors_tag",
            sqlite_where=sa.text("tag IS NOT NULL"),
            postgresql_where=sa.text("tag IS NOT NULL"),
        )
        batch_op.drop_index(
            "uq_subscription_selectors_integration",
            sqlite_where=sa.text("integration_id IS NOT NULL"),
            postgresql_where=sa.text("integration_id IS NOT NULL"),
        )
        batch_op.drop_index("ix_subscription_selectors_subscription_id")
        batch_op.drop_index("ix_subscription_selectors_integration_id")

    op.drop_table("subscription_selectors")
    with op.batch_alter_table("reminders", schema=None) as batch_op:
        batch_op.drop_index("uq_reminders_schedule_id")
        batch_op.drop_index("ix_reminders_subscription_id")
        batch_op.drop_index("ix_reminders_event_id")
        batch_op.drop_index(
            "ix_reminders_due",
            sqlite_where=sa.text("fired_at IS NULL AND expired_at IS NULL"),
            postgresql_where=sa.text("fired_at IS NULL AND expired_at IS NULL"),
        )

    op.drop_table("reminders")
    with op.batch_alter_table("remind_mes", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_remind_mes_subscription_id"))

    op.drop_table("remind_mes")
    op.drop_index("uq_deliveries_recipient_target", "deliveries")
    with op.batch_alter_table("deliveries", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_deliveries_subscription_id_target_key_due_at",
            sqlite_where=sa.text("due_at IS NOT NULL"),
            postgresql_where=sa.text("due_at IS NOT NULL"),
        )
        batch_op.drop_index("ix_deliveries_user_id")
        batch_op.drop_index("ix_deliveries_subscription_id")
        batch_op.drop_index(
            "ix_deliveries_open",
            sqlite_where=sa.text("state IN ('pending','sending','retrying')"),
            postgresql_where=sa.text("state IN ('pending','sending','retrying')"),
        )

    op.drop_table("deliveries")
    with op.batch_alter_table("tokens", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_tokens_user_id"))
        batch_op.drop_index(batch_op.f("ix_tokens_subscription_id"))
        batch_op.drop_index(batch_op.f("ix_tokens_registration_id"))
        batch_op.drop_index("ix_tokens_expires_at")

    op.drop_table("tokens")
    with op.batch_alter_table("subscriptions", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_subscriptions_event_id_user_id",
            sqlite_where=sa.text("ended_at IS NULL"),
            postgresql_where=sa.text("ended_at IS NULL"),
        )
        batch_op.drop_index("ix_subscriptions_user_id")
        batch_op.drop_index(
            "ix_subscriptions_unconfirmed",
            sqlite_where=sa.text("status = 'pending_confirmation' AND ended_at IS NULL"),
            postgresql_where=sa.text("status = 'pending_confirmation' AND ended_at IS NULL"),
        )
        batch_op.drop_index("ix_subscriptions_event_id")

    op.drop_table("subscriptions")
    with op.batch_alter_table("notifications", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_notifications_idempotency",
            sqlite_where=sa.text("idempotency_key IS NOT NULL"),
            postgresql_where=sa.text("idempotency_key IS NOT NULL"),
        )
        batch_op.drop_index(
            "ix_notifications_open",
            sqlite_where=sa.text("completed_at IS NULL"),
            postgresql_where=sa.text("completed_at IS NULL"),
        )
        batch_op.drop_index("ix_notifications_event_id")

    op.drop_table("notifications")
    with op.batch_alter_table("event_updates", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_event_updates_event_id"))

    op.drop_table("event_updates")
    with op.batch_alter_table("event_tags", schema=None) as batch_op:
        batch_op.drop_index("ix_event_tags_tag")

    op.drop_table("event_tags")
    with op.batch_alter_table("sessions", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sessions_user_id"))

    op.drop_table("sessions")
    with op.batch_alter_table("registrations", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_registrations_user_id"))

    op.drop_table("registrations")
    with op.batch_alter_table("integrations", schema=None) as batch_op:
        batch_op.drop_index(
            "uq_integrations_user_id_url_fingerprint_tag",
            sqlite_where=sa.text("deleted_at IS NULL"),
            postgresql_where=sa.text("deleted_at IS NULL"),
        )
        batch_op.drop_index("ix_integrations_user_id_tag")
        batch_op.drop_index(batch_op.f("ix_integrations_user_id"))

    op.drop_table("integrations")
    with op.batch_alter_table("events", schema=None) as batch_op:
        batch_op.drop_index("ix_events_start_date_id")
        batch_op.drop_index(batch_op.f("ix_events_owner_user_id"))
        batch_op.drop_index(batch_op.f("ix_events_category"))

    op.drop_table("events")
    op.drop_table("users")
    with op.batch_alter_table("outbox", schema=None) as batch_op:
        batch_op.drop_index(
            "ix_outbox_undone",
            sqlite_where=sa.text("done_at IS NULL"),
            postgresql_where=sa.text("done_at IS NULL"),
        )

    op.drop_table("outbox")
    op.drop_table("leases")
    op.drop_table("installation")
