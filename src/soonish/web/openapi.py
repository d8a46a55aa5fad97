"""The API's OpenAPI document, with errors as problem details by status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI

_PROBLEM = "application/problem+json"
_UNSAFE = {"post", "put", "patch", "delete"}
_SCHEMAS: dict[str, Any] = {
    "Problem": {
        "title": "Problem",
        "description": "RFC 9457; `code` is for programs and stays the same.",
        "type": "object",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string"},
        },
    },
    "InvalidInput": {
        "title": "InvalidInput",
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "type": "object",
        "required": ["errors"],
        "properties": {
            "errors": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "type": "object",
                    "required": ["field", "message"],
                    "properties": {
                        "field": {"type": "string", "minLength": 1},
                        "message": {"type": "string"},
                    },
                },
            }
        },
    },
}
_SIGN_IN = ("/api/auth/login", "/api/auth/token")  # a wrong password is 401
_FASTAPIS_OWN = ("HTTPValidationError", "ValidationError")


def describe_errors(app: FastAPI) -> None:
    """Add each operation's error responses to `app.openapi()`."""
    make = app.openapi

    def described() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = make()
            _add_errors(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = described


def _add_errors(document: dict[str, Any]) -> None:
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    for name in _FASTAPIS_OWN:
        schemas.pop(name, None)
    schemas.update(_SCHEMAS)
    for path, item in document["paths"].items():
        for method, operation in item.items():
            responses = operation["responses"]
            responses.pop("422", None)
            for status, description in _errors_of(path, method, operation):
                responses.setdefault(str(status), _response(status, description))


def _errors_of(path: str, method: str, operation: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Yield status and description of every error the operation may return."""
    if operation.get("security") or path in _SIGN_IN:
        yield 401, "No or bad credentials"
    if method in _UNSAFE or operation.get("security"):
        yield 403, "Public, but not yours to do; or a request that another site sent"
    if "{" in path or path.startswith("/api/admin"):
        yield 404, "Not there, or not to be seen by whoever asks"
    if method in _UNSAFE:
        yield 409, "Valid, but not in the present state"
        yield 410, "A token that is unknown, used up or expired"
    if "requestBody" in operation:
        yield 408, "The body took over a minute to arrive"
        yield 413, "A body over 1 MiB"
    if "requestBody" in operation or operation.get("parameters"):
        yield 422, "What is wrong with which field"
    if method in _UNSAFE or operation.get("security"):
        yield 429, "Too many requests; `Retry-After` says when to come back"
    yield 503, "A part that is needed does not answer"


def _response(status: int, description: str) -> dict[str, Any]:
    name = "InvalidInput" if status == 422 else "Problem"
    reference = {"$ref": f"#/components/schemas/{name}"}
    return {"description": description, "content": {_PROBLEM: {"schema": reference}}}
