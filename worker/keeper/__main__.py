"""The keeper: parent of every job, and of the server. Started as `python -I -S FOLDER`."""

import sys
from pathlib import Path

# Python puts the started folder first; our own package is found from the one above `worker`,
# last, so that nothing there hides the standard library.
sys.path[0:1] = []
sys.path.append(str(Path(__file__).resolve().parents[2]))

from worker.keeper.main import main  # noqa: E402 - the path comes first

sys.exit(main(sys.argv[1:]))
