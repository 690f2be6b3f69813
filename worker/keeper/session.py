"""A job's tree where there is no cgroup: whoever can be told to be the leader's.

That is its session, all that descend from it, and what came to us, a subreaper, with the job's
mark in its environment. What forks twice and clears its environment isn't found: a stray.
"""

from __future__ import annotations

import os
import signal
from resource import struct_rusage

from worker.keeper.loop import Callback, Loop, Owner
from worker.keeper.processes import below, mark_of, process, snapshot
from worker.keeper.tree import send
from worker.keeper.usage import Used, used_by_leader


class SessionTree:
    """The leader's zombie keeps the number of its session from being reused."""

    def __init__(self, leader: int, job: str) -> None:
        self.leader, self._job = leader, job

    def pids(self) -> list[int]:
        seen = snapshot()
        ours = below([os.getpid()], seen)
        # By the session or the mark: among ours alone, as anybody may wear either.
        roots = {pid for pid in ours if seen.get(pid) and seen[pid].session == self.leader}
        roots |= {pid for pid in ours - roots if pid != os.getpid() and mark_of(pid) == self._job}
        found = below({self.leader, *roots}, seen)
        # The leader first: what it makes of a signal isn't to depend on its children's ends.
        first = sorted(found, key=lambda pid: (pid != self.leader, pid))
        return [pid for pid in first if pid in seen and seen[pid].is_alive]

    def has(self, pid: int) -> bool:
        """The same for one process: by it, or one that it descends from, up to us."""
        is_own, at = False, pid
        while at != os.getpid():
            seen = process(at)
            if seen is None or not seen.parent or (at == pid and not seen.is_alive):
                return False
            is_own = is_own or self.leader in (at, seen.session) or mark_of(at) == self._job
            at = seen.parent
        return is_own

    def used(self, by_leader: struct_rusage) -> Used:
        return used_by_leader(by_leader)

    def is_empty(self) -> bool:
        return not self.pids()

    def kill(self) -> None:
        send(self, signal.SIGKILL, self.pids())

    def watch(self, loop: Loop, on_change: Callback, owner: Owner) -> None:
        """The keeper hears of each end of its children, and looks at all trees that end."""

    def unwatch(self, loop: Loop) -> None:
        """Nothing is watched."""

    def close(self) -> None:
        """Nothing is held."""
