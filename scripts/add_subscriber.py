"""Subscribe somebody: add_subscriber.py <event_id> [email] [tags]"""

from soonish.cli.main import script

if __name__ == "__main__":
    script("subscriber add")
