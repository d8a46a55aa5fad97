"""Soonish: a notification-first event service."""
