"""The demo, the doctor and every script against the whole running system."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
import typer

from soonish.cli.demonstration import play
from tests.support.ports import accepts
from tests.support.system import SoonishSystem
from tests.support.wait import wait_for

pytestmark = [pytest.mark.system, pytest.mark.xdist_group("system")]
SCRIPTS = Path(__file__).parents[2] / "scripts"
TEST_EMAIL = "tester@example.com"


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Generator[SoonishSystem]:
    home = tmp_path_factory.mktemp("home")
    with SoonishSystem(home, WORKERS="1", TEST_EMAIL=TEST_EMAIL) as running:
        yield running


def script(system: SoonishSystem, name: str, *arguments: object) -> str:
    """What the script prints; it must succeed."""
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / f"{name}.py"), *(str(one) for one in arguments)],
        cwd=system.home,
        env=system.environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_scripts_run_an_event(system: SoonishSystem) -> None:
    """In the order in which a person would, each one at least once."""
    assert "organizer@example.com" in script(system, "init_db")
    assert "Summer party" in script(system, "setup_test_data")
    event = json.loads(script(system, "create_event", "--json"))
    system.wait_for_mail(TEST_EMAIL, "is ready")
    script(system, "add_subscriber", event["id"])
    system.wait_for_mail(TEST_EMAIL, "You're subscribed")
    owner = event["owner_user_id"]
    channels = json.loads(
        script(
            system,
            "add_integration",
            owner,
            f"mailto://127.0.0.1:{system.mail_port}?from=channel@example.com&to=channel@example.com",
            "One,two",
            "--json",
        )
    )
    assert [one["tag"] for one in channels] == ["one", "two"]
    script(system, "add_subscriber", event["id"], "other@example.com")
    script(system, "add_subscriber", event["id"], TEST_EMAIL, "one")
    listed = script(system, "list_subscribers", event["id"])
    assert TEST_EMAIL in listed
    assert "other@example.com" in listed
    script(system, "update_event", event["id"], "Another name")
    assert "Another name" in system.wait_for_mail("other@example.com", "has changed").text
    script(system, "update_event", event["id"])
    script(system, "remove_subscriber", event["id"], "other@example.com")
    system.wait_for_mail("other@example.com", "You were removed")
    assert "ok" in script(system, "test_notification")
    system.wait_for_mail(TEST_EMAIL, "A test from Soonish")
    system.wait_for_mail("channel@example.com", "A test from Soonish")
    script(system, "check_reminder_execution")
    assert "schedules deleted" in script(system, "cleanup_old_schedules")


def test_the_patterns_script(system: SoonishSystem) -> None:
    assert "The member's own reminder comes" in script(system, "test_notification_patterns")


def test_the_demo_script(system: SoonishSystem) -> None:
    printed = script(system, "demo_full_lifecycle")
    assert f"Soonish runs at {system.base_url}." in printed
    assert "All 11 steps did what they should." in printed


def test_the_doctor_is_content(system: SoonishSystem) -> None:
    done = system.cli("doctor", "--send", "--json")
    assert done.returncode == 0, done.stdout
    assert "test mail" in {one["name"] for one in json.loads(done.stdout)}
    system.wait_for_mail(TEST_EMAIL, "A test from Soonish")


def test_a_demo_that_fails_names_the_step(
    system: SoonishSystem,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(play, "ARRIVES_WITHIN", 0.5)
    (worker,) = system.pids("worker")
    os.kill(worker, signal.SIGSTOP)
    try:
        with pytest.raises(typer.Exit) as ended:
            play.run(system.base_url, patterns=True, as_json=False)
    finally:
        os.kill(worker, signal.SIGCONT)
    assert ended.value.exit_code == 1
    assert capsys.readouterr().err.startswith(
        "The demo failed at “An organizer registers and confirms the address”: "
    )


def test_a_demo_of_nothing_says_so(system: SoonishSystem) -> None:
    done = system.cli("demo", "--url", "http://127.0.0.1:9")
    assert done.returncode == 1
    assert done.stderr.strip() == "No Soonish answers at http://127.0.0.1:9."


def test_the_demo_brings_its_own_system(tmp_path: Path) -> None:
    """Where nothing runs; `system` gives ports on which nothing does."""
    absent = SoonishSystem(tmp_path)
    done = absent.cli("demo", "--patterns", "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report["url"] != absent.base_url
    assert all(step["ok"] for step in report["steps"])
    assert list(tmp_path.iterdir()) == []


def test_a_killed_demo_leaves_nothing_running(tmp_path: Path) -> None:
    absent = SoonishSystem(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-m", "soonish.cli.main", "demo"],
        cwd=tmp_path,
        env={**absent.environment, "TMPDIR": str(tmp_path)},  # a killed one cannot clean up
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout
        about = process.stdout.readline()
        port = int(about.rstrip().rstrip(".").rpartition(":")[2])
        assert accepts(port)
        process.kill()
    wait_for(lambda: not accepts(port), 20, "the temporary system to end")
