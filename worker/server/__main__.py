"""The serving process, a child of the keeper: `python -I -m worker.server`."""

import sys

from worker.server.entrance import status_of

if __name__ == "__main__":
    sys.exit(status_of("worker.server.serve"))
