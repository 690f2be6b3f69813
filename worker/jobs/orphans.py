"""What a keeper left that was killed: ended by whoever is left, so that nothing runs unobserved.

Leaders die with the keeper (their parent-death signal); this is for the rest of each tree. Without
cgroups it is the next keeper's start that looks for them.
"""

from __future__ import annotations

import logging
from pathlib import Path

from worker.keeper.cgroup import Cgroup, folder_for, sweep

log = logging.getLogger(__name__)


def end_orphans(state: Path) -> None:
    """Blocks for some seconds at the most: call it in a thread. We hold the lock of `state`."""
    try:
        folder = folder_for(state)
        if folder is None or not (folder / "jobs").exists():
            return
        ended = sweep(Cgroup(folder / "jobs"))
        (folder / "jobs").rmdir()
        folder.rmdir()
    except OSError as error:  # what can't be ended stays, and so does its folder
        log.error("what the keeper left could not be ended: %s", error)
    else:
        if ended:
            log.error("%d processes that the keeper left were ended", ended)
