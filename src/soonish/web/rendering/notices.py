"""One-time messages after a redirect; the cookie carries a name from this table, never text."""

from __future__ import annotations

from starlette.requests import Request

from soonish.i18n import _

NOTICE_COOKIE = "soonish_notice"

NOTICES = {
    "signed_in": _("You are signed in."),
    "signed_out": _("You are signed out."),
    "verified": _("Your address is verified and you are signed in."),
    "password_changed": _("Your password is changed. You can sign in with it now."),
    "choose_password": _(
        "You are signed in. To sign in without a mail next time, choose a password in your account."
    ),
    "password_set": _("Your password is saved."),
    "profile_saved": _("Your profile is saved."),
    "erased": _("Everything about you is erased."),
    "session_ended": _("That session is signed out."),
    "sessions_ended": _("All other sessions are signed out."),
    "token_revoked": _("That token works no longer."),
    "address_asked": _("Open the link in the mail that we send there. Until then nothing changes."),
    "login_disconnected": _("That login is no longer connected."),
    "event_created": _("Your event is ready. Share its link, and people can subscribe."),
    "private_event_created": _("Your event is ready. Only people you invite see it."),
    "event_updated": _("Saved. Subscribers are being told what changed."),
    "event_unchanged": _("Nothing changed, so nobody was told."),
    "event_cancelled": _("The event is cancelled. Everybody is being told."),
    "message_sent": _("Your message is on its way."),
    "retrying": _("Trying the failed ones again."),
    "subscriber_approved": _("They are subscribed, and are being welcomed."),
    "subscriber_rejected": _("Their request is declined, and they are being told."),
    "invited": _("The invitations are on their way."),
    "invitation_revoked": _("That invitation lets nobody in any more."),
    "organizer_added": _("They can organize this event with you, and are being told."),
    "organizer_removed": _("They do not organize this event any more."),
    "transferred": _("The event has a new owner. You stay as a co-organizer."),
    "subscriber_removed": _("They are no longer subscribed, and are being told."),
    "subscribed": _("You are subscribed."),
    "asked": _("The organizer decides about your subscription. You will be told by mail."),
    "subscription_saved": _("Saved. That is where you will be told."),
    "unsubscribed": _("You are unsubscribed."),
    "reminders_saved": _("Your reminders are saved."),
    "remind_me_added": _("You will be reminded."),
    "remind_me_removed": _("That reminder is gone."),
    "integration_added": _("Your channel is ready."),
    "integration_failed": _("Saved, but the test message did not arrive, so it is switched off."),
    "integration_saved": _("Saved."),
    "integration_deleted": _("That channel is deleted."),
    "user_deactivated": _("They are signed out and cannot sign in any more."),
    "user_reactivated": _("They can sign in again."),
    "test_arrived": _("The test message was accepted. Look at your channel."),
    "test_failed": _("The test message was not accepted."),
}

_BAD_NEWS = ("integration_failed", "test_failed")


def read_notice(request: Request) -> str:
    """Return the notice's name from the redirect; over https its cookie has a prefix
    (web/security.py)."""
    return request.cookies.get(f"__Host-{NOTICE_COOKIE}") or request.cookies.get(NOTICE_COOKIE, "")


def notice_of(name: str) -> tuple[str, str] | None:
    """Return tone (`good`, `warn`) and untranslated text of a notice; None for an unknown name."""
    if name not in NOTICES:
        return None
    return "warn" if name in _BAD_NEWS else "good", NOTICES[name]
