"""When a failed try is made again: pure functions of the answer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from soonish.delivery.ledger.retry import next_attempt_at
from soonish.delivery.transports.outcome import Outcome, SendResult

NOW = datetime(2026, 11, 23, tzinfo=UTC)
BROKEN = SendResult(Outcome.TIMEOUT, retryable=True)


def seconds(attempts: int, result: SendResult, seed: int = 1) -> float | None:
    at = next_attempt_at(attempts, result, NOW, seed=seed)
    return None if at is None else (at - NOW) / timedelta(seconds=1)


def test_ten_seconds_then_two_minutes_then_no_more() -> None:
    for seed in range(200):
        first, second = seconds(0, BROKEN, seed), seconds(1, BROKEN, seed)
        assert first is not None
        assert second is not None
        assert 8 <= first <= 12
        assert 96 <= second <= 144
        assert seconds(2, BROKEN, seed) is None


def test_rows_do_not_come_back_all_at_once_but_each_at_its_own_time() -> None:
    assert len({seconds(0, BROKEN, seed) for seed in range(100)}) > 90
    assert seconds(0, BROKEN, 7) == seconds(0, BROKEN, 7)


def test_what_is_final_is_final() -> None:
    assert seconds(0, SendResult(Outcome.REJECTED, status=404)) is None
    assert seconds(0, SendResult(Outcome.REJECTED, status=404, retry_after=5)) is None


@pytest.mark.parametrize("attempts", [0, 1, 2, 50])
@pytest.mark.parametrize(("asked", "waited"), [(30, 30), (0, 1), (-5, 1), (1e9, 900)])
def test_what_the_other_side_asks_for_is_waited_for(
    attempts: int, asked: float, waited: float
) -> None:
    busy = SendResult(Outcome.RATE_LIMITED, status=429, retry_after=asked, retryable=True)
    assert seconds(attempts, busy) == waited
