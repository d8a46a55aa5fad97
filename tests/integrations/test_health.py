"""The rules of a channel's health, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soonish.delivery.channels import circuit
from soonish.delivery.channels.circuit import ChannelHealth, Effect
from soonish.delivery.channels.pacing import CHAT, CHAT_RATE, Rates
from soonish.delivery.transports.outcome import Outcome, SendResult
from soonish.kit.rates import Rate, parse_rate

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
OK = SendResult(Outcome.OK)
BROKEN = SendResult(Outcome.CONNECTION, "The connection failed", retryable=True)
WHY = BROKEN.detail


def answered(
    status: int, *, retryable: bool = False, retry_after: float | None = None
) -> SendResult:
    return SendResult(Outcome.REJECTED, "", status, retry_after, retryable)


def bounded_wait(seconds: float | None) -> SendResult:
    return SendResult(Outcome.RATE_LIMITED, "", 429, seconds, retryable=True)


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


@pytest.mark.parametrize(
    ("result", "effect"),
    [
        (OK, Effect.WORKS),
        (BROKEN, Effect.FAILS),
        (SendResult(Outcome.TIMEOUT, retryable=True), Effect.FAILS),
        (answered(500, retryable=True), Effect.FAILS),
        (answered(502, retryable=True, retry_after=9), Effect.FAILS),
        (answered(408, retryable=True), Effect.FAILS),
        (answered(401), Effect.REFUSES),
        (answered(403), Effect.REFUSES),
        (answered(404), Effect.REFUSES),
        (answered(410), Effect.REFUSES),
        (answered(400), Effect.NOTHING),
        (answered(413), Effect.NOTHING),
        (answered(422), Effect.NOTHING),
        (answered(302), Effect.NOTHING),
        (answered(200), Effect.NOTHING),
        (bounded_wait(30), Effect.WAITS),
        (bounded_wait(None), Effect.NOTHING),
        (SendResult(Outcome.INVALID_TARGET), Effect.NOTHING),
        (SendResult(Outcome.BLOCKED_TARGET), Effect.NOTHING),
        (SendResult(Outcome.UNKNOWN), Effect.NOTHING),
    ],
)
def test_what_an_answer_says_about_the_channel(result: SendResult, effect: Effect) -> None:
    assert circuit.effect_of(result) is effect


def test_five_failures_in_a_row_open_the_circuit() -> None:
    state = ChannelHealth()
    for number in range(1, 5):
        state = circuit.after(state, BROKEN, NOW, probe=False)
        assert state == ChannelHealth(fail_streak=number, last_failure=WHY)
    state = circuit.after(state, BROKEN, NOW, probe=False)
    assert state == ChannelHealth(fail_streak=5, open_until=NOW + seconds(30), last_failure=WHY)


def test_a_success_in_between_starts_the_count_again() -> None:
    state = ChannelHealth()
    for result in (BROKEN, BROKEN, BROKEN, BROKEN, OK, BROKEN, BROKEN, BROKEN, BROKEN):
        state = circuit.after(state, result, NOW, probe=False)
    assert (state.fail_streak, state.open_until) == (4, None)


def test_failures_that_began_before_it_opened_do_not_lengthen_the_pause() -> None:
    state = ChannelHealth()
    for _ in range(50):
        state = circuit.after(state, BROKEN, NOW, probe=False)
    assert state == ChannelHealth(fail_streak=5, open_until=NOW + seconds(30), last_failure=WHY)


def test_each_failed_probe_doubles_the_pause_up_to_an_hour() -> None:
    state, now, pauses = ChannelHealth(fail_streak=4), NOW, list[float]()
    state = circuit.after(state, BROKEN, now, probe=False)
    for _ in range(10):
        assert state.open_until
        pauses.append((state.open_until - now).total_seconds())
        now = state.open_until
        state, leave = circuit.acquire(state, None, now)
        assert (leave.granted, leave.probe) == (True, True)
        state = circuit.after(state, BROKEN, now, probe=True)
    assert pauses == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    assert circuit.pause_after(10**6) == timedelta(hours=1)


def test_an_open_circuit_gives_leave_to_nobody_and_then_to_one() -> None:
    state = ChannelHealth(fail_streak=5, open_until=NOW + seconds(30))
    assert circuit.acquire(state, None, NOW) == (
        state,
        circuit.Permit(granted=False, until=NOW + seconds(30)),
    )
    due = NOW + seconds(30)
    state, first = circuit.acquire(state, None, due)
    assert (first.granted, first.probe) == (True, True)
    state, second = circuit.acquire(state, None, due)
    assert (second.granted, second.until) == (False, due + circuit.PROBE)
    # a probe whose worker died is followed by another
    assert circuit.acquire(state, None, due + circuit.PROBE)[1].probe


def test_a_probe_that_succeeds_closes_the_circuit() -> None:
    state, leave = circuit.acquire(ChannelHealth(fail_streak=9, open_until=NOW), None, NOW)
    assert circuit.after(state, OK, NOW, probe=leave.probe) == ChannelHealth()


def test_a_probe_that_is_asked_to_wait_leaves_the_rest_waiting_too() -> None:
    state, _ = circuit.acquire(ChannelHealth(fail_streak=5, open_until=NOW), None, NOW)
    state = circuit.after(state, bounded_wait(300), NOW, probe=True)
    due = NOW + seconds(300)
    assert state == ChannelHealth(not_before=due, fail_streak=5, open_until=due)
    assert circuit.acquire(state, None, due)[1].probe


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_refusal_marks_the_channel_once(status: int) -> None:
    state = circuit.after(ChannelHealth(), answered(status), NOW, probe=False)
    assert state == ChannelHealth(fail_streak=1, failing_since=NOW)
    later = circuit.after(state, answered(status), NOW + seconds(9), probe=False)
    assert later.failing_since == NOW
    assert circuit.after(later, OK, NOW + seconds(10), probe=False).failing_since is None


def test_other_refusals_never_mark_the_channel() -> None:
    for status in (400, 405, 409, 413, 422, 451):
        assert circuit.after(ChannelHealth(), answered(status), NOW, probe=False) == ChannelHealth()


def test_over_an_hour_of_passing_failures_is_failing_too() -> None:
    state, now = ChannelHealth(), NOW
    while state.failing_since is None:
        probe = state.open_until is not None
        now = state.open_until or now
        state = circuit.after(state, BROKEN, now, probe=probe)
    assert now - NOW > timedelta(hours=1)
    assert state.failing_since == now
    assert state.open_until == now + timedelta(hours=1)


def test_five_days_are_too_long() -> None:
    state = ChannelHealth(failing_since=NOW)
    assert not circuit.is_over(ChannelHealth(), NOW)
    assert not circuit.is_over(state, NOW + timedelta(days=5) - seconds(1))
    assert circuit.is_over(state, NOW + timedelta(days=5))


@pytest.mark.parametrize(("asked", "waited"), [(30, 30), (86_400, 900), (0, 1)])
def test_retry_after_holds_the_channel_back(asked: float, waited: float) -> None:
    state = circuit.after(ChannelHealth(fail_streak=2), bounded_wait(asked), NOW, probe=False)
    assert state == ChannelHealth(not_before=NOW + seconds(waited), fail_streak=2)
    assert circuit.acquire(state, None, NOW)[1].until == NOW + seconds(waited)
    assert circuit.acquire(state, None, NOW + seconds(waited))[1].granted


def test_a_shorter_retry_after_does_not_bring_forward_what_was_asked_before() -> None:
    state = circuit.after(ChannelHealth(), bounded_wait(600), NOW, probe=False)
    assert circuit.after(state, bounded_wait(5), NOW, probe=False) == state


def test_three_at_once_then_one_every_ten_seconds() -> None:
    state, granted = ChannelHealth(), list[float]()
    for tick in range(600):  # half a minute in steps of 50 ms
        at = NOW + seconds(tick / 20)
        state, leave = circuit.acquire(state, CHAT_RATE, at)
        if leave.granted:
            granted.append(tick / 20)
        if tick == 0:
            for _ in range(2):
                state, leave = circuit.acquire(state, CHAT_RATE, at)
                granted += [0.0] if leave.granted else []
    assert granted == [0, 0, 0, 10, 20]


@given(
    st.lists(st.floats(0, 30), min_size=1, max_size=80),
    st.integers(1, 5),
    st.sampled_from([1.0, 7.5, 10.0]),
)
def test_no_window_holds_more_than_the_rate_allows(
    gaps: list[float], burst: int, interval: float
) -> None:
    rate, state, now, sent = Rate(seconds(interval), burst), ChannelHealth(), NOW, list[datetime]()
    for gap in gaps:
        now += seconds(gap)
        state, leave = circuit.acquire(state, rate, now)
        if leave.granted:
            sent.append(now)
        else:
            assert leave.until
            assert now < leave.until <= now + seconds(interval)
    for first in range(len(sent)):
        for last in range(first, len(sent)):
            allowed = burst + (sent[last] - sent[first]) / seconds(interval)
            assert last - first + 1 <= allowed + 1e-6


@given(st.lists(st.sampled_from([OK, BROKEN, answered(404), answered(400), bounded_wait(5)])))
def test_any_answers_keep_the_rules(results: list[SendResult]) -> None:
    state, now = ChannelHealth(), NOW
    for result in results:
        state, leave = circuit.acquire(state, None, now)
        if not leave.granted:
            assert leave.until
            now = leave.until
            state, leave = circuit.acquire(state, None, now)
        assert leave.granted
        before = state
        state = circuit.after(state, result, now, probe=leave.probe)
        if result.ok:
            assert state == ChannelHealth(not_before=before.not_before)
        assert (state.open_until is not None) == (state.fail_streak >= 5)
        assert state.open_until is None or state.open_until <= now + timedelta(hours=1)


def test_rates_are_set_by_kind() -> None:
    rates = Rates(["discord=30/5", "json=60", "slack=0", " NTFY = 12 / 2 "])
    assert rates.of("discord") == Rate(seconds(2), 5)
    assert rates.of("json") == Rate(seconds(1), 1)
    assert rates.of("slack") is None
    assert rates.of("ntfy") == Rate(seconds(5), 2)
    assert rates.of("tgram") == CHAT_RATE == Rate(seconds(10), 3)


def test_chat_services_are_paced_and_webhooks_are_not() -> None:
    rates = Rates()
    assert {"discord", "slack", "tgram", "matrix", "mmost", "rocket", "zulip"} <= CHAT
    for kind in ("json", "xml", "form", "ntfy", "gotify", "mailto"):
        assert rates.of(kind) is None


@pytest.mark.parametrize(
    "entry",
    ["discord", "=6/3", "discord=", "discord=six", "json=-1", "json=6/0", "json=6/x", "json=1e9",
     "json=nan", "json=0.0001", "json=6/3/1"],
)  # fmt: skip
def test_a_rate_that_means_nothing_is_refused(entry: str) -> None:
    with pytest.raises(ValueError, match=r"json|discord|=6/3"):
        parse_rate(entry)
