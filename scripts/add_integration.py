"""Add a channel, a row per tag: add_integration.py <user_id> [type] [tags]"""

from soonish.cli.main import script

if __name__ == "__main__":
    script("integration add")
