"""Whatever is sent to the API: a 4xx that names the field, no traceback, no secret in the log."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import httpx2
import pytest

from tests.e2e.bad_input import Case, Operation, cases, fill, operations
from tests.e2e.people import Person
from tests.support.system import SoonishSystem

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]
MARKER = "mk5ecretm4rker"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[SoonishSystem]:
    home = tmp_path_factory.mktemp("home")
    with SoonishSystem(home, WORKERS="1", RATE_LIMITS_ENABLED="false") as running:
        yield running
        assert "Traceback" not in running.output
        assert "request_failed" not in running.output
        assert MARKER not in running.output


ERASE = "DELETE /api/users/me"


@pytest.fixture(scope="module")
def organizer(system: SoonishSystem) -> Person:
    return Person(system, "olga").sign_up()


@pytest.fixture(scope="module")
def client(system: SoonishSystem, organizer: Person) -> Generator[httpx2.Client]:
    headers = {"Authorization": f"Bearer {organizer.token}"}
    with httpx2.Client(base_url=system.base_url, headers=headers, timeout=30) as made:
        yield made


@pytest.fixture(scope="module")
def ids(organizer: Person) -> dict[str, Any]:
    """Path parameters that exist, so that every request gets as far as it can."""
    event = organizer.create_event("Target practice")
    organizer.subscribe(event)
    told = organizer.notify(event, "Here we are", subscription_ids=[])
    channel = organizer.add_channel("json://example.org/hook", "all")
    return {
        "event_id": event["id"],
        "notification_id": told["notification_id"],
        "integration_id": channel,
        "subscription_id": next(iter(organizer.subscription_ids(event).values())),
    }


@pytest.fixture(scope="module")
def api(client: httpx2.Client) -> list[Operation]:
    found = operations(client.get("/api/openapi.json").json())
    assert len(found) > 30
    return found


def problems_of(case: Case, answer: httpx2.Response) -> list[str]:
    """What is wrong with the answer; to who is no administrator, nothing of theirs exists."""
    administration = case.operation.path.startswith("/api/admin")
    expected = (*case.status, 404) if administration else case.status
    if answer.status_code not in expected:
        return [f"{answer.status_code} instead of {expected}: {answer.text[:200]}"]
    if answer.headers["content-type"] != "application/problem+json":
        return [f"is {answer.headers['content-type']}"]
    found = answer.json()
    missing = {"type", "title", "status", "detail", "code"} - found.keys()
    if missing or found["status"] != answer.status_code:
        return [f"is no problem document: {answer.text[:200]}"]
    if answer.status_code != 422:
        return []
    named = [error["field"] for error in found.get("errors", [])]
    if not named or not all(named):
        return [f"names no field: {answer.text[:200]}"]
    if case.fields and not any(n.split(".")[0] in case.fields for n in named):
        return [f"names {named} instead of {case.fields}"]
    return []


def test_every_route_refuses_bad_input(
    client: httpx2.Client, api: list[Operation], ids: dict[str, Any]
) -> None:
    wrong: list[str] = []
    tried = 0
    for operation in api:
        for case in cases(operation, ids):
            if str(operation) == ERASE and case.content in (b"", b"null"):
                continue  # soon after signing in it is a good one
            answer = client.request(
                operation.method, case.path, content=case.content, headers=case.headers
            )
            tried += 1
            wrong += [f"{operation} ({case.why}): {p}" for p in problems_of(case, answer)]
    assert tried > 1000
    assert not wrong, "\n" + "\n".join(wrong)


def test_every_route_survives_strange_headers(
    system: SoonishSystem, api: list[Operation], ids: dict[str, Any]
) -> None:
    """Without credentials, with bad ones, and with headers of no sense: never a 500."""
    strange = [
        {},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer a.b.c"},
        {"Authorization": "Basic %%%"},
        {"Authorization": "Bearer \xff".encode("latin-1")},
        {"Cookie": "soonish_session=" + "x" * 4000},
        {"Cookie": 'soonish_session="; =; ;;'},
        {"Cookie": "soonish_session=x", "Sec-Fetch-Site": "cross-site"},
        {"X-Manage-Token": "nonsense"},
        {"X-Manage-Token": "x" * 10_000},
        {"Idempotency-Key": "k" * 10_000},
        {"Idempotency-Key": "\xe9".encode("latin-1")},
        {"Accept": "text/html;q=x", "HX-Request": "true"},
        {"Content-Length": "0", "Content-Type": "multipart/form-data"},
        {"Content-Type": "application/json; charset=utf-16"},
    ]
    wrong: list[str] = []
    with httpx2.Client(base_url=system.base_url, timeout=30) as client:
        for operation in api:
            if operation.path.endswith("/logout"):
                continue
            path = fill(operation.path, ids)
            for headers in strange:
                answer = client.request(operation.method, path, headers=headers)
                if answer.status_code >= 500 and "/health" not in path:
                    wrong.append(f"{operation} {headers}: {answer.status_code}")
    assert not wrong, "\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/api/auth/register", {"email": "nobody"}, "email"),
        ("POST", "/api/auth/register", {"email": "a@b@c.org"}, "email"),
        ("POST", "/api/auth/register", {"email": "a@example.org\nBcc: x@y.org"}, "email"),
        ("POST", "/api/auth/register", {"email": "a@example.org", "password": "short"}, "password"),
        ("POST", "/api/events", {"name": " ", "start_date": "2099-01-01T00:00:00Z"}, "name"),
        ("POST", "/api/events", {"name": "a\nb", "start_date": "2099-01-01T00:00:00Z"}, "name"),
        ("POST", "/api/events", {"name": "x", "start_date": "2099-01-01T00:00:00"}, "start_date"),
        ("POST", "/api/events", {"name": "x", "start_date": "2020-01-01T00:00:00Z"}, "start_date"),
        ("POST", "/api/events", {"name": "x", "start_date": "2099-02-30T00:00:00Z"}, "start_date"),
        ("POST", "/api/events", {"name": "x", "start_date": 4_000_000_000}, "start_date"),
        ("POST", "/api/events", {"name": "x", "start_date": "9999-12-31T23:59:59-23:59"}, "start_"),
        ("POST", "{event}/subscribe", {"email": "x@"}, "email"),
        ("POST", "{event}/subscribe", {"email": "x@example.org", "tags": ["a"]}, "body"),
        ("POST", "{event}/subscribe", {"integration_ids": [999_999]}, "integration_ids"),
        ("POST", "{event}/subscribe", {"tags": ["nobody-has-this"]}, "tags"),
        ("POST", "{event}/notify", {"title": "", "body": "x"}, "title"),
        ("POST", "{event}/notify", {"title": "x\ny", "body": "x"}, "title"),
        ("POST", "{event}/notify", {"title": "x", "body": "x", "subscription_ids": [0]}, "subscr"),
        ("PUT", "{event}/reminders", {"offset_seconds": [59]}, "offset_seconds"),
        ("PUT", "{event}/reminders", {"offset_seconds": [31_536_001]}, "offset_seconds"),
        ("PUT", "{event}/reminders", {"offset_seconds": list(range(60, 71))}, "offset_seconds"),
        ("PUT", "{event}/reminders", {"offset_seconds": [], "end_offset_seconds": [60]}, "end_off"),
        ("POST", "{event}/remind-me", {"in_seconds": 59}, "in_seconds"),
        ("POST", "{event}/remind-me", {"at": "2020-01-01T00:00:00Z"}, "at"),
        ("POST", "{event}/remind-me", {}, "body"),
        ("POST", "/api/integrations", {"name": "x", "apprise_url": "x", "tag": ""}, "tag"),
        (
            "POST",
            "/api/integrations",
            {"name": "x", "apprise_url": f"file:///{MARKER}", "tag": "t"},
            "apprise_url",
        ),
        (
            "POST",
            "/api/integrations",
            {"name": "x", "apprise_url": f"json://169.254.169.254/{MARKER}", "tag": "t"},
            "apprise_url",
        ),
        (
            "POST",
            "/api/integrations",
            {"name": "x", "apprise_url": f"ntfy://h.example/a/{MARKER}", "tag": "t"},
            "apprise_url",
        ),
        ("PATCH", "/api/users/me", {"timezone": "Mars/Olympus"}, "timezone"),
        ("PATCH", "/api/users/me", {"locale": "no such"}, "locale"),
    ],
)
def test_a_value_of_no_sense_is_named(
    client: httpx2.Client, ids: dict[str, Any], method: str, path: str, body: Any, field: str
) -> None:
    path = path.replace("{event}", f"/api/events/{ids['event_id']}")
    answer = client.request(method, path, json=body)
    assert answer.status_code == 422, answer.text
    named = [error["field"] for error in answer.json()["errors"]]
    assert any(name.startswith(field) for name in named), named
    assert MARKER not in answer.text
