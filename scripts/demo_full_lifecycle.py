"""The whole life of an event, and what arrived where."""

from soonish.cli.main import script

if __name__ == "__main__":
    script("demo")
