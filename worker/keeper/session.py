"""A job's tree where there is no cgroup: whoever can be told to be the leader's.

That is all that descend from it, and what came to us, a subreaper, with its session or the job's
mark. What forks twice and clears its environment isn't found: a stray.
"""

from __future__ import annotations

import signal
from resource import struct_rusage

from worker.keeper.loop import Callback, Loop, Owner
from worker.keeper.orphans import Orphans
from worker.keeper.processes import descent, has_threads, process
from worker.keeper.tree import send
from worker.keeper.usage import Used, used_by_leader


class SessionTree:
    """The leader's zombie keeps the number of its session from being reused."""

    def __init__(self, leader: int, job: str, orphans: Orphans) -> None:
        self.leader, self._job, self._orphans = leader, job, orphans
        self._began: dict[int, int] = {}  # of those that were found last

    def pids(self) -> list[int]:
        self._orphans.look()
        found = descent([self.leader, *self._orphans.of(self._job)])
        self._began = {
            pid: seen.began
            for pid in found
            if (seen := process(pid)) and (seen.parent in found or self._is_ours(pid))
        }
        # The leader first: what it makes of a signal isn't to depend on its children's ends.
        # Zombies, too: other threads of one may run.
        return sorted(self._began, key=lambda pid: (pid != self.leader, pid))

    def has(self, pid: int) -> bool:
        """As `pids` has found it: the time of its start tells it from who gets its number."""
        seen = process(pid)
        return pid == self.leader or (seen is not None and seen.began == self._began.get(pid))

    def _is_ours(self, pid: int) -> bool:
        return pid == self.leader or self._orphans.job_of(pid) == self._job

    def used(self, by_leader: struct_rusage) -> Used:
        return used_by_leader(by_leader)

    def is_empty(self) -> bool:
        if self._runs() or _is_alive(self.leader):
            return False
        return self._orphans.look() and not self._runs()

    def _runs(self) -> bool:
        """Any of those that have come to us; a zombie that a tracer holds doesn't."""
        return any(_is_alive(pid) or has_threads(pid) for pid in self._orphans.of(self._job))

    def kill(self) -> None:
        send(self, signal.SIGKILL, self.pids())

    def watch(self, loop: Loop, on_change: Callback, owner: Owner) -> None:
        """The keeper hears of each end of its children, and looks at all trees that end."""

    def unwatch(self, loop: Loop) -> None:
        """Nothing is watched."""

    def close(self) -> None:
        """Nothing is held."""


def _is_alive(pid: int) -> bool:
    seen = process(pid)
    return seen is not None and seen.is_alive
