"""Soonish: a notification-first event service."""

__version__ = "0.1.0"
