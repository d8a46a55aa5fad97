"""A database server that restarts, and a disk that is full, while work is under way."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import time
from collections.abc import Callable, Generator
from pathlib import Path

import httpx2
import pytest

from tests.chaos.conftest import Figures
from tests.chaos.forms import rounds
from tests.e2e.crowd import SENT_BUT_UNMARKED_SECONDS, Crowd, gather
from tests.e2e.people import Person
from tests.support.http_sink import HttpSink, Reply, serve_http
from tests.support.postgres import PostgresServer, postgres
from tests.support.system import SoonishSystem
from tests.support.wait import wait_for

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]
PEOPLE = 600
DOWN_SECONDS = 2.0
FULL_SECONDS = 3.0
NO_BYTES = 4096  # less than a page and the header of SQLite's log
DISK_BYTES = 64 << 20
BLOCK = b"\0" * 65_536
MESSAGES = 12  # that organizers try to send while the disk is full


@pytest.fixture
def sink() -> Generator[HttpSink]:
    with serve_http() as made:
        made.default = Reply(delay=0.3)
        yield made


@pytest.fixture
def server() -> Generator[PostgresServer]:
    """One that nobody else uses."""
    with postgres() as made:
        yield made


@pytest.fixture
def on_postgres(tmp_path: Path, server: PostgresServer) -> Generator[SoonishSystem]:
    url = server.create_database()
    with SoonishSystem(tmp_path / "home", DATABASE_URL=url) as system:
        yield system


@rounds(short=1, full=5)
def test_postgresql_restarts_during_a_broadcast(
    on_postgres: SoonishSystem, server: PostgresServer, sink: HttpSink, rounds: int,
    figures: Figures,
) -> None:  # fmt: skip
    crowd = gather(on_postgres, sink, PEOPLE)
    for number in range(rounds):
        title = f"Restart {number}"
        told = crowd.organizer.notify(crowd.event, title)
        wait_for(lambda title=title: len(crowd.hits(title)) >= 20, 60, "the broadcast to begin")
        before = time.monotonic()
        server.stop()
        time.sleep(DOWN_SECONDS)
        server.start()
        back = time.monotonic()
        crowd.everybody_has(title, 120)
        crowd.ledger_says_sent(told["notification_id"])
        came_again_only_within(crowd, title, before, back, figures)


class Disk:
    """A home whose space a test takes away and gives back."""

    def __init__(self, home: Path, fill: Callable[[], None], free: Callable[[], None]) -> None:
        self.home, self.fill, self.free = home, fill, free


@pytest.fixture
def disk(tmp_path: Path) -> Generator[Disk]:
    """A small file system of its own where we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if os.geteuid() != 0 or not _mounted(folder):
        yield _limited(folder)
        return
    try:
        yield Disk(folder / "home", lambda: _fill(folder / "ballast"), (folder / "ballast").unlink)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _mounted(folder: Path) -> bool:
    options = ["-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(folder)]
    return subprocess.run(["mount", *options], check=False, capture_output=True).returncode == 0


def _fill(ballast: Path) -> None:
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(BLOCK)


def _limited(folder: Path) -> Disk:
    """Without a mount: no file of our own processes may grow any more (EFBIG is as ENOSPC)."""
    home = folder / "home"

    def limit(size: int) -> None:
        lock = (home / "up.lock").read_text()
        for pid in Path(f"/proc/{lock}/task/{lock}/children").read_text().split():
            if b"soonish" in Path(f"/proc/{pid}/cmdline").read_bytes():
                hard = resource.prlimit(int(pid), resource.RLIMIT_FSIZE)[1]
                resource.prlimit(int(pid), resource.RLIMIT_FSIZE, (size, hard))

    return Disk(
        home,
        lambda: limit(NO_BYTES),
        lambda: limit(resource.RLIM_INFINITY),
    )


@pytest.fixture
def on_disk(disk: Disk) -> Generator[SoonishSystem]:
    with SoonishSystem(disk.home) as system:
        yield system


@rounds(short=1, full=5)
def test_what_was_accepted_before_the_disk_was_full_is_done(
    disk: Disk, on_disk: SoonishSystem, sink: HttpSink, rounds: int, figures: Figures
) -> None:
    """SQLite may find room for small things in pages that it has freed, so not every round is
    refused something; some is."""
    crowd = gather(on_disk, sink, PEOPLE)
    refused = 0
    for number in range(rounds):
        told: dict[str, int] = {}
        assert tell(crowd, f"Before {number}", told) == 202
        wait_for(lambda: len(sink.requests) >= 20, 30, "the broadcast to begin")
        disk.fill()
        filled = time.monotonic()
        answers = [tell(crowd, f"Full {number}.{n}", told) for n in range(MESSAGES)]
        time.sleep(FULL_SECONDS)
        disk.free()
        freed = time.monotonic()
        refused += answers.count(503)
        assert set(answers) <= {202, 503}
        for title, notification_id in told.items():
            crowd.everybody_has(title, 180)
            crowd.ledger_says_sent(notification_id)
            came_again_only_within(crowd, title, filled, freed, figures)
        wait_for(lambda: healthy(crowd.organizer), 60, "all parts to be well again")
        sink.requests.clear()
    assert refused, "the disk was never full"


def came_again_only_within(
    crowd: Crowd, title: str, since: float, until: float, figures: Figures
) -> None:
    """What was sent but could not be noted in that time may come again; nothing else may."""
    unmarked = {
        path
        for path, at in crowd.first_hits(title).items()
        if since - SENT_BUT_UNMARKED_SECONDS < at < until + SENT_BUT_UNMARKED_SECONDS
    }
    again = {path for path, count in crowd.hits(title).items() if count > 1}
    figures(messages=crowd.size, duplicates=len(again), in_flight=len(unmarked))
    assert again <= unmarked


def tell(crowd: Crowd, title: str, told: dict[str, int]) -> int:
    """The status of the answer; an accepted message is noted in `told`."""
    path = f"/api/events/{crowd.event['id']}/notify"
    body = {"title": title, "body": "Bring a chair."}
    answer = crowd.organizer.answer("POST", path, json=body)
    if answer.status_code == 202:
        told[title] = answer.json()["notification_id"]
    return answer.status_code


def healthy(organizer: Person) -> bool:
    try:
        answer = organizer.answer("GET", "/api/health")
    except httpx2.TransportError:
        return False
    return answer.is_success and answer.json()["status"] == "ok"
