"""Make or update the database and add the development data."""

from soonish.cli.main import script

if __name__ == "__main__":
    script("db upgrade", "db seed")
