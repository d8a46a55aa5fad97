"""A message to all and one person's reminder, and what arrived."""

from soonish.cli.main import script

if __name__ == "__main__":
    script("demo --patterns")
