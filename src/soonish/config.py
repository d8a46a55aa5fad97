"""Settings, each an environment variable or a line of `.env` (docs/settings.md)."""

from __future__ import annotations

import ipaddress
import logging
import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, computed_field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from soonish.errors import ConfigurationError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
CommaList = Annotated[list[str], NoDecode]
ReminderOffset = Annotated[int, Field(ge=60, le=31_536_000)]  # seconds before the start
SECRET_NAMES = ("SECRET_KEY", "ENCRYPTION_KEY", "FINGERPRINT_KEY")
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}


def soonish_home() -> Path:
    """Return the folder of the database, the secrets and Temporal's state."""
    return Path(os.environ.get("SOONISH_HOME") or ".soonish").resolve()


FROM_FILE = "SOONISH_SECRETS_FROM_FILE"  # the names that `load_secrets_file` has set
Days = Annotated[float, Field(ge=0, le=36500)]


class Settings(BaseSettings):
    """All settings, named as in the environment but lowercase; units in names or comments."""

    model_config = SettingsConfigDict(
        env_file=(".env",),
        extra="ignore",
        env_ignore_empty=True,
        populate_by_name=True,
        allow_inf_nan=False,
    )

    # database
    database_url: str = ""
    db_pool_size: int = Field(5, ge=1)
    db_max_overflow: int = Field(10, ge=0)
    db_pool_recycle: int = Field(1800, ge=1)  # seconds
    db_statement_timeout: float = Field(30, gt=0)  # seconds

    # Temporal
    temporal_url: str = ""
    temporal_namespace: str = "default"
    temporal_task_queue: str = "soonish-task-queue"
    temporal_workflow_task_queue: str = ""
    temporal_activity_task_queue: str = ""
    temporal_api_key: str = ""
    temporal_tls_ca: str = ""  # path of a PEM file
    temporal_tls_cert: str = ""  # path of a PEM file
    temporal_tls_key: str = ""  # path of a PEM file
    temporal_tls_server_name: str = ""
    max_concurrent_activities: int = Field(50, ge=1)
    max_concurrent_workflow_tasks: int = Field(50, ge=2)
    max_concurrent_activity_task_polls: int = Field(5, ge=1)
    max_concurrent_workflow_task_polls: int = Field(5, ge=2)
    delivery_batch_size: int = Field(200, ge=1, le=1000)

    # secrets: no defaults; `soonish up` generates missing ones once
    secret_key: str = ""
    encryption_key: str = ""
    fingerprint_key: str = ""
    jwt_algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    access_token_expire_minutes: int = Field(60, ge=1)
    session_idle_hours: float = Field(24, gt=0)
    session_max_days: float = Field(7, gt=0)
    metrics_token: str = ""
    oidc_issuer: str = ""
    oidc_client_id: str = ""
    oidc_client_secret: str = ""

    # addresses
    base_url: str = ""
    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    soonish_home: Path = Field(default_factory=soonish_home)
    temporal_port: int = Field(7233, ge=1, le=65535)
    temporal_ui_port: int = Field(8233, ge=1, le=65535)
    mail_catcher_port: int = Field(1025, ge=1, le=65535)
    workers: int = Field(default_factory=lambda: max(1, os.cpu_count() or 1), ge=1)
    trusted_proxies: CommaList = []
    cors_origins: CommaList = []
    redis_url: str = ""

    # mail
    smtp_server: str = ""
    smtp_port: int = Field(0, ge=0, le=65535)  # 0: the usual port of SMTP_SECURITY
    smtp_security: Literal["starttls", "tls", "none"] = "starttls"
    smtp_username: str = ""
    smtp_password: str = ""
    smtp_from: str = ""
    test_email: str = ""
    gmail_user: str = ""
    gmail_app_password: str = ""
    proton_user: str = ""
    proton_app_password: str = ""

    # behaviour
    event_grace_days: float = Field(7, ge=0, le=3650)
    default_reminders: Annotated[list[ReminderOffset], NoDecode] = [86400, 3600]
    # retention periods; 0: forever
    retention_events_days: Days = 365
    retention_deliveries_days: Days = 90
    retention_audit_days: Days = 365
    retention_outbox_days: Days = 7
    retention_sessions_days: Days = 30
    retention_tokens_days: Days = 30
    retention_invitations_days: Days = 30
    retention_addresses_days: Days = 30
    anonymous_opt_in: Literal["single", "double"] = "single"
    rate_limits_enabled: bool = True
    channel_rates: CommaList = []  # kind=messages a minute/burst
    egress_allowed_networks: CommaList = []
    environment: Literal["development", "production"] = "development"
    debug: bool = False
    log_level: str = "INFO"
    log_format: Literal["", "console", "json"] = ""

    @field_validator(
        "trusted_proxies",
        "cors_origins",
        "egress_allowed_networks",
        "channel_rates",
        "default_reminders",
        mode="before",
    )
    @classmethod
    def _split_commas(cls, value: Any) -> Any:
        return (
            [part.strip() for part in value.split(",") if part.strip()]
            if isinstance(value, str)
            else value
        )

    @property
    def double_opt_in(self) -> bool:
        """True if an address must confirm an anonymous subscription."""
        return self.anonymous_opt_in == "double"

    @field_validator("log_level")
    @classmethod
    def _check_level(cls, value: str) -> str:
        if value.upper() not in (known := logging.getLevelNamesMapping()):
            raise ValueError(f"use one of {', '.join(known)}")
        return value.upper()

    @field_validator("base_url")
    @classmethod
    def _check_base_url(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("must be an address such as https://soonish.example")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _check_origins(cls, value: list[str]) -> list[str]:
        for origin in value:
            parts = urlsplit(origin)
            if origin != f"{parts.scheme}://{parts.netloc}" or not parts.hostname:
                raise ValueError(f"{origin} is no origin such as https://app.example")
        return value

    @field_validator("redis_url")
    @classmethod
    def _check_redis_url(cls, value: str) -> str:
        if value and not value.startswith(("redis://", "rediss://")):
            raise ValueError("must be an address such as redis://localhost:6379/0")
        return value

    @field_validator("oidc_issuer")
    @classmethod
    def _check_issuer(cls, value: str) -> str:
        parts = urlsplit(value)
        if value and (parts.scheme not in ("http", "https") or not parts.hostname):
            raise ValueError("must be the provider's address, such as https://id.example")
        return value

    @field_validator("egress_allowed_networks", "trusted_proxies")
    @classmethod
    def _check_networks(cls, value: list[str]) -> list[str]:
        for network in value:
            ipaddress.ip_network(network, strict=False)
        return value

    @field_validator("channel_rates")
    @classmethod
    def _check_rates(cls, value: list[str]) -> list[str]:
        from soonish.kit.rates import parse_rate

        for entry in value:
            parse_rate(entry)
        return value

    @field_validator("soonish_home")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @model_validator(mode="after")
    def _derive(self) -> Settings:
        self.database_url = _async_database_url(
            self.database_url or f"sqlite+aiosqlite:///{self.soonish_home}/soonish.db"
        )
        self.base_url = (self.base_url or f"http://localhost:{self.port}").rstrip("/")
        if bool(self.oidc_issuer) != bool(self.oidc_client_id):
            raise ConfigurationError("OIDC_ISSUER and OIDC_CLIENT_ID are needed together.")
        self.log_level = "DEBUG" if self.debug else self.log_level
        self.log_format = self.log_format or ("json" if self.production else "console")
        _apply_mail_presets(self)
        return self

    @property
    def production(self) -> bool:
        return self.environment == "production"

    @property
    def is_sqlite(self) -> bool:
        return self.database_url.startswith("sqlite")

    @property
    def temporal_address(self) -> str:
        """host:port of Temporal's frontend: TEMPORAL_URL, else that of `soonish up`."""
        return self.temporal_url or f"127.0.0.1:{self.temporal_port}"

    @property
    def workflow_queue(self) -> str:
        return self.temporal_workflow_task_queue or self.temporal_task_queue

    @property
    def activity_queue(self) -> str:
        return self.temporal_activity_task_queue or self.temporal_task_queue

    @cached_property
    def encryption_keys(self) -> list[str]:
        """The Fernet keys, of which the first encrypts."""
        return [key.strip() for key in self.encryption_key.split(",") if key.strip()]

    @cached_property
    def allowed_networks(self) -> list[Network]:
        return [ipaddress.ip_network(n, strict=False) for n in self.egress_allowed_networks]

    @computed_field
    @property
    def uses_mail_catcher(self) -> bool:
        """True if no SMTP server is set, so that `soonish up` catches the mail itself."""
        return self.smtp_server == "127.0.0.1" and self.smtp_port == self.mail_catcher_port

    def check_secrets(self) -> None:
        """Raise ConfigurationError if a secret is missing, short or no valid key."""
        from cryptography.fernet import Fernet

        for name in SECRET_NAMES:
            value = getattr(self, name.lower())
            if len(value) < 32:
                what = "is missing" if not value else "is shorter than 32 characters"
                raise ConfigurationError(
                    f"{name} {what}. `soonish up` makes it; elsewhere set it in the environment."
                )
        for key in self.encryption_keys:
            try:
                Fernet(key)
            except ValueError as error:
                raise ConfigurationError(
                    "ENCRYPTION_KEY holds a key that is not 32 url-safe base64 bytes."
                ) from error
        if self.production and not self.base_url.startswith("https://"):
            raise ConfigurationError("BASE_URL must start with https:// in production.")
        if self.production and self.oidc_issuer.startswith("http://"):
            raise ConfigurationError("OIDC_ISSUER must start with https:// in production.")


def _async_database_url(url: str) -> str:
    driver, separator, rest = url.partition("://")
    if not separator or driver not in _DRIVERS:
        known = "sqlite+aiosqlite:///path or postgresql+asyncpg://user:password@host/name"
        raise ConfigurationError(f"DATABASE_URL has an unknown driver {driver!r}; use {known}.")
    return f"{_DRIVERS[driver]}://{rest}"


def _apply_mail_presets(settings: Settings) -> None:
    """Fill SMTP_* from the Gmail and Proton presets, else for the built-in mail catcher."""
    if not settings.smtp_server and settings.gmail_user:
        settings.smtp_server = "smtp.gmail.com"
        _take_credentials(settings, settings.gmail_user, settings.gmail_app_password)
    elif settings.proton_user and not settings.smtp_username:
        if not settings.smtp_server:
            raise ConfigurationError(
                "PROTON_USER needs SMTP_SERVER, the address of Proton's bridge."
            )
        _take_credentials(settings, settings.proton_user, settings.proton_app_password)
    if not settings.smtp_server and not settings.production:
        settings.smtp_server, settings.smtp_port = "127.0.0.1", settings.mail_catcher_port
        settings.smtp_security = "none"
    if not settings.smtp_port:
        settings.smtp_port = {"starttls": 587, "tls": 465, "none": 25}[settings.smtp_security]
    if not settings.smtp_from:
        host = urlsplit(settings.base_url).hostname or "localhost"
        settings.smtp_from = settings.smtp_username or f"Soonish <soonish@{host}>"


def _take_credentials(settings: Settings, user: str, password: str) -> None:
    settings.smtp_username = settings.smtp_username or user
    settings.smtp_password = settings.smtp_password or password
    settings.smtp_from = settings.smtp_from or user


def load_secrets_file(home: Path) -> bool:
    """Copy `<home>/secrets.env` into the environment; return True if that changed anything.

    Variables that are set already are kept, unless an earlier call set them: a child process of
    `up` must not use an outdated key that it inherited.
    """
    before = dict(os.environ)
    for name, value in read_secrets_file(home).items():
        if not os.environ.get(name) or is_from_file(name):
            os.environ[name] = value
            os.environ[FROM_FILE] = ",".join(sorted({*_names_from_file(), name}))
    return before != dict(os.environ)


def read_secrets_file(home: Path) -> dict[str, str]:
    """Return the values of `<home>/secrets.env` by name; empty if there is no such file."""
    path = home / "secrets.env"
    pairs = (
        [line.partition("=") for line in path.read_text().splitlines()] if path.is_file() else []
    )
    return {name.strip(): value.strip() for name, separator, value in pairs if separator}


def is_from_file(name: str) -> bool:
    """Return True if the process has this secret from the file, so that changes there count."""
    return name in _names_from_file()


def _names_from_file() -> set[str]:
    return {name for name in os.environ.get(FROM_FILE, "").split(",") if name}


def load_settings(**overrides: Any) -> Settings:
    """Read the settings from environment, `.env` and `<home>/secrets.env`.

    Raises ConfigurationError with one line that names the variable and the remedy.
    """
    settings = _read_settings(overrides)
    # `.env` may set the home, so its secrets are known only now.
    return _read_settings(overrides) if load_secrets_file(settings.soonish_home) else settings


def _read_settings(overrides: dict[str, Any]) -> Settings:
    try:
        return Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        cause = first.get("ctx", {}).get("error")
        if isinstance(cause, ConfigurationError):
            raise cause from error
        name = str(first["loc"][0]).upper() if first["loc"] else "settings"
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigurationError(f"{name}: {message}") from error
