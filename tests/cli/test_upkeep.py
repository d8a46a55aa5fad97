"""Accounts, channels, reminders, outbox and dead letters from the command line."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.config import load_settings
from soonish.domain.accounts.passwords import verify_password
from soonish.infra.db import crypto
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.notifications import Delivery, Notification
from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.models.reminders import Reminder
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from tests.cli.conftest import TEST_EMAIL, CommandLine
from tests.support.http_sink import HttpSink, Reply


def in_database(work: Callable[[AsyncSession], Awaitable[Any]]) -> Any:
    """The result of `work(session)`, committed."""

    async def run() -> Any:
        settings = load_settings()
        crypto.configure(settings)
        db = Database(settings)
        async with db.write() as session:
            result = await work(session)
        await db.close()
        return result

    return asyncio.run(run())


# accounts


def test_an_account_with_a_password(soonish: CommandLine) -> None:
    made = soonish.do(
        "user", "create", "ann@example.com", "--name", "Ann", "--password-stdin",
        stdin="correct horse battery\n",
    )  # fmt: skip
    assert (made["created"], made["is_admin"], made["name"]) == (True, False, "Ann")

    async def look(session: AsyncSession) -> User | None:
        return await session.scalar(select(User).where(User.id == made["id"]))

    user = in_database(look)
    assert user.is_verified
    assert asyncio.run(verify_password("correct horse battery", user.password_hash))[0]


def test_only_the_option_makes_an_administrator(soonish: CommandLine) -> None:
    assert soonish.do("user", "create", "ann@example.com")["is_admin"] is False
    again = soonish("user", "create", "ann@example.com")
    assert (again.code, again.line) == (1, "There is an account with this address already.")
    promoted = soonish.do("user", "create", "ann@example.com", "--admin")
    assert (promoted["created"], promoted["is_admin"]) == (False, True)


def test_a_poor_password_or_address_is_refused(soonish: CommandLine) -> None:
    short = soonish("user", "create", "a@example.com", "--password-stdin", stdin="short\n")
    assert (short.code, short.line) == (1, "password: Use 12 to 128 characters.")
    assert soonish("user", "create", "nonsense").line.startswith("email: ")
    assert soonish("user", "create", "a@b.example", "--name", "a\a").line.startswith("name: ")


# channels


def test_channels_by_tag(soonish: CommandLine, http_sink: HttpSink) -> None:
    user = soonish.do("user", "create", TEST_EMAIL)["id"]
    rows = soonish.do("integration", "add", user, "json://example.com/secret-path", "One,two")
    assert [row["tag"] for row in rows] == ["one", "two"]
    listed = soonish("integration", "list")
    assert "example.com" in listed.out
    assert "secret-path" not in listed.out
    soonish.do("integration", "remove", rows[0]["id"])
    assert [one["id"] for one in soonish.do("integration", "list", TEST_EMAIL)] == [rows[1]["id"]]
    gone = soonish("integration", "remove", rows[0]["id"])
    assert gone.line == f"There is no integration {rows[0]['id']}."
    blocked = soonish("integration", "add", user, http_sink.apprise_url())
    assert blocked.code == 1
    assert blocked.line.startswith("apprise_url: The address is private or local")


def test_a_kind_alone_makes_a_topic_or_asks_for_the_url(soonish: CommandLine) -> None:
    soonish.do("user", "create", TEST_EMAIL)
    assert soonish.do("integration", "add", TEST_EMAIL)[0]["kind"] == "ntfy"
    assert soonish("integration", "add", TEST_EMAIL, "gotify").code == 2


def test_test_messages_arrive(
    soonish: CommandLine, http_sink: HttpSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EGRESS_ALLOWED_NETWORKS", "127.0.0.0/8")
    monkeypatch.delenv("TEST_EMAIL")
    user = soonish.do("user", "create", TEST_EMAIL)["id"]
    http_sink.replies["/bad"] = Reply(status=404)
    good = soonish.do("integration", "add", user, http_sink.apprise_url("/good"), "a", "--verify")
    assert good[0]["is_active"] is True
    assert soonish.do("integration", "test")[0]["outcome"] == "ok"
    assert len(http_sink.at("/good")) == 2
    bad = soonish.do("integration", "add", user, http_sink.apprise_url("/bad"), "a", "--verify")
    assert bad[0]["is_active"] is False
    failed = soonish("integration", "test", bad[0]["id"])
    assert (failed.code, failed.line) == (1, "Not every test message was taken.")


# reminders


def test_reminders_are_listed_checked_and_cleaned(soonish: CommandLine) -> None:
    event_id = soonish.do("event", "create", "Party", "--start", "+3d")["id"]
    listed = soonish.do("reminder", "list", event_id)
    assert [one["state"] for one in listed] == ["waiting", "waiting"]
    assert soonish("reminder", "check").code == 0

    async def forget(session: AsyncSession) -> None:
        long_ago = utc_now() - timedelta(minutes=5)
        await session.execute(update(Reminder).values(armed_at=long_ago))

    in_database(forget)
    broken = soonish("reminder", "check", "--json")
    assert broken.code == 1
    assert {one["problem"] for one in broken.json()} == {"has no schedule"}
    assert broken.line == "2 of 2 reminders are not well."
    assert soonish.do("reminder", "clean", "--dry-run") == {"deleted": [], "dry_run": True}


# outbox


def test_rows_that_were_put_aside_are_tried_again(soonish: CommandLine) -> None:
    soonish.do("event", "create")

    async def put_aside(session: AsyncSession) -> None:
        await session.execute(update(OutboxRow).values(done_at=utc_now(), error="KeyError"))

    in_database(put_aside)
    found = soonish.do("outbox", "status")
    assert (found["undone"], found["failed"][0]["error"]) == ([], "KeyError")
    assert soonish.do("outbox", "poke") == {"streams": 0, "revived": 0}
    assert soonish.do("outbox", "poke", "--failed") == {"streams": 1, "revived": 1}
    again = soonish.do("outbox", "status")
    assert (again["undone"][0]["rows"], again["failed"]) == (1, [])


# dead letters


def test_failed_deliveries_are_listed_and_sent_again(soonish: CommandLine) -> None:
    event_id = soonish.do("event", "create")["id"]
    soonish.do("subscriber", "add", event_id, "someone@example.com")

    async def fail(session: AsyncSession) -> int:
        one = await session.scalar(select(Subscription))
        assert one
        notification = Notification(
            event_id=event_id, kind="manual", title="T", dedup_key="k", completed_at=utc_now()
        )
        session.add(notification)
        await session.flush()
        session.add(
            Delivery(
                notification_id=notification.id,
                user_id=one.user_id,
                subscription_id=one.id,
                target_key="mail",
                state="failed",
                outcome="timeout",
                attempts=3,
            )
        )
        return notification.id

    notification_id = in_database(fail)
    (row,) = soonish.do("delivery", "failed", "--event", event_id)
    assert (row["channel"], row["outcome"], row["attempts"]) == ("mail", "timeout", 3)
    assert row["address"] == "s***@e***.com"
    assert soonish.do("delivery", "retry", notification_id) == {"retried": 1, "expired": []}
    assert soonish.do("delivery", "failed") == []
    assert soonish.do("delivery", "retry")["retried"] == 0
    assert soonish("delivery", "retry", 99).line == "There is no notification 99."
    for command in ("retry", "failed"):
        assert soonish("delivery", command, "--event", 99).line == "There is no event 99."


# retention


def test_maintenance_shows_and_removes_what_is_too_old(soonish: CommandLine) -> None:
    old = utc_now() - timedelta(days=4000)

    async def plant(session: AsyncSession) -> None:
        session.add(OutboxRow(stream="x-1", kind="wake", payload={}, created_at=old, done_at=old))

    in_database(plant)
    planned = {row["rule"]: row for row in soonish.do("maintenance", "run", "--dry-run")}
    assert planned["outbox"] == {"rule": "outbox", "days": 7.0, "rows": 1}
    again = {row["rule"]: row["rows"] for row in soonish.do("maintenance", "run")}
    assert (again["outbox"], again["audit"]) == (1, 0)
    assert {row["rows"] for row in soonish.do("maintenance", "run")} == {0}
    assert "outbox" in soonish("maintenance", "run", "--dry-run").out
