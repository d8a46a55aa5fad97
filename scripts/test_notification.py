"""Send a test message through every active channel, and by mail to TEST_EMAIL."""

from soonish.cli.main import script

if __name__ == "__main__":
    script("integration test")
