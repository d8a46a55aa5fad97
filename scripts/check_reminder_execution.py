"""Compare every reminder with Temporal's schedules."""

from soonish.cli.main import script

if __name__ == "__main__":
    script("reminder check")
