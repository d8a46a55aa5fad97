"""The routing SELECT against the pure rule, on whatever Hypothesis can think of.

See docs/architecture.md#routing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy.ext.asyncio import AsyncSession

from soonish.delivery.ledger.routing import Target, select_targets, targets
from soonish.delivery.transports.outcome import Outcome
from soonish.infra.db.models.accounts import User
from soonish.infra.db.models.events import Event
from soonish.infra.db.models.integrations import Integration
from soonish.infra.db.models.subscriptions import Subscription, SubscriptionSelector
from tests.support.api import ApiClient

AT = datetime(2026, 5, 1, tzinfo=UTC)
USERS, TAGS, URLS = 2, "xyz", "abc"


@dataclass(frozen=True)
class Channel:
    user: int
    url: str
    tag: str
    is_active: bool
    is_deleted: bool


@dataclass(frozen=True)
class Subscribed:
    """`selectors` are indices of channels (of anybody) and tags."""

    user: int
    state: str
    selectors: tuple[int | str, ...]


@dataclass(frozen=True)
class World:
    channels: tuple[Channel, ...]
    subscriptions: tuple[Subscribed, ...]


_users = st.integers(0, USERS - 1)
_channels = st.lists(
    st.builds(
        Channel, _users, st.sampled_from(URLS), st.sampled_from(TAGS), st.booleans(), st.booleans()
    ),
    max_size=6,
    # the database allows one live channel per user, URL and tag
    unique_by=lambda c: (c.user, c.url, c.tag),
)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    channels = draw(_channels)
    picks: st.SearchStrategy[int | str] = st.sampled_from([*range(len(channels)), *TAGS])
    subscriptions = st.lists(
        st.builds(
            Subscribed,
            _users,
            st.sampled_from(("active", "active", "pending_approval", "ended")),
            st.lists(picks, max_size=4, unique=True).map(tuple),
        ),
        max_size=3,
        unique_by=lambda s: (s.user, s.state == "ended"),
    )
    return World(tuple(channels), tuple(draw(subscriptions)))


async def _add(session: AsyncSession, rows: list[Any]) -> list[Any]:
    session.add_all(rows)
    await session.flush()
    return rows


async def _build(session: AsyncSession, world: World) -> dict[int, set[Target]]:
    """Write the world; what the rule says of each of its subscriptions."""
    users = await _add(session, [User(is_verified=True) for _ in range(USERS)])
    fields = {"name": "E", "start_date": AT, "slug": "e-test", "temporal_workflow_id": "e-test"}
    [event] = await _add(session, [Event(owner_user_id=users[0].id, **fields)])
    made = [_integration(users, channel) for channel in world.channels]
    integrations = [(await _add(session, [one]))[0] for one in made]
    expected: dict[int, set[Target]] = {}
    for wanted in world.subscriptions:
        [one] = await _add(session, [_subscription(users, event, wanted)])
        chosen = [_selector(one, integrations, pick) for pick in wanted.selectors]
        if rule := targets(one, await _add(session, chosen), integrations):
            expected[one.id] = rule
    return expected


def _integration(users: list[User], channel: Channel) -> Integration:
    return Integration(
        user_id=users[channel.user].id,
        name="C",
        kind="json",
        target="host",
        url_fingerprint=channel.url,
        tag=channel.tag,
        is_active=channel.is_active,
        deleted_at=AT if channel.is_deleted else None,
    )


def _subscription(users: list[User], event: Event, wanted: Subscribed) -> Subscription:
    ended = wanted.state == "ended"
    return Subscription(
        event_id=event.id,
        user_id=users[wanted.user].id,
        status="active" if ended else wanted.state,
        ended_at=AT if ended else None,
    )


def _selector(
    one: Subscription, integrations: list[Integration], pick: int | str
) -> SubscriptionSelector:
    if isinstance(pick, str):
        return SubscriptionSelector(subscription_id=one.id, tag=pick)
    return SubscriptionSelector(subscription_id=one.id, integration_id=integrations[pick].id)


async def _selected(session: AsyncSession) -> dict[int, set[Target]]:
    found: dict[int, set[Target]] = {}
    rows = (await session.execute(select_targets())).all()
    for subscription_id, _, key, integration_id, outcome in rows:
        target = Target(key, integration_id, Outcome(outcome) if outcome else None)
        assert target not in found.setdefault(subscription_id, set()), "a target twice"
        found[subscription_id].add(target)
    return found


_SHARED = World(
    (Channel(0, "a", "x", True, False), Channel(0, "a", "y", True, False)),
    (Subscribed(0, "active", (0, 1, "x", "y", "z")), Subscribed(1, "active", (0, "x"))),
)


@example(_SHARED)
@given(worlds())
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
async def test_the_select_is_the_rule(scene: ApiClient, world: World) -> None:
    async with AsyncSession(scene.db.engine) as session:
        expected = await _build(session, world)
        assert await _selected(session) == expected
        await session.rollback()


def _channel(number: int, user: int = 1, **fields: Any) -> Integration:
    values = {"url_fingerprint": f"url-{number}", "tag": "x", "is_active": True, **fields}
    return Integration(id=number, user_id=user, **values)


def _active(user: int = 1) -> Subscription:
    return Subscription(id=1, user_id=user, status="active", ended_at=None)


def test_one_url_is_one_target_and_the_oldest_channel_serves_it() -> None:
    selectors = [SubscriptionSelector(id=9, tag="x"), SubscriptionSelector(id=8, integration_id=4)]
    channels = [_channel(4, url_fingerprint="same"), _channel(3, url_fingerprint="same")]
    assert targets(_active(), selectors, channels) == {Target("same", 3)}


def test_nothing_chosen_is_mail_and_nothing_reached_says_why() -> None:
    assert targets(_active(), [], [_channel(1)]) == {Target("mail")}
    selectors = [
        SubscriptionSelector(id=1, tag="off"),
        SubscriptionSelector(id=2, integration_id=7),
        SubscriptionSelector(id=3, integration_id=8),
    ]
    channels = [
        _channel(6, tag="off", is_active=False),
        _channel(7, is_active=False, deleted_at=AT),
        _channel(8, user=2),
    ]
    assert targets(_active(), selectors, channels) == {
        Target("selector:1", None, Outcome.CHANNEL_INACTIVE),
        Target("selector:2", None, Outcome.CHANNEL_GONE),
        Target("selector:3", None, Outcome.CHANNEL_GONE),
    }
