"""Events and their subscribers from the command line, on a real database and a real Temporal."""

from __future__ import annotations

import pytest

from tests.cli.conftest import TEST_EMAIL, CommandLine
from tests.support.ports import free_port


def test_an_event_is_made_for_test_email_and_its_workflow_starts(soonish: CommandLine) -> None:
    event = soonish.do("event", "create", "Party", "--start", "+3h", "--tag", "Fun")
    assert (event["name"], event["status"], event["tags"]) == ("Party", "scheduled", ["fun"])
    made = soonish("event", "list")
    assert made.code == 0
    assert "Party" in made.out
    waiting = soonish.do("outbox", "status")["undone"]
    assert [row["error"] for row in waiting] == [None]


def test_an_event_lives_its_life(soonish: CommandLine) -> None:
    event_id = soonish.do("event", "create")["id"]
    changed = soonish.do("event", "update", event_id, "New name", "--location", "Upstairs")
    assert (changed["name"], changed["location"]) == ("New name", "Upstairs")
    cancelled = soonish.do("event", "cancel", event_id)
    assert cancelled["status"] == "cancelled"
    assert soonish.do("event", "list") == []
    assert [one["id"] for one in soonish.do("event", "list", "--past")] == [event_id]
    again = soonish("event", "update", event_id, "Too late")
    assert (again.code, again.line) == (1, "This event is cancelled.")


def test_a_message_with_a_key_is_sent_once(soonish: CommandLine) -> None:
    event_id = soonish.do("event", "create")["id"]
    soonish.do("subscriber", "add", event_id, "a@example.com")
    soonish.do("subscriber", "add", event_id, "b@example.com")
    first = soonish.do("event", "notify", event_id, "Hello", "Text", "--key", "k1")
    again = soonish.do("event", "notify", event_id, "Hello", "Text", "--key", "k1")
    assert first == again
    assert first["audience"] == 2
    other = soonish("event", "notify", event_id, "Other", "Text", "--key", "k1")
    assert other.code == 1
    assert "Idempotency-Key" in other.line
    one = soonish.do("subscriber", "list", event_id)[0]["id"]
    chosen = soonish.do("event", "notify", event_id, "You", "Text", "--subscription", one)
    assert chosen["audience"] == 1
    shown = soonish.do("event", "show", event_id)["notifications"]
    assert sorted(n["id"] for n in shown) == [first["notification_id"], chosen["notification_id"]]


def test_subscribers_come_and_go(soonish: CommandLine) -> None:
    event_id = soonish.do("event", "create")["id"]
    added = soonish.do("subscriber", "add", event_id)
    assert (added["email"], added["new"]) == (TEST_EMAIL, True)
    assert soonish.do("subscriber", "add", event_id)["new"] is False
    listed = soonish.do("event", "subscribers", event_id)
    assert [(s["address"], s["channels"]) for s in listed] == [(TEST_EMAIL, ["mail"])]
    assert soonish.do("subscriber", "remove", event_id)["subscription_id"] == listed[0]["id"]
    gone = soonish("subscriber", "remove", event_id)
    assert (gone.code, gone.line) == (1, f"{TEST_EMAIL} is not subscribed to event {event_id}.")


def test_with_double_opt_in_an_address_is_asked(
    soonish: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANONYMOUS_OPT_IN", "double")
    event_id = soonish.do("event", "create")["id"]
    added = soonish.do("subscriber", "add", event_id)
    assert (added["status"], added["subscription_id"]) == ("pending_confirmation", None)
    told = soonish("subscriber", "add", event_id)
    assert "is asked by mail to confirm" in told.out
    assert soonish.do("subscriber", "list", event_id) == []
    assert soonish("subscriber", "remove", event_id).code == 1


def test_a_subscriber_is_reached_by_tags(soonish: CommandLine) -> None:
    event_id = soonish.do("event", "create")["id"]
    soonish.do("integration", "add", TEST_EMAIL, "json://example.com/a", "chat")
    soonish.do("subscriber", "add", event_id, TEST_EMAIL, "chat")
    assert soonish.do("subscriber", "list", event_id)[0]["channels"] == ["json"]
    wrong = soonish("subscriber", "add", event_id, TEST_EMAIL, "nothing")
    assert wrong.code == 1
    assert wrong.line.startswith("tags: ")


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("create", "X", "--start", "tomorrow"), "start_date"),
        (("create", "X", "--start", "2030-01-01T10:00:00"), "start_date"),
        (("create", "X", "--start", "2020-01-01T10:00:00Z"), "start_date"),
        (("create", ""), "name"),
        (("create", "X", "--timezone", "Mars/Base"), "timezone"),
        (("create", "X", "--start", "+2h", "--end", "+1h"), "end_date"),
    ],
)
def test_wrong_input_is_one_line_with_the_field(
    soonish: CommandLine, words: tuple[str, ...], field: str
) -> None:
    made = soonish("event", *words)
    assert made.code == 1
    assert made.line.startswith(f"{field}: ")


def test_what_is_not_there_is_said(soonish: CommandLine) -> None:
    for words in (("show", 9), ("update", 9, "X"), ("cancel", 9), ("subscribers", 9)):
        made = soonish("event", *words)
        assert (made.code, made.line) == (1, "There is no event 9.")
    nobody = soonish("event", "create", "X", "--owner", "nobody@example.com")
    assert nobody.line.startswith("There is no account for nobody@example.com.")


def test_wrong_usage_is_2(soonish: CommandLine) -> None:
    for words in (("show",), ("show", "x"), ("update", 1), ("dance",)):
        assert soonish("event", *words).code == 2


def test_without_temporal_the_work_waits(
    soonish: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = soonish.home
    monkeypatch.setenv("TEMPORAL_URL", f"127.0.0.1:{free_port()}")
    made = CommandLine(there)("event", "create", "Party")
    assert made.code == 0
    assert made.line.startswith("Temporal does not answer; the work is kept in the outbox")
    (waiting,) = soonish.do("outbox", "status")["undone"]
    assert (waiting["kind"], waiting["rows"]) == ("wake", 1)
    for words in (("reminder", "check"), ("reminder", "clean")):
        failed = soonish(*words)
        assert failed.code == 1
        assert failed.line.startswith("Temporal does not answer at 127.0.0.1:")
