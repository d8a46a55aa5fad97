"""Structured logs without secrets: `timestamp level service message` and the request's context."""

from __future__ import annotations

import logging
import os
import re
import sys
from pathlib import Path
from typing import Any, cast
from urllib.parse import urlsplit

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from soonish.config import Settings
from soonish.ops.log_files import LOG_FILE, LogFile, shown_on_console

# These print addresses, SQL parameters or the paths of webhook URLs below WARNING.
_CHATTY = (
    "aiosqlite",
    "alembic",
    "asyncio",
    "hpack",
    "httpcore",
    "httpx",
    "httpx2",
    "mail.log",
    "markdown_it",
    "requests",
    "sqlalchemy",
    "urllib3",
    "uvicorn.access",
    "uvicorn.error",
)
_EVENT_WORKFLOW = re.compile(r"event-(\d+)-")
_SCALARS = (int, float, bool, type(None))
_EMAIL = re.compile(r"[^\s@<>\"'(),:;=\[\]{}]{1,256}@[^\s@<>\"'(),:;=\[\]{}/]+")
_URL = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s<>\"'`]+")


class Redactor:
    """The last processor before a line is rendered, which masks addresses and URLs in all values.

    A URL keeps its scheme, and its host if that is our own; the rest of it may be a token.
    """

    def __init__(self, own_url: str) -> None:
        self._own_host = urlsplit(own_url).netloc.rpartition("@")[2]

    def __call__(self, logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        for key, value in event.items():
            # structlog's own keys, for later processors, start with an underscore.
            if not key.startswith("_"):
                event[key] = self.redact(value)
        return event

    def redact(self, value: Any) -> Any:
        """Return `value` with the text in it masked; containers are copied, objects become text."""
        if isinstance(value, _SCALARS):
            return value
        if isinstance(value, dict):
            items = cast("dict[Any, Any]", value).items()
            return {key: self.redact(item) for key, item in items}
        if isinstance(value, list | tuple | set | frozenset):
            return [self.redact(item) for item in cast("list[Any]", value)]
        return self._text(str(value))

    def _text(self, text: str) -> str:
        if "://" in text:
            text = _URL.sub(self._mask_url, text)
        return _EMAIL.sub("[address]", text) if "@" in text else text

    def _mask_url(self, match: re.Match[str]) -> str:
        scheme, _, rest = match.group().partition("://")
        host = re.split(r"[/?#]", rest, maxsplit=1)[0].rstrip(".,;:)")
        if host == self._own_host:
            return f"{scheme}://{host}" + ("/[redacted]" if len(rest) > len(host) + 1 else "")
        return f"{scheme}://[redacted]"


def configure_logging(settings: Settings, service: str) -> None:
    """Send structlog's and the standard library's logs to stderr in one format.

    Under `soonish up` they go to the part's log file as well, and the console shows fewer.
    `service` (api, worker, up, ...) is on every line; level and format come from LOG_LEVEL and
    LOG_FORMAT. Exceptions are printed without local variables, which may be secrets.
    """
    level = logging.getLevelNamesMapping().get(settings.log_level, logging.INFO)
    shared = _shared_processors(service)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # loggers must follow later configuration
    )
    root = logging.getLogger()
    root.handlers[:] = _handlers(settings, shared)
    root.setLevel(level)
    _quiet(level)


def _handlers(settings: Settings, shared: list[Processor]) -> list[logging.Handler]:
    console = logging.StreamHandler(sys.stderr)
    console.setFormatter(_formatter(settings, shared, colors=sys.stderr.isatty()))
    path = os.environ.get(LOG_FILE)
    if not path:
        return [console]
    if settings.log_format == "console" and settings.log_level != "DEBUG":
        console.addFilter(shown_on_console)
    file = LogFile(Path(path))
    file.setFormatter(_formatter(settings, shared, colors=False))
    return [console, file]


def _shared_processors(service: str) -> list[Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        _event_of_the_workflow,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        _adds_service(service),
        structlog.processors.format_exc_info,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.EventRenamer("message"),
    ]


def _adds_service(service: str) -> Processor:
    def add(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        return event

    return add


def _event_of_the_workflow(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    if found := _EVENT_WORKFLOW.match(str(event.get("workflow_id"))):
        event.setdefault("event_id", int(found[1]))
    return event


def _temporal_ids(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    """Take the workflow's id from the dict that Temporal's loggers attach to the record."""
    record = event.get("_record")
    for attribute in ("temporal_workflow", "temporal_activity"):
        context: Any = getattr(record, attribute, None)
        if isinstance(context, dict) and "workflow_id" in context:
            event.setdefault("workflow_id", cast("dict[str, Any]", context)["workflow_id"])
    return event


def _formatter(settings: Settings, shared: list[Processor], colors: bool) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[_temporal_ids, *shared],
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            Redactor(settings.base_url),
            *_renderer(settings.log_format, colors),
        ],
    )


def _renderer(log_format: str, colors: bool) -> list[Processor]:
    if log_format == "json":
        return [_in_order, structlog.processors.JSONRenderer(ensure_ascii=False)]
    console = structlog.dev.ConsoleRenderer(
        colors=colors,
        event_key="message",
        pad_event_to=0,
        exception_formatter=structlog.dev.plain_traceback,
    )
    return [console]


def _in_order(logger: WrappedLogger, name: str, event: EventDict) -> EventDict:
    first = ("timestamp", "level", "service", "message")
    return {key: event[key] for key in (*first, *(k for k in event if k not in first))}


def _quiet(level: int) -> None:
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))
    # Apprise logs the URLs it gets, even at CRITICAL.
    logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)
    for name in ("uvicorn", "uvicorn.access", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
