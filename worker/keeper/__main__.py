"""The keeper: parent of every job, and of the server. Started as a folder: `python -I -S FOLDER`.

STATE --lock FD --program FD                                        used by a program (library)
STATE --lock FD --listen FD,FD --server FD [--shutdown-grace S]     its server is what FD holds:
                                                                    a command as a list of JSON
"""

import sys
from pathlib import Path

# Python puts the started folder first; our own package is found from the one above `worker`,
# last, so that nothing there hides the standard library.
sys.path[0:1] = []
sys.path.append(str(Path(__file__).resolve().parents[2]))

from worker.keeper.main import main  # noqa: E402 - the path comes first

sys.exit(main(sys.argv[1:]))
