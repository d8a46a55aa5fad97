"""Which reminders there should be: the pure part."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from soonish.domain.reminders.plan import Existing, PlannedReminder, compare, next_countdown

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOUR = 3600


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


def test_a_countdown_goes_from_its_first_instant_until_before_the_start() -> None:
    start = NOW + seconds(4 * HOUR)
    instants: list[datetime] = []
    after = NOW - seconds(HOUR)
    while (due := next_countdown(start, 3 * HOUR, HOUR, after)) is not None:
        instants.append(due)
        after = due
    assert instants == [start - seconds(n * HOUR) for n in (3, 2, 1)]


@given(st.integers(60, 10**7), st.integers(3600, 10**6), st.integers(-(10**7), 10**7))
def test_the_next_instant_is_the_first_of_the_series_after_now(
    from_seconds: int, every: int, after_seconds: int
) -> None:
    after = NOW + seconds(after_seconds)
    due = next_countdown(NOW, from_seconds, every, after)
    first = NOW - seconds(from_seconds)
    series = [first + seconds(n * every) for n in range(from_seconds // every + 2)]
    later = [one for one in series if after < one < NOW]
    assert due == (later[0] if later else None)


def wanted(offset: int, anchor: datetime, every: int | None = None) -> PlannedReminder:
    due = anchor - seconds(offset)
    return PlannedReminder(f"r-{offset}", None, "start", offset, anchor, due, every)


def row(one: PlannedReminder, number: int, removed: bool = False) -> Existing:
    at = NOW if removed else None
    return Existing(
        number, one.schedule_id, one.anchor_at, one.offset_seconds, one.every_seconds, at
    )


_anchors = st.sampled_from([NOW + seconds(n * HOUR) for n in (0, 1, 2, 48)])
_wanted = st.lists(
    st.builds(wanted, st.sampled_from((60, HOUR, 86_400)), _anchors),
    max_size=3,
    unique_by=lambda one: one.schedule_id,
)


@given(_wanted, _wanted, st.booleans())
def test_what_is_wanted_is_what_stands(
    before: list[PlannedReminder], after: list[PlannedReminder], removed: bool
) -> None:
    rows = [row(one, n, removed) for n, one in enumerate(before)]
    changes = compare(rows, after, NOW)
    standing = {r.id: one for r, one in zip(rows, before, strict=True) if r.removed_at is None}
    untouched = {n: w for n, w in standing.items() if n not in changes.remove} | changes.move
    result = sorted([*untouched.values(), *changes.make], key=lambda w: w.schedule_id)
    for one in result:
        assert one in after
        assert one.due_at > NOW or one in standing.values()
    for one in after:
        if one.due_at > NOW:
            assert one in result
    assert not set(changes.remove) & set(changes.move)


@given(_wanted)
def test_planning_again_changes_nothing(made: list[PlannedReminder]) -> None:
    assert not compare([row(one, n) for n, one in enumerate(made)], made, NOW)
