"""GET /api/events and /updates: filters, escaping, pages that hold still."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event

from soonish.infra.db.models.events import EventUpdate
from soonish.infra.db.types import utc_now
from tests.support.api import ApiClient, fields_of, in_hours, instant


async def names(scene: ApiClient, who: str | None = None, **params: Any) -> list[str]:
    answer = await scene.ask(who, "GET", "/api/events", params=params)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


async def test_public_events_to_come_soonest_first(scene: ApiClient) -> None:
    late = await scene.make_event(name="late", start_date=in_hours(9))
    await scene.make_event(name="soon", start_date=in_hours(3))
    await scene.make_event(name="private", is_public=False)
    for name, values in {
        "over": {"start_date": instant(-2)},
        "under way": {"start_date": instant(-1), "end_date": instant(1)},
        "ended": {"start_date": instant(-2), "end_date": instant(-1)},
        "cancelled": {"cancelled_at": utc_now()},
    }.items():
        await scene.change((await scene.make_event(name=name))["id"], **values)
    for who in ("owner", "outsider", None):
        assert await names(scene, who) == ["under way", "soon", "late"]
    listed = (await scene.ask(None, "GET", "/api/events")).json()["items"]
    assert listed[-1] == late


async def test_mine_is_all_of_ones_own(scene: ApiClient) -> None:
    await scene.make_event(name="private", is_public=False)
    await scene.change((await scene.make_event(name="over"))["id"], start_date=instant(-2))
    cancelled = await scene.make_event(name="cancelled", start_date=in_hours(90))
    await scene.ask("owner", "DELETE", f"/api/events/{cancelled['id']}")
    assert await names(scene, "owner", mine="true") == ["over", "private", "cancelled"]
    assert await names(scene, "outsider", mine="true") == []
    answer = await scene.ask(None, "GET", "/api/events", params={"mine": "true"})
    assert answer.status_code == 401


SEARCHES = {
    "%": ["100% fun"],
    "_": ["snake_case"],
    "/": ["either/or"],
    "\\": ["back\\slash"],
    "'": ["it's"],
    '"; --': [],
    "FUN": ["100% fun"],
    "über": ["ÜBER alles"],
    "berlin": ["it's"],
    "CHAIR": ["snake_case"],
    "berlin it's": ["it's"],
    "berlin chair": [],
    "  ": ["100% fun", "snake_case", "either/or", "back\\slash", "it's", "ÜBER alles"],
}


async def test_the_query_is_text_and_nothing_else(scene: ApiClient) -> None:
    await scene.make_event(name="100% fun", start_date=in_hours(1))
    await scene.make_event(name="snake_case", description="Bring a chair", start_date=in_hours(2))
    await scene.make_event(name="either/or", start_date=in_hours(3))
    await scene.make_event(name="back\\slash", start_date=in_hours(4))
    await scene.make_event(name="it's", location="Berlin", start_date=in_hours(5))
    await scene.make_event(name="ÜBER alles", start_date=in_hours(6))
    assert {query: await names(scene, query=query) for query in SEARCHES} == SEARCHES


async def test_category_tag_and_dates(scene: ApiClient) -> None:
    await scene.make_event(name="a", category="Music", tags=["Jazz"], start_date=in_hours(10))
    await scene.make_event(
        name="b", category="sport", tags=["jazz", "run"], start_date=in_hours(20)
    )
    assert await names(scene, category="music") == ["a"]
    assert await names(scene, category="mus") == []
    assert await names(scene, tag="JAZZ") == ["a", "b"]
    assert await names(scene, tag="jazz", category="Sport") == ["b"]
    assert await names(scene, tag="ja%") == []
    assert await names(scene, **{"from": in_hours(15)}) == ["b"]
    assert await names(scene, to=in_hours(15)) == ["a"]
    assert await names(scene, **{"from": in_hours(9), "to": in_hours(11)}) == ["a"]
    assert await names(scene, **{"from": "0001-01-01T00:00:00Z"}) == ["a", "b"]
    assert await names(scene, to="9999-12-31T23:59:59Z") == ["a", "b"]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "201"}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"cursor": "x"}, "cursor"),
        ({"cursor": "x" * 501}, "cursor"),
        ({"from": "yesterday"}, "from"),
        ({"from": "2030-01-01"}, "from"),
        ({"to": "2030-01-01T00:00:00"}, "to"),
        ({"from": "9999-12-31T23:59:59-12:00"}, "from"),
        ({"from": "2030-01-02T00:00:00Z", "to": "2030-01-01T00:00:00Z"}, "to"),
        ({"mine": "perhaps"}, "mine"),
        ({"query": "x" * 201}, "query"),
        ({"query": "\0"}, "query"),
        ({"tag": "x" * 65}, "tag"),
        ({"category": "x" * 65}, "category"),
    ],
)
async def test_a_bad_parameter_is_422_with_its_name(
    scene: ApiClient, params: dict[str, str], field: str
) -> None:
    assert fields_of(await scene.ask("owner", "GET", "/api/events", params=params)) == [field]


async def test_pages_hold_still_while_events_come(scene: ApiClient) -> None:
    same = in_hours(30)
    made = [(await scene.make_event(name=f"e{n}", start_date=same))["id"] for n in range(7)]
    seen: list[int] = []
    cursor = None
    for page in range(10):
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        answer = (await scene.ask(None, "GET", "/api/events", params=params)).json()
        seen += [item["id"] for item in answer["items"]]
        await scene.make_event(name=f"early {page}", start_date=in_hours(1))
        if (cursor := answer["next_cursor"]) is None:
            break
    assert seen == made


async def test_the_last_full_page_says_that_it_is_the_last(scene: ApiClient) -> None:
    for hours in (1, 2):
        await scene.make_event(start_date=in_hours(hours))
    answer = (await scene.ask(None, "GET", "/api/events", params={"limit": 2})).json()
    assert (len(answer["items"]), answer["next_cursor"]) == (2, None)


async def test_counts_and_tags_of_a_list_belong_to_their_events(scene: ApiClient) -> None:
    first = await scene.make_event(tags=["one"], start_date=in_hours(1))
    await scene.make_event(tags=["two", "three"], start_date=in_hours(2))
    await scene.subscribe(first["id"], "member")
    await scene.subscribe(first["id"], "outsider")
    items = (await scene.ask(None, "GET", "/api/events")).json()["items"]
    assert [(i["tags"], i["subscriber_count"]) for i in items] == [
        (["one"], 2),
        (["three", "two"], 0),
    ]


async def test_a_longer_list_asks_the_database_no_more_often(scene: ApiClient) -> None:
    statements: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    async def asked() -> int:
        statements.clear()
        await names(scene)
        return len(statements)

    event.listen(scene.db.engine.sync_engine, "before_cursor_execute", note)
    await scene.make_event(tags=["one"])
    few = await asked()
    for _ in range(5):
        await scene.make_event(tags=["one", "two"])
    assert await asked() == few > 0


async def test_the_update_log_is_paged_newest_first(scene: ApiClient) -> None:
    made = await scene.make_event()
    async with scene.db.write() as session:
        for n in range(5):
            session.add(
                EventUpdate(event_id=made["id"], category="general", title=f"t{n}", body="b")
            )
            await session.flush()
    path = f"/api/events/{made['id']}/updates"
    first = (await scene.ask(None, "GET", path, params={"limit": 3})).json()
    rest = (await scene.ask(None, "GET", path, params={"cursor": first["next_cursor"]})).json()
    assert [i["title"] for i in first["items"] + rest["items"]] == ["t4", "t3", "t2", "t1", "t0"]
    assert rest["next_cursor"] is None
    assert set(first["items"][0]) == {"id", "category", "title", "body", "changes", "created_at"}
    bad = await scene.ask(None, "GET", path, params={"cursor": "Wy0xXQ"})
    assert fields_of(bad) == ["cursor"]
