"""The URL schemes of Apprise 2.2 that a user may store; any other of its 255 is refused.

Each listed plugin was reviewed: it speaks HTTP through `requests` (or SMTP through smtplib), so
that the socket guard sees all it does, and it needs no file of this machine.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Services at fixed addresses: the host of their URL is a token.
HOSTED = _words(
    """
    46elks atalk azure bluesky brevo bsky bulksms bulkvs burstsms chanify
    clickatell clicksend cliq cm d7sms dapnet dingtalk discord dot eight00com elks exotel fcm
    feishu firehydrant flock freemobile gchat github groundmail groupme guilded gupshup
    httpsms ifttt ilert incidentio jira join kakao kakaotalk kaleyra kavenegar klr kook
    kudosity kumulos lark lauther lfg line mailersend mailgun mobilemessage mobilemsg msg91
    msgbird nexmo notifiarr notifyre o365 octopush onesignal opsgenie pagerduty pagertree pbul
    pingram plivo postmark pover prowl psafer psafers push pushed pushme pushplus pushward
    pushy qq reddit resend revolt ringc ryver schan sendgrid sendpulse serwersms ses seven sfr
    signalgrid signl4 simplepush sinch slack smsc smsmanager smsmgr smstunnel smtp2go sns
    sparkpost spike splunk spugpush spush squadcast stackfield strmlabs telesign telnyx tgram
    threema tweet twilio twist twitter viber victorops voipms vonage webex wechat wecom
    wecombot whapi whatsapp wpush wxpusher wxteams x youlmk zalo zcliq zohocliq zoom
    """
)

# Services at an address that the user gives: the guard decides whether it may be reached.
BY_HOST = _words(
    """
    apprise apprises bark barks betterstack emby embys enigma2 enigma2s evolution evolutions
    flowtriq flowtriqs fluxer fluxers form forms goalert goalerts gorush gorushs gotify gotifys
    hassio hassios humhub humhubs infobip jellyfin jellyfins json jsons kodi kodis lametric
    lametrics mailto mailtos mastodon mastodons matrix matrixs misskey misskeys mmost mmosts
    ncloud nclouds nctalk nctalks notica noticas notifico notificos ntfy ntfys onebot onebots
    parsep parseps pinglet pinglets pjet pjets pushdeer pushdeers rocket rockets session
    sessions signal signals smseagle smseagles sogs synology synologys toot toots trigv trigvs
    workflow workflows xbmc xbmcs xmatters xml xmls zulip
    """
)

ALLOWED = HOSTED | BY_HOST

# Refused, because they act on the machine that Soonish runs on.
LOCAL = _words("blink1 dbus gio glib gnome kde macosx qt syslog windows")
# Refused, because they open raw sockets, which no HTTP guard sees.
RAW_SOCKET = _words("amqp amqps aprs growl irc ircs mqtt mqtts nostr rsyslog smpp smpps xmpp xmpps")
# Refused, because they read keys from this machine's files, or store them there.
LOCAL_FILES = _words("deltachat deltachats vapid")
# Plain webhooks: they get the message's id as a header.
WEBHOOKS = _words("form forms json jsons xml xmls")
# Their `template` is an id at the service; for others it is a file of this machine.
SERVICE_TEMPLATES = _words("gupshup kaleyra klr notifyre onesignal sendgrid sendpulse whatsapp")

# HTTP headers that belong to the connection; a user's URL may not choose them.
CONNECTION_HEADERS = _words(
    """
    accept-encoding connection content-length cookie expect host keep-alive
    proxy-authorization proxy-connection te trailer transfer-encoding upgrade
    """
)
