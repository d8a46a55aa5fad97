"""Bad requests of every kind, made from the API's own OpenAPI document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

JSON = {"Content-Type": "application/json"}
HUGE = 2**70
_EXAMPLES: dict[str, Any] = {"string": "text", "integer": 1, "boolean": True, "number": 1.5}
# Of every type those that no field of another type takes; what a type does take is not here.
_WRONG: dict[str, list[Any]] = {
    "string": [12345, 1.5, True, [], {"a": 1}, ["x"]],
    "integer": ["abc", 1.5, [], {}, HUGE, -HUGE, True, "1"],
    "boolean": ["maybe", 7, [], {}, "true", 1],
    "number": ["abc", [], {}],
    "array": ["x", 7, {}, [None], [{}], [[]], True],
    "object": ["x", 7, [], True],
}
BAD_JSON = [
    b"",
    b"{",
    b"[",
    b"]",
    b"nul",
    b"'a'",
    b'{"a": }',
    b'{"a": NaN}',
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    b"[]",
    b'"text"',
    b"7",
    b"null",
    b"true",
]
NOBODY = 987_654_321  # an id that nothing has
BAD_IDS = [
    "abc",
    "-1",
    "0",
    "1.5",
    "9" * 30,
    str(2**63),
    "%00",
    "1%20",
    "1.0",
    "%2B1",
    "1_0",
    "%F0%9F%92%A9",
]
BAD_CURSORS = [
    "nonsense",
    "%00",
    "=",
    "bnVsbA",  # null
    "W10",  # []
    "W251bGxd",  # [null]
    "WyJ4Il0",  # ["x"]
    "WzFlOTk5XQ",  # [1e999]
    "WzExODA1OTE2MjA3MTc0MTEzMDM0MjRd",  # [2**70]
    "W3t9XQ",  # [{}]
    "W1sxXV0",  # [[1]]
    "W251bGwsbnVsbF0",  # [null, null]
    "WyJ4IiwieCJd",  # ["x", "x"]
    "WzEsMV0",  # [1, 1]
    "x" * 2000,
]


@dataclass(frozen=True)
class Operation:
    """A route: its parameters by place, and the resolved schema of its JSON body, if it has one."""

    method: str
    path: str
    parameters: list[dict[str, Any]]
    body: dict[str, Any] | None
    may_be_empty: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"

    def query_names(self) -> list[str]:
        return [p["name"] for p in self.parameters if p["in"] == "query"]


@dataclass(frozen=True)
class Case:
    """A request that must be refused; `fields`: one of these is named by a 422."""

    operation: Operation
    why: str
    path: str
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])
    fields: tuple[str, ...] = ()
    status: tuple[int, ...] = (422,)


def operations(document: dict[str, Any]) -> list[Operation]:
    return [
        Operation(
            method.upper(),
            path,
            described.get("parameters", []),
            *_json_body(document, described),
        )
        for path, item in document["paths"].items()
        if path.startswith("/api/")
        for method, described in item.items()
    ]


def _json_body(
    document: dict[str, Any], described: dict[str, Any]
) -> tuple[dict[str, Any] | None, bool]:
    """The schema of the body, None without one, and whether it may be left out."""
    content = described.get("requestBody", {}).get("content", {}).get("application/json")
    if not content:
        return None, False
    schema = _resolved(document, content["schema"])
    choices = [one for one in schema.get("anyOf", [schema]) if one.get("type") != "null"]
    return choices[0] if len(choices) == 1 else schema, choices != [schema]


def _resolved(document: dict[str, Any], schema: Any) -> Any:
    """The schema with every $ref replaced by what it names."""
    if isinstance(schema, list):
        return [_resolved(document, one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _resolved(document, document["components"]["schemas"][name])
    return {key: _resolved(document, value) for key, value in schema.items()}


def fill(path: str, ids: dict[str, Any]) -> str:
    return re.sub(r"{(\w+)}", lambda match: str(ids.get(match[1], NOBODY)), path)


def types_of(schema: dict[str, Any]) -> set[str]:
    """The JSON types that a schema takes."""
    if "anyOf" in schema:
        return set[str]().union(*(types_of(one) for one in schema["anyOf"]))
    found = schema.get("type", "object" if "properties" in schema else "string")
    return {found} if isinstance(found, str) else set(found)


def wrong_values(schema: dict[str, Any]) -> list[Any]:
    """Values of types that the field does not take, and text that no database can hold."""
    types = types_of(schema)
    candidates = [value for kind in types - {"null"} for value in _WRONG[kind]]
    wrong = [value for value in candidates if not _fits(value, types)]
    if "null" not in types and "default" not in schema:
        wrong.append(None)
    if "string" in types:
        wrong += ["a\0b", "\ud800", "x" * 300_000]
    return wrong


def _fits(value: Any, types: set[str]) -> bool:
    match value:
        case bool():
            return "boolean" in types
        case str():
            return "string" in types
        case list():
            return "array" in types and not value
        case int():
            return bool({"integer", "number"} & types) and abs(value) < HUGE
        case float():
            return "number" in types
        case dict():
            return "object" in types and not value
        case _:
            return False


def example(schema: dict[str, Any]) -> Any:
    """Something of the right type, if not of the right content."""
    if "enum" in schema:
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    types = sorted(types_of(schema) - {"null"})
    if types[0] == "array":
        return []
    if schema.get("format") == "date-time":
        return "2099-01-01T00:00:00Z"
    return {} if types[0] == "object" else _EXAMPLES[types[0]]


def cases(operation: Operation, ids: dict[str, Any]) -> Iterator[Case]:
    path = fill(operation.path, ids)
    if operation.body is not None:
        yield from _body_cases(operation, path, operation.body)
    yield from _query_cases(operation, path)
    yield from _id_cases(operation, ids)


def _body_cases(operation: Operation, path: str, schema: dict[str, Any]) -> Iterator[Case]:
    properties: dict[str, Any] = schema.get("properties", {})
    required = schema.get("required", [])
    good = {name: example(properties[name]) for name in required}
    for bad in BAD_JSON:
        named = ("a",) if b"NaN" in bad else ()  # Python's parser takes it; no field is called so
        if operation.may_be_empty and bad in (b"", b"null"):  # then its fields are missed
            named = tuple(properties)
        yield Case(operation, f"body {bad[:20]!r}", path, bad, JSON, ("body", *named))
    yield _json(operation, "extra field", path, {**good, "surprise": 1}, "surprise")
    yield Case(operation, "a form", path, b"a=b", {"Content-Type": "text/plain"}, status=(415, 422))
    big = json.dumps({**good, "filler": "x" * 2 * 1024 * 1024}).encode()
    yield Case(operation, "2 MiB", path, big, JSON, status=(413,))
    for name in required:
        less = {key: value for key, value in good.items() if key != name}
        yield _json(operation, f"without {name}", path, less, name)
    for name, described in properties.items():
        for value in wrong_values(described):
            why = f"{name} = {json.dumps(value)[:40]}"
            yield _json(operation, why, path, {**good, name: value}, name)


def _json(operation: Operation, why: str, path: str, body: Any, name: str) -> Case:
    return Case(operation, why, path, json.dumps(body).encode(), JSON, (name,))


def _query_cases(operation: Operation, path: str) -> Iterator[Case]:
    for name in operation.query_names():
        bad = ["%00"]
        if name == "limit":
            bad += ["0", "-1", "201", "abc", "", "1.5", "9" * 30]
        if name == "cursor":
            bad += BAD_CURSORS
        for value in bad:
            yield Case(operation, f"?{name}={value[:30]}", f"{path}?{name}={value}", fields=(name,))


def _id_cases(operation: Operation, ids: dict[str, Any]) -> Iterator[Case]:
    content = b"{}" if operation.body is not None else None
    for name in re.findall(r"{(\w+)}", operation.path):
        for bad in BAD_IDS:
            path = fill(operation.path, {**ids, name: bad})
            yield Case(operation, f"{name}={bad}", path, content, JSON, status=(404, 422))
