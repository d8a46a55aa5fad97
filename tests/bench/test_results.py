"""Rows, their ratios, and the table made of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.clients import post_at
from bench.enumeration import guessed
from bench.report import write_table
from bench.rows import p99, row
from bench.sinks import Http, State


def test_a_ratio_of_one_or_more_meets_the_aim_whichever_way_it_points() -> None:
    assert row("rate", 4000, "/s", 2000)["ratio"] == 2
    assert row("rate", 1000, "/s", 2000)["ratio"] == 0.5
    assert row("time", 1, "s", 2, less=True)["ratio"] == 2
    assert row("time", 4, "s", 2, less=True)["ratio"] == 0.5
    assert "ratio" not in row("loop", 700, "/s")


def test_an_aim_of_none_at_all() -> None:
    assert row("lost", 0, "messages", 0, less=True)["ratio"] == 1
    assert row("lost", 1, "messages", 0, less=True)["ratio"] == 0


def test_a_guess_by_time_is_a_coin_where_times_are_the_same() -> None:
    assert guessed([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]) == 0.5
    assert guessed([4.0, 5.0], [1.0, 2.0]) == guessed([1.0, 2.0], [4.0, 5.0]) == 1
    assert guessed([2.0, 4.0], [1.0, 3.0]) == 0.75


def test_99_of_100_do_not_exceed_p99() -> None:
    assert p99(range(100, 0, -1)) == 99
    assert p99([7.0]) == 7
    assert p99([1.0, 2.0, 3.0]) == 3


def test_the_table_holds_the_newest_rows_of_each_scenario(tmp_path: Path) -> None:
    _result(tmp_path / "b.json", "2026-01-01", [{"scenario": "move"} | row("old", 9, "s")])
    _result(
        tmp_path / "a.json", "2026-01-02", [{"scenario": "move"} | row("new", 1, "s", 2, less=True)]
    )
    _result(tmp_path / "c.json", "2026-01-01", [{"scenario": "startup"} | row("start", 1234, "s")])
    write_table(["startup", "move"], tmp_path)
    table = (tmp_path / "table.md").read_text().splitlines()
    assert table[2:4] == ["| start | 1,234 s |  |  |", "| new | 1 s | 2 s | 2.0 |"]
    assert "-m bench startup move`" in table[5]


def test_the_table_says_what_was_measured_beside_other_work(tmp_path: Path) -> None:
    _result(tmp_path / "a.json", "2026-01-01", [{"scenario": "move"} | row("m", 1, "s")], load=7.5)
    _result(tmp_path / "b.json", "2026-01-01", [{"scenario": "startup"} | row("s", 1, "s")])
    write_table(["startup", "move"], tmp_path)
    said = (tmp_path / "table.md").read_text().splitlines()[-1]
    assert "other work too (load 7.5 before the run): move." in said
    _result(tmp_path / "a.json", "2026-01-02", [{"scenario": "move"} | row("m", 1, "s")], load=0.4)
    write_table(["startup", "move"], tmp_path)
    assert "other work" not in (tmp_path / "table.md").read_text()


def _result(path: Path, at: str, rows: list[dict[str, Any]], load: float = 0.0) -> None:
    path.write_text(json.dumps({"at": at, "load": load, "rows": rows}))


async def test_requests_leave_at_their_rate_though_answers_are_late(
    free_port: Callable[[], int],
) -> None:
    """50 a second to a server that takes 0.3 s: one after the other they would take 6 s."""
    state, port = State(0.3), free_port()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Http(state), "127.0.0.1", port)
    async with server:
        answers = await post_at(port, 50, 0.4, lambda number: (f"/{number}", {}))
    assert answers.statuses == {200: 20}
    assert min(answers.seconds) >= 0.29
    assert answers.ended - answers.began < 3
