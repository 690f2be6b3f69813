"""Processes that came to us, a subreaper, and that no job can be told to have started.

Without cgroups that is what forked twice with an environment of its own; with them, what root
moved out of its cgroup. They are named once, and ended when the keeper ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from worker.keeper.log import say
from worker.keeper.processes import Process, Snapshot, below, mark_of, name_of, snapshot

ROUNDS: Final = 100  # each ends a generation: its children come to us
ROUND_S: Final = 0.02


class Strays:
    def __init__(self) -> None:
        self._judged: set[int] = set()

    def look(self, children: set[int], is_a_jobs: Callable[[int], bool]) -> None:
        """`children` came to us, and are alive; each is judged once."""
        new, self._judged = children - self._judged, children
        for pid in new:
            if not is_a_jobs(pid):
                say(f"stray process {pid} ({name_of(pid)}): no job that runs has started it")


def end_strays() -> None:
    """When all jobs and the server are over: whoever is left below us is ended, and reaped."""
    for _ in range(ROUNDS):
        rest = below([os.getpid()], snapshot()) - {os.getpid()}
        if not rest:
            return
        for pid in rest:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        time.sleep(ROUND_S)  # nothing else is left to be done
    say(f"{len(rest)} processes can't be ended: {sorted(rest)[:5]}")


def end_marked(jobs: Path) -> int:
    """What a keeper that was killed has left of jobs without `ended`, by their environment.

    Where there are no cgroups. Orphans and who descends from them: one that somebody else has
    given such a mark still has its parent, in its own session. A daemon with it dies, too.
    """
    unfinished = {job.name for job in jobs.iterdir() if not (job / "ended").exists()}
    if not unfinished:
        return 0
    seen = snapshot()
    left = [
        pid for pid, each in seen.items() if _is_orphan(each, seen) and mark_of(pid) in unfinished
    ]
    for pid in below(left, seen):
        if seen[pid].is_alive:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
    return len(left)


def _is_orphan(process: Process, seen: Snapshot) -> bool:
    """It has come to init or another subreaper, whose session is another. So has who leads one."""
    parent = seen.get(process.parent)
    return parent is None or parent.session != process.session
