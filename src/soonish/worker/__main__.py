"""Run a worker process: `python -m soonish.worker`."""

from soonish.worker.main import main

if __name__ == "__main__":
    main()
