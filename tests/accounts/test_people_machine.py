"""Registering, subscribing, moving, leaving and being erased, in any order, against a model.

On SQLite many runs; on PostgreSQL a few, since a step costs ten times as much there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as run_settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from soonish.config import Settings
from soonish.delivery.ledger import ledger
from soonish.domain.accounts import address_change, registration, sign_in
from soonish.domain.accounts.sign_in import Browser
from soonish.domain.privacy import erasure
from soonish.domain.subscriptions import service as subscriptions
from soonish.domain.subscriptions.anonymous import AnonymousRequest, subscribe_address
from soonish.errors import Gone
from soonish.identity import tokens
from soonish.identity.signed_tokens import LinkClaims
from soonish.identity.tokens import Purpose
from soonish.identity.users import find_by_address
from soonish.infra.db.models.accounts import Registration, Session, User
from soonish.infra.db.models.notifications import Notification
from soonish.infra.db.models.registry import Base
from soonish.infra.db.models.subscriptions import Subscription
from soonish.infra.db.session import Database
from soonish.infra.db.types import utc_now
from soonish.infra.rate_limits.limits import Meter, RateLimits
from tests.support.world import World

ADDRESSES = st.sampled_from(["a@example.org", "b@example.org", "c@example.org"])
EVENTS = st.sampled_from([0, 1])
DATA = st.data()
ORGANIZERS = {"person1@example.com", "person2@example.com"}
_settings: Settings | None = None


class PeopleMachine(RuleBasedStateMachine):
    """`subscribed` says what each address must be subscribed to, whoever has it by now."""

    def __init__(self) -> None:
        super().__init__()
        assert _settings is not None
        self.loop = asyncio.new_event_loop()
        self.world = World(Database(_settings), _settings)
        self.run(self.empty())
        self.meter = Meter(RateLimits(_settings))
        self.events = [self.run(self.world.event()) for _ in range(2)]
        self.subscribed: dict[str, set[int]] = {}
        self.mailed: list[tuple[str, str, str]] = []  # token, purpose, the address it was sent to
        self.links: list[LinkClaims] = []
        self.proven: set[int] = set()  # users whose address was proven by a mailed token
        self.erased: set[int] = set()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.loop.run_until_complete(work)

    async def empty(self) -> None:
        async with self.world.db.write() as session:
            for table in reversed(Base.metadata.sorted_tables):
                await session.execute(text(f"DELETE FROM {table.name}"))  # noqa: S608 (our names)

    def write(self, function: Any, *arguments: Any, **named: Any) -> Any:
        async def call() -> Any:
            async with self.world.db.write() as session:
                return await function(session, *arguments, **named)

        return self.run(call())

    def user(self, address: str) -> User | None:
        return self.write(find_by_address, address)

    def accounts(self) -> list[User]:
        """Whoever is signed in somewhere."""
        live = [s.user_id for s in self.run(self.world.rows(Session)) if s.ended_at is None]
        return [user for user in self.run(self.world.rows(User)) if user.id in live]

    def known(self, address: str) -> set[int]:
        return self.subscribed.setdefault(address, set())

    # what people do

    @rule(address=ADDRESSES)
    def register(self, address: str) -> None:
        self.run(
            sign_in.register(
                self.world.db, self.meter, email=address, password="correct horse battery"
            )
        )
        self.known(address)
        self.mail_claims()

    @rule(address=ADDRESSES)
    def ask_for_a_link(self, address: str) -> None:
        user = self.user(address)
        if user is not None:
            token = self.write(tokens.issue, Purpose.MAGIC_LINK, user.id)
            self.mailed.append((token, Purpose.MAGIC_LINK, address))

    @initialize(address=ADDRESSES)
    def somebody_is_signed_in(self, address: str) -> None:
        self.register(address)
        self.follow_the_newest_link()

    @rule(address=ADDRESSES, number=EVENTS)
    def subscribe(self, address: str, number: int) -> None:
        self.run(self.subscribing(address, number))
        self.note_subscription(address, number)

    async def subscribing(self, address: str, number: int) -> None:
        async with self.world.db.write() as session:
            wanted = AnonymousRequest(self.events[number].id, address)
            await subscribe_address(session, wanted, utc_now(), double_opt_in=False)

    def note_subscription(self, address: str, number: int) -> None:
        self.known(address).add(number)
        user = self.user(address)
        assert user is not None
        event_id = self.events[number].id
        self.links.append(
            LinkClaims(
                event_id=event_id, user_id=user.id, epoch=user.token_epoch, issued_at=utc_now()
            )
        )

    @precondition(lambda self: self.accounts())
    @rule(address=ADDRESSES, data=DATA)
    def ask_to_move(self, address: str, data: Any) -> None:
        user = data.draw(st.sampled_from(self.accounts()))
        self.write(address_change.claim_address, user, address)
        self.known(address)
        self.mail_claims()

    @precondition(lambda self: self.accounts())
    @rule(address=ADDRESSES, data=DATA)
    def move(self, address: str, data: Any) -> None:
        """Ask, and follow the link that is mailed, if one is."""
        before = len(self.mailed)
        self.ask_to_move(address, data)
        if len(self.mailed) > before:
            self.follow_the_newest_link()

    @precondition(lambda self: self.mailed)
    @rule(data=DATA, twice=st.booleans())
    def follow_a_mailed_link(self, data: Any, twice: bool) -> None:
        """One of the last links, used or not; perhaps from two windows at once."""
        self.follow(*data.draw(st.sampled_from(self.mailed[-8:])), times=2 if twice else 1)

    @precondition(lambda self: self.mailed)
    @rule()
    def follow_the_newest_link(self) -> None:
        self.follow(*self.mailed[-1])

    def follow(self, token: str, purpose: str, address: str, times: int = 1) -> None:
        before = self.claimant_of(token) if purpose == Purpose.NEW_EMAIL else None
        made = self.run(self.verifying(token, times))
        assert len(made) <= 1, "one link has signed in twice"
        for user in made:
            assert self.proves(user, address), "somebody else's address was proven"
            self.proven.add(user.id)
            if before is not None:
                self.note_move(before, address)

    async def verifying(self, token: str, times: int) -> list[User]:
        async def once() -> User | None:
            try:
                made = await sign_in.verify(
                    self.world.db, self.world.settings, Browser("here"), token=token
                )
            except Gone:
                return None
            return made.user

        found = await asyncio.gather(*(once() for _ in range(times)))
        return [user for user in found if user is not None]

    @rule(address=ADDRESSES, number=EVENTS)
    def register_and_subscribe_at_once(self, address: str, number: int) -> None:
        async def both() -> None:
            await asyncio.gather(
                sign_in.register(self.world.db, self.meter, email=address),
                self.subscribing(address, number),
            )

        self.run(both())
        self.note_subscription(address, number)
        self.mail_claims()

    @precondition(lambda self: self.links)
    @rule(data=DATA)
    def unsubscribe_by_mail(self, data: Any) -> None:
        claims = data.draw(st.sampled_from(self.links))
        try:
            _, user = self.write(subscriptions.token_subject, claims)
        except Gone:
            return
        self.write(subscriptions.unsubscribe, claims, utc_now())
        number = [event.id for event in self.events].index(claims.event_id)
        self.known(user.email).discard(number)

    @precondition(lambda self: self.accounts())
    @rule(data=DATA)
    def be_erased(self, data: Any) -> None:
        user = data.draw(st.sampled_from(self.accounts()))
        self.write(erasure.erase, user.id, utc_now())
        del self.subscribed[user.email]
        self.erased.add(user.id)

    # what workflows do

    def mail_claims(self) -> None:
        """The mail of each registration, to whoever has the address now."""
        for row in self.run(self.world.rows(Registration)):
            self.write(registration.send_mail, row.workflow_id, "http://localhost")
            moves = row.claimant_user_id is not None
            purpose = Purpose.NEW_EMAIL if moves else Purpose.VERIFICATION
            user = next(u for u in self.run(self.world.rows(User)) if u.id == row.user_id)
            if row.completed_at is None and user.email and not user.is_verified:
                token = self.write(tokens.issue, purpose, user.id, registration_id=row.id)
                self.mailed.append((token, purpose, user.email))

    @rule()
    def deliver(self) -> None:
        """Whatever waits; a mail goes to a living address or nowhere."""
        for event in self.events:
            self.run(self.world.advance(event))
        users = {user.id: user for user in self.run(self.world.rows(User))}
        for notification in self.run(self.world.rows(Notification)):
            rows = self.write(ledger.claim, notification.id, "w:1", limit=99, now=utc_now())
            for row in rows:
                assert row.user_id not in self.erased, "something is sent to somebody erased"
                address = users[row.user_id].email
                assert address is None or address in self.subscribed or address in ORGANIZERS
            self.write(ledger.mark_sent, [row.id for row in rows], "w:1", utc_now())

    # the model

    def claimant_of(self, token: str) -> str | None:
        """The address of the account that asked to move, while the link is good."""

        async def find() -> str | None:
            async with self.world.db.read() as session:
                try:
                    row = await tokens.find(session, (Purpose.NEW_EMAIL,), token)
                except Gone:
                    return None
                claim = await session.get_one(Registration, row.registration_id)
                claimant = await session.get_one(User, claim.claimant_user_id)
                return claimant.email

        return self.run(find())

    def proves(self, user: User, address: str) -> bool:
        found = self.user(address)
        return found is not None and found.id == user.id

    def note_move(self, old: str, new: str) -> None:
        """Both's subscriptions are the account's now; the old address begins anew."""
        self.subscribed[new] = self.known(new) | self.subscribed.pop(old)
        self.known(old)

    @invariant()
    def one_row_for_each_address(self) -> None:
        found = Counter(user.email for user in self.run(self.world.rows(User)) if user.email)
        ours = {address: n for address, n in found.items() if address.endswith("@example.org")}
        assert ours == dict.fromkeys(self.subscribed, 1)

    @invariant()
    def no_subscription_is_lost_or_doubled(self) -> None:
        users = {user.id: user.email for user in self.run(self.world.rows(User))}
        numbers = {event.id: number for number, event in enumerate(self.events)}
        live = [one for one in self.run(self.world.rows(Subscription)) if one.ended_at is None]
        found = Counter((users[one.user_id], numbers[one.event_id]) for one in live)
        wanted = {(address, n) for address, known in self.subscribed.items() for n in known}
        assert found == Counter(wanted)

    @invariant()
    def nobody_is_signed_in_without_proof(self) -> None:
        for user in self.accounts():
            assert user.id in self.proven
            assert user.is_verified
            assert user.erased_at is None

    @invariant()
    def nobody_erased_has_anything(self) -> None:
        for user in self.run(self.world.rows(User)):
            if user.id in self.erased:
                assert (user.email, user.name, user.password_hash) == (None, None, None)

    def teardown(self) -> None:
        self.run(self.world.db.close())
        self.loop.close()


def test_any_order_of_what_people_do(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    global _settings
    _settings = settings
    monkeypatch.setattr(sign_in, "_SAME_SECONDS", 0.0)  # timing is not what is looked at here
    monkeypatch.setattr("soonish.domain.accounts.passwords.hash_password", _no_hash)
    examples, steps = (40, 30) if settings.is_sqlite else (6, 20)
    run_state_machine_as_test(
        PeopleMachine,
        settings=run_settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            phases=[Phase.generate],  # a shorter example would take many minutes to find
        ),
    )


async def _no_hash(password: str) -> str:
    """Argon2 takes its time, on purpose."""
    return f"hash of {password}"
