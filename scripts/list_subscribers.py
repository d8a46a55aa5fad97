"""List an event's subscribers: list_subscribers.py <event_id>"""

from soonish.cli.main import script

if __name__ == "__main__":
    script("subscriber list")
