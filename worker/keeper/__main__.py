"""The keeper: parent of every job, and of the server. Started as `python -I -S FOLDER`."""

import os
import sys
import time
import traceback
from pathlib import Path

# Python puts the started folder first; our own package is found from the one above `worker`,
# last, so that nothing there hides the standard library.
sys.path[0:1] = []
sys.path.append(str(Path(__file__).resolve().parents[2]))


def main(words: list[str]) -> int:
    """The exit status. A check tells what it found in a line, also of what doesn't import."""
    try:
        from worker.keeper import main as steps  # noqa: PLC0415 - inside of the barrier

        return steps.main(words)
    except Exception as fault:
        if words[0] != "--check":
            raise
        last = traceback.extract_tb(fault.__traceback__)[-1]
        what = f"{type(fault).__name__}: {' '.join(str(fault).split())}"
        line = f"{time.strftime('%F %T')} keeper: a fault of ours: {what}"
        os.write(2, f"{line} ({last.filename}:{last.lineno})\n".encode(errors="backslashreplace"))
        return 1


sys.exit(main(sys.argv[1:]))
