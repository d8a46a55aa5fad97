"""The wording of mails about an account, an address or a channel.

Their values are in `Content.extra`: `url` (without it the slot `{{action_url}}` stays, to be
filled with a token just before the send), `seconds` (how long the link works; the default is in
docs/architecture.md#secrets), and per kind `email`, `channel`, `problem`, `event`, `organizer`.
"""

from __future__ import annotations

from collections.abc import Callable

from soonish.delivery.texts.blocks import NAME_LIMIT, Action, Draft, Paragraph, Rows
from soonish.delivery.texts.content import Content
from soonish.delivery.texts.humanize import duration_in_words
from soonish.delivery.texts.safe_text import one_line
from soonish.i18n import Language
from soonish.infra.db.models.notifications import NotificationKind as Kind

ACTION_SLOT = "{{action_url}}"
_DAY, _HOUR, _MINUTE = 86_400, 3_600, 60

Wording = Callable[[Content, Language], Draft]


def account_draft(content: Content, t: Language) -> Draft:
    """Word one of ACCOUNT_KINDS. Raises KeyError for any other kind."""
    return ACCOUNT_KINDS[content.kind](content, t)


def _draft(
    content: Content,
    t: Language,
    *,
    title: str,
    button: str,
    paragraphs: tuple[str, ...],
    reason: str = "",
) -> Draft:
    """Return a draft of paragraphs and one button; the first paragraph is also the preheader."""
    return Draft(
        title=title,
        preheader=paragraphs[0],
        reason=reason or _because_entered(t),
        blocks=tuple(Paragraph(text) for text in paragraphs),
        action=Action(button, content.extra.get("url") or ACTION_SLOT),
    )


def _verification(content: Content, t: Language) -> Draft:
    return _draft(
        content,
        t,
        title=t.gettext("Confirm your email address"),
        button=t.gettext("Confirm address"),
        paragraphs=(
            t.gettext("Welcome to Soonish! One click shows that this address is yours."),
            _works_once_for(content, t, 7 * _DAY),
            _not_you(t),
        ),
    )


def _already_registered(content: Content, t: Language) -> Draft:
    return _draft(
        content,
        t,
        title=t.gettext("You already have a Soonish account"),
        button=t.gettext("Log in"),
        paragraphs=(
            t.gettext("Somebody, probably you, tried to register with this address."),
            t.gettext(
                "There is no need to: it already has an account. Log in instead; if you have "
                "forgotten the password, the login page helps you to a new one."
            ),
            t.gettext("If that was not you, nothing has changed and you need not do anything."),
        ),
    )


def _magic_link(content: Content, t: Language) -> Draft:
    return _draft(
        content,
        t,
        title=t.gettext("Your link to sign in to Soonish"),
        button=t.gettext("Sign in"),
        paragraphs=(
            t.gettext("Here is the link you asked for. It signs you in without a password."),
            _works_once_for(content, t, 15 * _MINUTE),
            t.gettext("Never pass it on: whoever opens it is signed in as you."),
            _not_you(t),
        ),
    )


def _password_reset(content: Content, t: Language) -> Draft:
    return _draft(
        content,
        t,
        title=t.gettext("Choose a new password"),
        button=t.gettext("Choose a new password"),
        paragraphs=(
            t.gettext("Somebody, probably you, asked for a new password for this account."),
            _works_once_for(content, t, _HOUR),
            t.gettext("If that was not you, ignore this mail: the old password stays."),
        ),
    )


def _password_needed(content: Content, t: Language) -> Draft:
    return _draft(
        content,
        t,
        title=t.gettext("Set a password for your account"),
        button=t.gettext("Set a password"),
        paragraphs=(
            t.gettext("Your address is confirmed, but your account has no password yet."),
            _works_once_for(content, t, _HOUR),
            t.gettext("Without one you can still sign in with a link sent to this address."),
        ),
    )


def _new_email(content: Content, t: Language) -> Draft:
    return _draft(
        content,
        t,
        title=t.gettext("Confirm your new email address"),
        button=t.gettext("Confirm new address"),
        paragraphs=(
            t.gettext("You asked to use this address for your Soonish account from now on."),
            _works_once_for(content, t, 7 * _DAY),
            t.gettext("Until you confirm it, the old address stays in use."),
            _not_you(t),
        ),
    )


def _email_changed(content: Content, t: Language) -> Draft:
    """Word the mail to the old address; `email` is the new one, masked or not by the caller."""
    new = one_line(content.extra.get("email"), 320)
    told = t.gettext("Your Soonish account now uses another address.")
    known = t.gettext("Your Soonish account now uses the address %(email)s.") % {"email": new}
    return _draft(
        content,
        t,
        title=t.gettext("Your email address was changed"),
        button=t.gettext("Check your account"),
        paragraphs=(
            known if new else told,
            t.gettext("This old address gets nothing more from it."),
            t.gettext("If that was not you, sign in, change your password and end all sessions."),
        ),
        reason=t.gettext("You get this because this address belonged to a Soonish account."),
    )


def _confirm_subscription(content: Content, t: Language) -> Draft:
    named = {"name": _event_name(content) or t.gettext("an event")}
    return _draft(
        content,
        t,
        title=t.gettext("Confirm your subscription to %(name)s") % named,
        button=t.gettext("Confirm subscription"),
        paragraphs=(
            t.gettext("One click, and you are told about every change of %(name)s.") % named,
            _works_once_for(content, t, 7 * _DAY),
            t.gettext("If that was not you, ignore this mail: you will hear nothing more."),
        ),
    )


def _invitation(content: Content, t: Language) -> Draft:
    named = _event_and_organizer(content, t)
    return _draft(
        content,
        t,
        title=t.gettext("You're invited to %(name)s") % named,
        button=t.gettext("Open the invitation"),
        paragraphs=(
            t.gettext("%(organizer)s invites you to %(name)s.") % named,
            t.gettext("Open the invitation to see the event, and subscribe if you like."),
            t.gettext("You are not subscribed: unless you do so, you will hear nothing more."),
        ),
        reason=t.gettext("You get this because the organizer entered this address."),
    )


def _co_organizer(content: Content, t: Language) -> Draft:
    named = _event_and_organizer(content, t)
    return _draft(
        content,
        t,
        title=t.gettext("You help to organize %(name)s") % named,
        button=t.gettext("Open the event"),
        paragraphs=(
            t.gettext("%(organizer)s made you a co-organizer of %(name)s.") % named,
            t.gettext(
                "Sign in with this address to see its subscribers, change it and write messages. "
                "If you have no account yet, register with this address first."
            ),
        ),
        reason=t.gettext("You get this because the organizer entered this address."),
    )


def _new_owner(content: Content, t: Language) -> Draft:
    named = _event_and_organizer(content, t)
    return _draft(
        content,
        t,
        title=t.gettext("%(name)s is yours now") % named,
        button=t.gettext("Open the event"),
        paragraphs=(
            t.gettext("%(organizer)s handed %(name)s over to you.") % named,
            t.gettext("You alone can cancel it, hand it over and choose who organizes it."),
        ),
        reason=t.gettext("You get this because the event belongs to your Soonish account."),
    )


def _approval_wanted(content: Content, t: Language) -> Draft:
    named = _event_and_organizer(content, t)
    return _draft(
        content,
        t,
        title=t.gettext("Somebody asks to join %(name)s") % named,
        button=t.gettext("Decide"),
        paragraphs=(
            t.gettext("At least one person waits for your approval to %(name)s.") % named,
            t.gettext(
                "Until you approve, they get no messages. You get one mail for all who wait."
            ),
        ),
        reason=t.gettext("You get this because you organize %(name)s.") % named,
    )


def _rejected(content: Content, t: Language) -> Draft:
    named = _event_and_organizer(content, t)
    told = t.gettext("The organizer has decided not to accept your subscription to %(name)s.")
    nothing = t.gettext("You are not subscribed, and will hear nothing more about it.")
    return Draft(
        title=t.gettext("Your request to join %(name)s was declined") % named,
        preheader=told % named,
        reason=t.gettext("You get this because you asked to join %(name)s.") % named,
        blocks=(Paragraph(told % named), Paragraph(nothing)),
        action=None,
    )


def _channel_failing(content: Content, t: Language) -> Draft:
    named = {"channel": _channel(content, t)}
    draft = _draft(
        content,
        t,
        title=t.gettext("Your channel %(channel)s does not work") % named,
        button=t.gettext("Check your channels"),
        paragraphs=(
            t.gettext("A message for you could not be delivered over %(channel)s.") % named,
            t.gettext(
                "Please check whether its address or access has changed. Without a success it "
                "is switched off after 5 days. You are told this only once."
            ),
        ),
        reason=_because_channel(t),
    )
    return _with_problem(draft, content, t)


def _channel_off(content: Content, t: Language) -> Draft:
    named = {"channel": _channel(content, t)}
    draft = _draft(
        content,
        t,
        title=t.gettext("Your channel %(channel)s was switched off") % named,
        button=t.gettext("Check your channels"),
        paragraphs=(
            t.gettext("Nothing could be delivered over %(channel)s for 5 days.") % named,
            t.gettext("Correct it and switch it on again to get messages there."),
        ),
        reason=_because_channel(t),
    )
    return _with_problem(draft, content, t)


def _test(content: Content, t: Language) -> Draft:
    named = {"channel": _channel(content, t)}
    text = t.gettext("If you can read this, %(channel)s works.") % named
    url = content.extra.get("url")
    return Draft(
        title=t.gettext("A test from Soonish"),
        preheader=text,
        reason=_because_channel(t),
        blocks=(Paragraph(text),),
        action=Action(t.gettext("Your channels"), url) if url else None,
    )


ACCOUNT_KINDS: dict[str, Wording] = {
    Kind.VERIFICATION: _verification,
    Kind.ALREADY_REGISTERED: _already_registered,
    Kind.MAGIC_LINK: _magic_link,
    Kind.PASSWORD_RESET: _password_reset,
    Kind.PASSWORD_NEEDED: _password_needed,
    Kind.NEW_EMAIL: _new_email,
    Kind.EMAIL_CHANGED: _email_changed,
    Kind.CONFIRM_SUBSCRIPTION: _confirm_subscription,
    Kind.INVITATION: _invitation,
    Kind.CO_ORGANIZER: _co_organizer,
    Kind.NEW_OWNER: _new_owner,
    Kind.APPROVAL_WANTED: _approval_wanted,
    Kind.REJECTED: _rejected,
    Kind.CHANNEL_FAILING: _channel_failing,
    Kind.CHANNEL_OFF: _channel_off,
    Kind.TEST: _test,
}


# the section of the organizer's event page that their button opens
FOR_ORGANIZERS: dict[str, str] = {
    Kind.CO_ORGANIZER: "",
    Kind.NEW_OWNER: "",
    Kind.APPROVAL_WANTED: "/subscribers",
}


def _works_once_for(content: Content, t: Language, default_seconds: int) -> str:
    seconds = int(content.extra.get("seconds") or default_seconds)
    words = duration_in_words(seconds, str(t.locale))
    return t.gettext("The link works once and for %(duration)s.") % {"duration": words}


def _with_problem(draft: Draft, content: Content, t: Language) -> Draft:
    problem = one_line(content.extra.get("problem"), 300)
    if not problem:
        return draft
    first, *rest = draft.blocks
    told = Rows(((t.gettext("What happened"), problem),))
    return Draft(draft.title, draft.preheader, draft.reason, (first, told, *rest), draft.action)


def _event_name(content: Content) -> str:
    name = content.facts.name if content.facts else content.extra.get("event")
    return one_line(name, NAME_LIMIT)


def _event_and_organizer(content: Content, t: Language) -> dict[str, str]:
    organizer = one_line(content.extra.get("organizer"), NAME_LIMIT)
    return {
        "name": _event_name(content) or t.gettext("an event"),
        "organizer": organizer or t.gettext("The organizer"),
    }


def _channel(content: Content, t: Language) -> str:
    return one_line(content.extra.get("channel"), 100) or t.gettext("this channel")


def _not_you(t: Language) -> str:
    return t.gettext("If that was not you, ignore this mail: nothing happens.")


def _because_entered(t: Language) -> str:
    return t.gettext("You get this because this address was entered at Soonish.")


def _because_channel(t: Language) -> str:
    return t.gettext("You get this because the channel belongs to your Soonish account.")
