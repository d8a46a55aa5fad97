"""Writing to the outbox and taking from it."""

from __future__ import annotations

import pytest

from soonish.infra.db.models.outbox import OutboxRow
from soonish.infra.db.types import utc_now
from soonish.infra.outbox import service as outbox
from soonish.infra.outbox import streams
from soonish.infra.outbox.streams import workflow_of
from tests.support.world import World


async def test_undone_rows_in_order_and_only_ones_own(world: World) -> None:
    async with world.db.write() as session:
        for stream in ("a", "b", "a"):
            outbox.add(session, stream, "wake", {"n": stream})
    async with world.db.write() as session:
        rows = await outbox.undone(session, "a")
        assert [row.stream for row in rows] == ["a", "a"]
        assert rows[0].id < rows[1].id
        assert [row.id for row in await outbox.undone(session, "a", limit=1)] == [rows[0].id]
        outbox.finish_rows(rows[:1], utc_now())
    async with world.db.write() as session:
        assert [row.id for row in await outbox.undone(session, "a")] == [rows[1].id]


async def test_no_more_than_an_advance_takes(world: World) -> None:
    async with world.db.write() as session:
        session.add_all(OutboxRow(stream="a", kind="wake", payload={}) for _ in range(510))
    async with world.db.write() as session:
        assert len(await outbox.undone(session, "a")) == outbox.TAKE == 500


async def test_finish_marks_all_of_a_stream(world: World) -> None:
    async with world.db.write() as session:
        for stream in ("a", "a", "b"):
            outbox.add(session, stream, "wake", {})
    async with world.db.write() as session:
        await outbox.finish(session, "a")
    assert [row.stream for row in await world.rows(OutboxRow, OutboxRow.done_at.is_(None))] == ["b"]


def test_streams_say_which_workflow_they_are() -> None:
    found = {
        stream: workflow_of(stream)
        for stream in (streams.event(3), streams.broadcast(4), streams.remind_me(5),
                       streams.verification(6), streams.session(7))
    }  # fmt: skip
    assert [name for name, _ in found.values()] == [
        "EventWorkflow", "BroadcastWorkflow", "AdhocReminderWorkflow", "UserVerificationWorkflow",
        "SessionWorkflow",
    ]  # fmt: skip
    arguments = [argument for _, argument in found.values()]
    assert [getattr(arguments[n], field) for n, field in enumerate(
        ("event_id", "notification_id", "remind_me_id", "user_id", "session_id")
    )] == [3, 4, 5, 6, 7]  # fmt: skip
    for stream in ("", "something-1", "event-x-1"):
        with pytest.raises(ValueError, match=r"x|called"):
            workflow_of(stream)
