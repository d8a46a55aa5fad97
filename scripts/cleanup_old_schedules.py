"""Delete the schedules in Temporal that no reminder wants any more."""

from soonish.cli.main import script

if __name__ == "__main__":
    script("reminder clean")
