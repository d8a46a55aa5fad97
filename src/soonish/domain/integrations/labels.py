"""Names, labels and hints of services, where people know them by others than Apprise's metadata."""

from __future__ import annotations


def _(message: str) -> str:
    """Mark a text for translation; the page translates it."""
    return message


POPULAR = (
    "discord",
    "slack",
    "tgram",
    "ntfy",
    "gotify",
    "matrix",
    "signal",
    "whatsapp",
    "workflow",
    "mmost",
    "pover",
    "mailto",
    "json",
)
# Where popular services hide the values their form asks for.
HOW_TO = {
    "discord": _(
        "In Discord: settings of the server or channel, Integrations, Webhooks, New webhook,"
        " then Copy webhook URL."
    ),
    "slack": _(
        "In Slack: add the app Incoming Webhooks to a channel, then copy its webhook address."
    ),
    "tgram": _(
        "In Telegram: write /newbot to @BotFather for a bot token, then a message to your new bot."
        " Your chat ID is what @userinfobot answers."
    ),
    "ntfy": _(
        "Choose a topic that nobody guesses and subscribe to it in the ntfy app. A hostname is only"
        " needed for a server of your own."
    ),
    "gotify": _("In Gotify: Apps, Create application, then copy its token."),
    "workflow": _(
        "In Teams: the channel’s menu, Workflows, “Post to a channel when a webhook request is"
        " received”, then copy the address."
    ),
    "mmost": _("In Mattermost: Integrations, Incoming webhooks, Add, then copy its address."),
    "pover": _("Your user key is on pushover.net; the token is that of an application made there."),
    "json": _("Each message is a POST with title, message and type as JSON."),
}
# Common names of services that Apprise calls differently.
LABELS = {
    "workflow": "Microsoft Teams",
    "mailto": "Email by a server of your own",
    "json": "Webhook (JSON)",
    "form": "Webhook (form)",
    "xml": "Webhook (XML)",
}
ALSO_KNOWN_AS = {
    "workflow": "Power Automate MSTeams",
    "mailto": "email smtp mail",
    "json": "webhook http post",
    "form": "webhook http post",
    "xml": "webhook http post",
    "x": "Twitter tweet",
}


# Common labels of Apprise's most frequent fields. The page translates them.
FIELD_LABELS = {
    "Access Token": _("Access token"),
    "API Key": _("API key"),
    "API Token": _("API token"),
    "Auth Token": _("Access token"),
    "Bot Name": _("Name of the sender"),
    "Bot Token": _("Bot token"),
    "Domain": _("Domain"),
    "Email": _("Email address"),
    "Email Header": _("Email headers"),
    "From Email": _("Sender’s email address"),
    "From Name": _("Name of the sender"),
    "From Phone No": _("Sender’s phone number"),
    "GET Params": _("Query parameters"),
    "Hostname": _("Hostname"),
    "HTTP Header": _("HTTP headers"),
    "Include Image": _("Send an icon along"),
    "Mode": _("Mode"),
    "Password": _("Password"),
    "Path": _("Path"),
    "Payload Extras": _("Extra fields of the message"),
    "Phone No": _("Phone number"),
    "Port": _("Port"),
    "Priority": _("Priority"),
    "Region": _("Region"),
    "Region Name": _("Region"),
    "Reply To": _("Reply to"),
    "Secret": _("Secret"),
    "Secure Mode": _("Encryption"),
    "SMTP Server": _("Mail server"),
    "Sound": _("Sound"),
    "Source Email": _("Sender’s email address"),
    "Tags": _("Tags"),
    "Token": _("Token"),
    "Topic": _("Topic"),
    "URL": _("Web address"),
    "User": _("Username"),
    "User Name": _("Username"),
    "Username": _("Username"),
    "Webhook ID": _("Webhook ID"),
    "Webhook Token": _("Webhook token"),
}
TOKEN_LABELS = {
    ("mailto", "host"): _("Domain of the mail server"),
    ("mailto", "targets"): _("Recipient’s email address"),
}
WHOLE_ADDRESS = _("You can paste a whole web address here, such as https://example.org/hook.")
