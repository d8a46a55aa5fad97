"""The documentation says what is: links, commands, routes, settings, tables, words."""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from fastapi import FastAPI
from starlette.routing import Match

from soonish import errors
from soonish.app import create_app
from soonish.cli.main import app as commands
from soonish.config import Settings
from soonish.delivery.texts.events import EVENT_KINDS
from soonish.delivery.transports.outcome import Outcome
from soonish.infra.db.models.notifications import DeliveryState
from soonish.infra.db.models.registry import Base
from soonish.local.temporal_server import DYNAMIC_CONFIG
from soonish.ops.metrics import registry
from soonish.runtime import make_runtime
from soonish.worker.main import WORKFLOWS, activities_of
from tests.support.settings import make_settings

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "soonish"
PAGES = sorted(
    [*(ROOT / "docs").rglob("*.md"), *(ROOT / f"{n}.md" for n in ("README", "CONTRIBUTING"))]
)
CODE = sorted(
    path for folder in ("src", "tests", "bench", "scripts", "tools")
    for path in (ROOT / folder).rglob("*.py")
)  # fmt: skip
# Codes that no HTTP answer carries: the process does not start, or a command fails.
NOT_HTTP = {"configuration", "account_exists"}
# Words in capitals that are no settings: methods, log levels, the environment of other programs,
# the shell variables of docs/api.md.
NOT_SETTINGS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "PATH", "CHROMIUM"}
NOT_SETTINGS |= {"BENCH_FULL", "SECONDS", "TRIES"}  # of the benchmarks
NOT_SETTINGS |= {"CHAOS_ROUNDS", "CHAOS_SEED"}  # of tests/chaos
NOT_SETTINGS |= {*logging.getLevelNamesMapping(), "BASE", "JSON", "TOKEN", "AUTH", "HEAD"}
METHODS = "GET|POST|PUT|PATCH|DELETE"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def text_of(name: str) -> str:
    return (ROOT / name).read_text()


def fences(text: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def spans(text: str) -> list[str]:
    """What stands in backticks outside of code blocks, on one line."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_resolves(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_file(), f"{page.name} links to {link}, which is not there"
        if anchor:
            assert anchor in anchors(target.read_text()), f"{page.name}: no heading for {link}"


def test_every_page_is_reached_from_the_readme() -> None:
    linked = set(re.findall(r"\]\(docs/([\w-]+\.md)\)", text_of("README.md")))
    assert linked == {page.name for page in (ROOT / "docs").glob("*.md")}


def test_every_decision_is_in_the_index() -> None:
    linked = set(re.findall(r"\]\((\d\d-[\w-]+\.md)\)", text_of("docs/decisions/README.md")))
    records = {page.name for page in (ROOT / "docs" / "decisions").glob("*.md")} - {"README.md"}
    assert linked == records


def broken_references(text: str) -> list[str]:
    """The references to pages and headings in a text of code that lead nowhere."""
    found = re.findall(r"docs/[\w/-]+\.md(?:#[\w-]+)?", text)
    return [link for link in found if not _leads_somewhere(*link.split("#"))]


def _leads_somewhere(name: str, anchor: str | None = None) -> bool:
    if not (ROOT / name).is_file():
        return False
    return anchor is None or anchor in anchors(text_of(name))


def test_every_reference_in_code_resolves() -> None:
    broken = {name_of(path): broken_references(path.read_text()) for path in CODE}
    del broken["tests/test_docs.py"]  # whose next test names broken ones
    assert {name: links for name, links in broken.items() if links} == {}


def test_a_broken_reference_is_found_out() -> None:
    text = "(docs/architecture.md#ledger, docs/architecture.md#attic, docs/nothing.md)"
    assert broken_references(text) == ["docs/architecture.md#attic", "docs/nothing.md"]


def test_nothing_refers_to_a_document_that_is_not_here() -> None:
    former = re.compile(r"\b(DESIG[N]|CONTRAC[T])\b")
    texts = [*CODE, *PAGES, ROOT / "CHANGELOG.md", ROOT / "Makefile", ROOT / "pyproject.toml"]
    assert [name_of(path) for path in texts if former.search(path.read_text())] == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    for span in spans(page.read_text()):
        path = span.partition("::")[0]
        if re.fullmatch(r"[\w/]+/\w+\.py", path):
            assert (ROOT / path).is_file() or (SOURCE / path).is_file(), f"{page.name}: {path}"


def test_the_rooms_are_those_of_the_linter() -> None:
    settings = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]["contracts"]
    layers = next(c["layers"] for c in settings if c["containers"] == ["soonish"])
    rooms = {name for layer in layers for name in layer.split(" : ")}
    section = text_of("docs/architecture.md").partition("## Rooms")[2].partition("\n## ")[0]
    named = {span.strip("/").removesuffix(".py") for span in spans(section)}
    assert rooms <= named
    assert all((SOURCE / room).is_dir() or (SOURCE / f"{room}.py").is_file() for room in rooms)


def test_the_fifteen_behaviours_are_where_the_page_says() -> None:
    section = text_of("docs/testing.md").partition("## Find your way")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| [^|`]+ \| `([^`]+)` \|$", section, re.MULTILINE)
    assert len(rows) == len(set(rows)) == 15
    assert [path for path in rows if not (SOURCE / path).is_file()] == []


def named_commands(text: str) -> Iterator[list[str]]:
    """The words after `soonish` wherever a page names a command of ours."""
    code = [*spans(text), *(line for fence in fences(text) for line in fence.splitlines())]
    for line in code:
        found = re.match(r"(?:uv run |\.venv/bin/)?soonish ([a-z].*)", line.strip())
        if found:
            yield found[1].partition("#")[0].split()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_command_exists(page: Path) -> None:
    for words in named_commands(page.read_text()):
        command: Any = typer.main.get_command(commands)
        rest = list(words)
        while hasattr(command, "commands"):
            assert rest, f"{page.name}: `soonish {' '.join(words)}` is not a whole command"
            name = rest.pop(0)
            assert name in command.commands, f"{page.name}: no command `soonish {' '.join(words)}`"
            command = command.commands[name]
        known = {option for parameter in command.params for option in parameter.opts}
        given = set(re.findall(r"--[\w-]+", " ".join(rest)))
        assert given <= known, f"{page.name}: `soonish {' '.join(words)}`"


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    return create_app(make_settings(tmp_path_factory.mktemp("home")))


def is_route(application: FastAPI, method: str | None, path: str) -> bool:
    """Whether a route takes the path, with the method if there is one."""
    concrete = re.sub(r"\{[^}]+\}", "1", path.partition("?")[0])
    scope = {"type": "http", "method": method or "GET", "path": concrete, "headers": []}
    found = [route.matches(dict(scope))[0] for route in application.router.routes]
    return Match.FULL in found or (method is None and Match.PARTIAL in found)


def named_routes(text: str) -> Iterator[tuple[str | None, str]]:
    for span in spans(text):
        found = re.match(rf"(?:({METHODS}) )?(/[^\s`]*)", span)
        if found:
            yield found[1], found[2].rstrip("\\")
    for line in (line for fence in fences(text) for line in fence.splitlines()):
        yield from (
            (None, path) for path in re.findall(r"(?:\$BASE|localhost:8000)(/[\w/-]+)", line)
        )


@pytest.mark.parametrize(
    "name", ["README.md", *(f"docs/{n}.md" for n in ("api", "authentication", "operations",
                                                     "notification-patterns", "security"))]
)  # fmt: skip
def test_every_route_exists(name: str, application: FastAPI) -> None:
    for method, path in named_routes(text_of(name)):
        if path == "/api":
            continue
        assert is_route(application, method, path), f"{name} names {method or ''} {path}"


def test_the_api_page_names_every_route_of_the_api(application: FastAPI) -> None:
    def shape(path: str) -> str:
        return re.sub(r"\{[^}]+\}", "{}", path.partition("?")[0])

    named = {(m, shape(p)) for m, p in named_routes(text_of("docs/api.md"))}
    known = {
        (method.upper(), shape(path))
        for path, methods in application.openapi()["paths"].items()
        for method in methods
    }
    assert known <= named


def test_a_route_that_is_not_there_is_found_out(application: FastAPI) -> None:
    assert not is_route(application, "GET", "/api/nothing")
    assert not is_route(application, "PUT", "/api/events/{id}")
    assert not is_route(application, None, "/nothing/{id}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_setting_exists(page: Path) -> None:
    known = {name.upper() for name in Settings.model_fields} | NOT_SETTINGS
    code = [*spans(page.read_text()), *re.findall(r"^[A-Z_]+=", page.read_text(), re.MULTILINE)]
    for span in code:
        found = re.fullmatch(r"([A-Z][A-Z_]{2,})(?:=.*)?", span)
        if found:
            assert found[1] in known, f"{page.name} names {found[1]}, which is no setting"


def test_the_data_model_names_every_table_and_column() -> None:
    page = text_of("docs/data-model.md")
    documented = {
        section.partition("`")[0]: re.findall(r"`(\w+)`", "".join(first_cells(section)))
        for section in page.split("\n### `")[1:]
    }
    tables = {table.name: sorted(table.columns.keys()) for table in Base.metadata.sorted_tables}
    assert {name: sorted(columns) for name, columns in documented.items()} == tables


def first_cells(section: str) -> list[str]:
    """The first cell of each row of the section's table."""
    body = section.partition("\n## ")[0]
    return re.findall(r"^\| (`[^|]+) \|", body, re.MULTILINE)


def words_of_table(page: str, header: str) -> set[str]:
    """The words in backticks in the first cells of the table with this first header."""
    start = page.index(f"\n| {header} |")
    table = page[start:].partition("\n\n")[0]
    cells = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def test_kinds_states_and_outcomes_are_those_of_the_code() -> None:
    page = text_of("docs/notification-patterns.md")
    assert words_of_table(page, "kind") == set(EVENT_KINDS)
    assert words_of_table(page, "state") == {state.value for state in DeliveryState}
    assert words_of_table(page, "outcome") == {outcome.value for outcome in Outcome}


def test_error_codes_are_those_of_the_code() -> None:
    source = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    known = set(re.findall(r'\bcode(?:: str)? ?= ?"(\w+)"', source))
    known |= {f"integration_url_{code}" for code in re.findall(r'_refusal\("(\w+)"', source)}
    section = text_of("docs/api.md").partition("## Errors")[2].partition("## Pages")[0]
    rows = re.findall(r"^\| \d+ \| ([^|]+) \|", section, re.MULTILINE)
    documented = {code for row in rows for code in re.findall(r"`(\w+)`", row)}
    assert documented == known - NOT_HTTP
    assert errors.SoonishError.code in documented


def test_metrics_are_those_of_the_code() -> None:
    documented = words_of_table(text_of("docs/operations.md"), "metric")
    assert documented - {"state"} == {metric.name for metric in registry.collect()}


def test_workflows_activities_and_flags_are_those_of_the_code(tmp_path: Path) -> None:
    page = text_of("docs/temporal.md")
    tables = page.split("\n| workflow |")
    names = {workflow.__name__ for workflow in WORKFLOWS}
    assert set(re.findall(r"^\| (\w+Workflow) \|", tables[1], re.MULTILINE)) == names
    section = page.partition("## Activities")[2].partition("\n## ")[0]
    known = {
        method.__temporal_activity_definition.name
        for method in activities_of(make_runtime(make_settings(tmp_path)))
    }
    assert set(re.findall(r"`(\w+)`", section)) == known
    for flag in DYNAMIC_CONFIG:
        assert f"`{flag}`" in page
