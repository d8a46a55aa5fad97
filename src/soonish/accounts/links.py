"""Where the links in account mails lead. None of them acts on GET (DESIGN 11)."""

from __future__ import annotations

from soonish.accounts.tokens import Purpose

_PATHS = {
    Purpose.VERIFICATION: "/verify?token={}",
    Purpose.MAGIC_LINK: "/verify?token={}",
    Purpose.NEW_EMAIL: "/verify?token={}",
    Purpose.PASSWORD_RESET: "/reset?token={}",
    Purpose.CONFIRM_SUBSCRIPTION: "/confirm/{}",
}


def action_url(base_url: str, purpose: str, token: str) -> str:
    """The page for a token of this purpose; tokens are URL-safe. ValueError if it has no page."""
    return base_url + _PATHS[Purpose(purpose)].format(token)
