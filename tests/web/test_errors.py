"""Every error, for every kind of reader."""

from __future__ import annotations

from typing import Annotated

import httpx2
import pytest
import structlog
from pydantic import Field, StringConstraints, ValidationError
from sqlalchemy.exc import OperationalError

from soonish.domain.events.schemas import OneLine
from soonish.errors import InvalidInput
from soonish.kit.schemas import Input
from soonish.web.errors import as_soonish_error, field_errors

HTML = {"accept": "text/html"}


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [
        ("gone", 410, "token_invalid"),
        ("conflict", 409, "event_over"),
        ("slow", 429, "too_many_requests"),
        ("who", 401, "unauthorized"),
        ("field", 422, "invalid_input"),
        ("crash", 500, "internal_error"),
    ],
)
async def test_api_answers_problem_details(
    client: httpx2.AsyncClient, kind: str, status: int, code: str
):
    response = await client.get(f"/api/fail/{kind}", headers=HTML)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (response.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert {"type", "title", "detail"} <= problem.keys()


async def test_a_crash_tells_nothing_and_logs_one_line_without_its_text(client: httpx2.AsyncClient):
    with structlog.testing.capture_logs() as lines:
        response = await client.get("/api/fail/crash")
    assert "address.example" not in response.text
    assert [line["error"] for line in lines] == ["RuntimeError"]
    assert "address.example" not in str(lines)
    assert response.headers["x-content-type-options"] == "nosniff"


async def test_rate_limit_says_when_to_come_back(client: httpx2.AsyncClient):
    assert (await client.get("/api/fail/slow")).headers["retry-after"] == "7"


async def test_browser_gets_a_page_and_htmx_a_fragment(client: httpx2.AsyncClient):
    page = await client.get("/fail/gone", headers=HTML)
    assert page.status_code == 410
    assert "<html" in page.text
    assert "no longer valid" in page.text
    fragment = await client.get("/fail/gone", headers={"hx-request": "true"})
    assert fragment.status_code == 410
    assert "<html" not in fragment.text
    assert "Used already." in fragment.text
    assert fragment.headers["hx-retarget"] == "#notices"
    boosted = await client.get(
        "/fail/gone", headers=HTML | {"hx-request": "true", "hx-boosted": "true"}
    )
    assert "<html" in boosted.text


HTMX = {"hx-request": "true"}
BOOSTED = HTMX | {"hx-boosted": "true"}


@pytest.mark.parametrize(
    ("method", "headers"),
    [("GET", HTMX), ("POST", BOOSTED), ("GET", BOOSTED | {"hx-target": "organizer"})],
)
async def test_what_is_on_the_page_stays_there(
    client: httpx2.AsyncClient, method: str, headers: dict[str, str]
):
    """A form keeps what was typed, and a section that cannot be had leaves the present one."""
    answer = await client.request(method, "/fail/gone", headers=headers)
    assert "<html" not in answer.text
    assert "Used already." in answer.text
    placed = [answer.headers[f"hx-{name}"] for name in ("retarget", "reswap", "reselect")]
    assert placed == ["#notices", "innerHTML", "unset"]


async def test_htmx_without_a_session(client: httpx2.AsyncClient):
    link = await client.get("/fail/who?a=1", headers=BOOSTED)
    assert link.headers["hx-redirect"] == "/login?next=/fail/who%3Fa%3D1"
    here = HTMX | {"hx-current-url": "https://soonish.example/events/7?b=2"}
    fragment = await client.get("/fail/who", headers=here)
    assert fragment.headers["hx-redirect"] == "/login?next=/events/7%3Fb%3D2"
    form = await client.post("/fail/who", headers=BOOSTED)
    assert (form.status_code, form.headers["hx-retarget"]) == (401, "#notices")
    assert 'href="/login"' in form.text


async def test_browser_without_a_session_goes_to_login_and_back(client: httpx2.AsyncClient):
    response = await client.get("/fail/who?a=1", headers=HTML)
    assert response.status_code == 303
    assert response.headers["location"] == "/login?next=/fail/who%3Fa%3D1"
    assert (await client.post("/fail/who", headers=HTML)).headers["location"] == "/login"


async def test_unknown_addresses_and_methods(client: httpx2.AsyncClient):
    missing = await client.get("/api/nothing")
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")
    wrong = await client.delete("/api/things")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert wrong.headers["allow"] == "POST"
    both = await client.put("/fail/gone")
    assert both.headers["allow"] == "HEAD, GET, POST"
    assert (await client.get("/nothing", headers=HTML)).status_code == 404


@pytest.mark.parametrize("item", ["abc", "1.5", "%00", "-"])
async def test_an_id_that_is_no_number_is_not_there(client: httpx2.AsyncClient, item: str):
    assert (await client.get(f"/api/items/{item}")).status_code == 404


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ("{}", ["name"]),
        ('{"name": "a", "children": [{"count": 1}, {"count": 0}]}', ["children.1.count"]),
        ('{"name": 1, "children": 2}', ["name", "children"]),
        ("{", ["body"]),
        ("[]", ["body"]),
        ("", ["body"]),
        (r'{"name": "a\u0000b"}', ["name"]),
        (r'{"name": "ok", "children": [{"x": "\ud800"}]}', ["children.0.x"]),
    ],
)
async def test_validation_names_every_field(
    client: httpx2.AsyncClient, body: str, fields: list[str]
):
    response = await client.post(
        "/api/things", content=body, headers={"content-type": "application/json"}
    )
    problem = response.json()
    assert response.status_code == problem["status"] == 422
    assert [entry["field"] for entry in problem["errors"]] == fields
    assert all(entry["message"] for entry in problem["errors"])


def test_names_of_union_members_are_no_field_names():
    entry = {"type": "missing", "loc": ("body", "Anonymous", "email"), "msg": "Field required"}
    assert [e.field for e in field_errors([entry])] == ["email"]
    assert [e.field for e in field_errors([entry | {"loc": ("header", "idempotency-key")}])] == [
        "idempotency-key"
    ]


def test_a_database_that_is_away_is_503_and_says_to_try_again() -> None:
    error = OperationalError("SELECT 1", {}, Exception("database is locked"))
    found = as_soonish_error(error)
    assert (found.status, found.code) == (503, "unavailable")
    assert "locked" not in found.detail


def test_the_length_of_a_text_is_told_in_characters():
    class Body(Input):
        name: Annotated[OneLine, StringConstraints(min_length=2, max_length=5)]
        tags: list[str] = Field(max_length=1)

    with pytest.raises(ValidationError) as short:
        Body.model_validate({"name": " a ", "tags": []})
    with pytest.raises(ValidationError) as long:
        Body.model_validate({"name": "abcdef", "tags": ["a", "b"]})
    assert [e.message for e in field_errors(short.value.errors())] == [
        "must have at least 2 characters"
    ]
    assert [e.message for e in field_errors(long.value.errors())] == [
        "must have at most 5 characters",
        "List should have at most 1 item after validation, not 2",
    ]


def test_many_wrong_fields_are_one_short_answer():
    class Nothing(Input):
        pass

    with pytest.raises(ValidationError) as caught:
        Nothing.model_validate({f"{'k' * 300}{number}": 1 for number in range(1000)})
    found = field_errors(caught.value.errors())
    assert len(found) == 100
    assert len(str(as_soonish_error(InvalidInput(errors=found)))) < 60_000
