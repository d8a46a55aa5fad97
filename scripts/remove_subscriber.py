"""End a subscription: remove_subscriber.py <event_id> [email]"""

from soonish.cli.main import script

if __name__ == "__main__":
    script("subscriber remove")
