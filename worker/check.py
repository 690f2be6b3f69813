"""`python -m worker.check` tells whether a server would serve in place of the one that runs.

Not worker.server: by that name in its command line the one process is known that serves.
"""

from __future__ import annotations

import sys

from worker.server.entrance import status_of

if __name__ == "__main__":
    sys.exit(status_of("worker.server.replaced"))
