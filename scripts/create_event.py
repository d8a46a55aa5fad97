"""Make an event of TEST_EMAIL (or the seed's organizer) and start its workflow."""

from soonish.cli.main import script

if __name__ == "__main__":
    script("event create")
