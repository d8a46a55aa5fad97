"""Add people, a channel, events and subscriptions to try things with."""

from soonish.cli.main import script

if __name__ == "__main__":
    script("db seed")
