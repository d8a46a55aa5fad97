"""A database backup restored, and the Temporal store lost, while work is under way."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Generator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from soonish.infra.db.types import utc_now
from tests.chaos.conftest import Figures
from tests.chaos.ledger_file import paths_sent, query
from tests.e2e.crowd import Crowd, gather
from tests.e2e.people import Person, instant, z
from tests.e2e.test_lost_store import delete_temporal_store
from tests.support.http_sink import HttpSink, Reply, serve_http
from tests.support.system import SoonishSystem
from tests.support.wait import wait_for

pytestmark = [pytest.mark.chaos, pytest.mark.system, pytest.mark.xdist_group("system")]
PEOPLE = 600
OFFSET = 600  # of the reminders; a late one is still before the start
REPAIR_SECONDS = 180.0  # reconcile takes what is a minute old, twice a minute


@pytest.fixture
def sink() -> Generator[HttpSink]:
    with serve_http() as made:
        made.default = Reply(delay=0.3)
        yield made


@pytest.fixture
def system(tmp_path: Path) -> Generator[SoonishSystem]:
    with SoonishSystem(tmp_path / "home") as made:
        yield made


class Reminded:
    """One member, with reminders of events that are due one after the other."""

    def __init__(self, system: SoonishSystem, sink: HttpSink, name: str) -> None:
        self.sink, self.path = sink, f"/{name}"
        self.person = Person(system, name).sign_up()
        self.person.add_channel(sink.apprise_url(self.path), "chat")
        self.due: dict[str, datetime] = {}

    def expect(self, organizer: Person, name: str, in_seconds: int) -> None:
        due = instant(seconds=in_seconds)
        event = organizer.create_event(name, start_date=z(due + timedelta(seconds=OFFSET)))
        self.person.subscribe(event, tags=["chat"])
        path = f"/api/events/{event['id']}/reminders"
        self.person.ask("PUT", path, json={"offset_seconds": [OFFSET]}, expect=200)
        self.due[name] = due

    def heard(self) -> Counter[str]:
        """How often the reminder of each event came."""
        titles = [r.json()["title"] for r in self.sink.at(self.path)]
        return Counter(title.partition(" starts ")[0] for title in titles if " starts " in title)


def reminders_sent(database: Path) -> set[str]:
    """The events whose reminder the database knows as sent."""
    rows = query(
        database,
        "SELECT e.name FROM notifications n JOIN events e ON e.id = n.event_id"
        " JOIN deliveries d ON d.notification_id = n.id"
        " WHERE n.kind = 'reminder' AND d.state = 'sent'",
    )
    return {str(name) for (name,) in rows}


def set_aside(home: Path, folder: Path) -> None:
    """Copy the database of a system that was stopped."""
    folder.mkdir()
    for path in home.glob("soonish.db*"):
        shutil.copy2(path, folder)


def put_back(home: Path, folder: Path) -> None:
    for path in home.glob("soonish.db*"):
        path.unlink()
    for path in folder.iterdir():
        shutil.copy2(path, home)


def test_a_backup_restored_while_messages_and_reminders_are_under_way(
    system: SoonishSystem, sink: HttpSink, tmp_path: Path, figures: Figures
) -> None:
    """What the backup knew as sent is not sent again; everything else comes, exactly once more."""
    crowd, member = gather(system, sink, PEOPLE), Reminded(system, sink, "mia")
    wait_for(lambda: "chat" in str(member.person.ask("GET", "/api/integrations")), 10)
    for name, seconds in (("Early", 5), ("Between", 45), ("Late", 120)):
        member.expect(crowd.organizer, name, seconds)
    wait_for(lambda: member.heard()["Early"], 60, "the first reminder")
    told = crowd.organizer.notify(crowd.event, "Under way")
    wait_for(lambda: len(crowd.hits("Under way")) >= 50, 30, "the broadcast to begin")
    system.stop()
    set_aside(system.home, backup := tmp_path / "backup")
    knew = paths_sent(backup / "soonish.db", system.home, "Under way")
    knew_reminders = reminders_sent(backup / "soonish.db")
    assert 50 <= len(knew) < PEOPLE, "the backup must be made in the middle of the broadcast"
    assert knew_reminders == {"Early"}

    system.start()
    crowd.everybody_has("Under way", 120)
    wait_for(lambda: member.heard()["Between"], 120, "the second reminder")
    assert utc_now() < member.due["Late"], "too slow to restore before the third reminder"
    system.stop()
    before, heard = crowd.hits("Under way"), member.heard()
    assert set(before.values()) == {1}

    put_back(system.home, backup)
    system.start()
    crowd.ledger_says_sent(told["notification_id"], REPAIR_SECONDS)
    wanted = {"Early": 1, "Between": 2, "Late": 1}
    wait_for(lambda: member.heard() == wanted, REPAIR_SECONDS, f"reminders: {wanted}")
    after = crowd.hits("Under way")
    figures(
        messages=PEOPLE + 3,
        lost=PEOPLE - len(after),
        duplicates=sum(after[path] - 1 for path in knew),
        in_flight=PEOPLE - len(knew) + 1,
    )
    assert {after[path] for path in knew} == {1}
    assert {count for path, count in after.items() if path not in knew} == {2}
    assert heard == {"Early": 1, "Between": 1}


def test_the_temporal_store_lost_while_messages_and_reminders_are_under_way(
    system: SoonishSystem, sink: HttpSink, figures: Figures
) -> None:
    crowd, member = gather(system, sink, PEOPLE), Reminded(system, sink, "nia")
    for name, seconds in (("Early", 5), ("Late", 60)):
        member.expect(crowd.organizer, name, seconds)
    wait_for(lambda: member.heard()["Early"], 60, "the first reminder")
    told = crowd.organizer.notify(crowd.event, "Under way")
    wait_for(lambda: len(crowd.hits("Under way")) >= 50, 30, "the broadcast to begin")
    system.stop()
    in_flight = PEOPLE - len(crowd.hits("Under way"))
    assert in_flight > 0
    delete_temporal_store(system)
    system.start()
    lost_nothing(crowd, told["notification_id"])
    wanted = {"Early": 1, "Late": 1}
    wait_for(lambda: member.heard() == wanted, REPAIR_SECONDS, f"reminders: {wanted}")
    hits = crowd.hits("Under way")
    duplicates = sum(hits.values()) - len(hits)
    figures(messages=PEOPLE + 2, duplicates=duplicates, in_flight=in_flight)
    assert duplicates == 0


def lost_nothing(crowd: Crowd, notification_id: int) -> None:
    crowd.everybody_has("Under way", REPAIR_SECONDS)
    crowd.ledger_says_sent(notification_id)
