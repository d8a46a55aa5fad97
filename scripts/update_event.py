"""Rename an event and tell its subscribers: update_event.py <event_id> [new_name]"""

import sys
import time

from soonish.cli.main import script

if __name__ == "__main__":
    if len(sys.argv) == 2:
        sys.argv.append(f"Updated event {time.strftime('%H:%M:%S')}")
    script("event update")
