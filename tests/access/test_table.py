"""Every route is asked in every role, and answers as the table says (table.txt)."""

from __future__ import annotations

import shutil
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from soonish.app import create_app
from soonish.runtime import Runtime
from tests.access.walking import ask, make_stage, routes_of
from tests.support.ports import free_port
from tests.support.settings import make_settings

TABLE = Path(__file__).with_name("table.txt").read_text()
EVENTS_OWN = ("{event_id}", "{slug}")


@dataclass(frozen=True)
class Line:
    """A row of the table: a route, of which kind of event, and the statuses by role."""

    method: str
    path: str
    public: bool
    statuses: tuple[int, ...]

    @property
    def key(self) -> tuple[str, str, bool]:
        return self.method, self.path, self.public


def read_table() -> tuple[list[str], list[Line]]:
    """The roles in the order of the columns, and the lines."""
    written = [one for one in TABLE.splitlines() if one.strip() and not one.startswith("#")]
    roles = written[0].rpartition("|")[2].split()
    lines: list[Line] = []
    for text in written[1:]:
        route, _, statuses = text.rpartition("|")
        method, path, *kind = route.split()
        numbers = tuple(int(one) for one in statuses.split())
        assert len(numbers) == len(roles), text
        lines.append(Line(method, path, kind != ["private"], numbers))
    return roles, lines


@pytest.fixture
async def walk(
    migrated_sqlite: Path, tmp_path: Path
) -> AsyncGenerator[tuple[FastAPI, httpx2.AsyncClient]]:
    """The whole application on SQLite, with nobody where Temporal should be, and no limits."""
    shutil.copy(migrated_sqlite, tmp_path / "soonish.db")
    made = create_app(
        make_settings(
            tmp_path,
            database_url=f"sqlite:///{tmp_path}/soonish.db",
            temporal_url=f"127.0.0.1:{free_port()}",
            rate_limits_enabled=False,
            egress_allowed_networks=["127.0.0.0/8"],
        )
    )
    transport = httpx2.ASGITransport(app=made, client=("127.0.0.1", 40000))
    runtime: Runtime = made.state.soonish
    async with httpx2.AsyncClient(
        transport=transport, base_url=runtime.settings.base_url
    ) as client:
        yield made, client
    await runtime.close()


async def test_every_route_has_its_rows_and_no_row_is_of_a_route_that_is_gone(
    walk: tuple[FastAPI, httpx2.AsyncClient],
) -> None:
    wanted: set[tuple[str, str, bool]] = set()
    for method, path, _ in routes_of(walk[0]):
        wanted.add((method, path, True))
        if any(one in path for one in EVENTS_OWN):
            wanted.add((method, path, False))
    written = [line.key for line in read_table()[1]]
    assert sorted(set(written)) == sorted(written), "a row is there twice"
    assert wanted - set(written) == set(), "routes without a row"
    assert set(written) - wanted == set(), "rows without a route"
    documented = {
        (method.upper(), path)
        for path, methods in walk[0].openapi()["paths"].items()
        for method in methods
    }
    assert documented <= {(method, path) for method, path, _ in wanted}


async def test_every_role_gets_what_the_table_says(
    walk: tuple[FastAPI, httpx2.AsyncClient],
) -> None:
    """On a stage of its own for each row; within it those ask first who may do least."""
    app, client = walk
    wrong: list[str] = []
    roles, lines = read_table()
    for line in lines:
        stage = await make_stage(app.state.soonish, public=line.public)
        for role, expected in zip(roles, line.statuses, strict=True):
            answer = await ask(client, stage, role, line.method, line.path)
            if answer.status_code != expected:
                kind = "public" if line.public else "private"
                wrong.append(
                    f"{line.method} {line.path} ({kind}) as {role}: "
                    f"{answer.status_code}, not {expected}"
                )
    assert wrong == []
