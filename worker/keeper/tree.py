"""All processes of a job: who they are, ending them, and proof that none is left.

A signal goes only through a pidfd opened for a pid that is then seen to belong to the job:
between the two looks the pid may have been reused, but the pidfd doesn't follow it.
"""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable
from resource import struct_rusage
from typing import Final, Protocol

from worker.keeper.cgroup import Cgroup
from worker.keeper.log import say
from worker.keeper.loop import URGENT, Callback, Loop, Owner
from worker.keeper.processes import name_of, process, tracer_of
from worker.keeper.usage import Used, used_by_leader, used_in

# Of pidfd_open(2): the last two, by kernel, where the number is a thread's by now.
GONE: Final = frozenset({errno.ESRCH, errno.EINVAL, errno.ENOENT})
ROUNDS: Final = 10
NAMED: Final = 5


class Tree(Protocol):
    """The processes that a job's leader stands at the top of."""

    def pids(self) -> list[int]:
        """Of the living ones, the leader included."""

    def has(self, pid: int) -> bool: ...

    def is_empty(self) -> bool: ...

    def kill(self) -> None:
        """SIGKILL to all; they may take a moment to be gone."""


class CgroupTree:
    """With cgroup v2 nobody gets out, and the kernel tells when the last one is gone."""

    def __init__(self, cgroup: Cgroup) -> None:
        self.cgroup = cgroup
        events = cgroup.path / "cgroup.events"
        self.events: int | None = os.open(events, os.O_RDONLY | os.O_CLOEXEC)

    def pids(self) -> list[int]:
        return self.cgroup.pids()

    def has(self, pid: int) -> bool:
        return self.cgroup.has(pid)

    def used(self, by_leader: struct_rusage) -> Used:
        try:
            return used_in(self.cgroup.path)
        except OSError:  # somebody has removed it: that is no reason to lose the job
            return used_by_leader(by_leader)

    def is_empty(self) -> bool:
        return self.events is None or b"populated 0" in os.pread(self.events, 4096, 0)

    def kill(self) -> None:
        if self.events is not None:
            self.cgroup.kill()

    def watch(self, loop: Loop, on_change: Callback, owner: Owner) -> None:
        if self.events is not None:
            loop.watch(self.events, on_change, owner, URGENT)

    def unwatch(self, loop: Loop) -> None:
        if self.events is not None:
            loop.forget(self.events)

    def close(self) -> None:
        """The tree is empty: its folder can go. Closing twice is no error."""
        events, self.events = self.events, None
        if events is None:
            return
        os.close(events)
        try:
            self.cgroup.remove()
        except OSError as error:  # a stranger went in: the next start sweeps
            say(f"the cgroup of {self.cgroup.path.name}: {error.strerror}")


def terminate(tree: Tree, number: int, *, is_paused: bool) -> None:
    """`number` once to each process, then SIGCONT to those that are stopped (signal(7)).

    A SIGSTOP that was just sent may not have worked yet: of a paused tree all are told to go on.
    """
    asked = tree.pids()
    send(tree, number, asked)
    send(tree, signal.SIGCONT, [pid for pid in asked if is_paused or _is_stopped(pid)])


def send_to_all(tree: Tree, number: int) -> None:
    """Once to each process; of what is born meanwhile SIGSTOP leaves nothing running."""
    reached: set[int] = set()
    for _ in range(ROUNDS if number == signal.SIGSTOP else 1):
        new = [pid for pid in tree.pids() if pid not in reached]
        if not new:
            return
        send(tree, number, new)
        reached.update(new)


def send(tree: Tree, number: int, pids: list[int]) -> None:
    for pid in pids:
        signal_if(pid, number, tree.has)


def signal_if(pid: int, number: int, belongs: Callable[[int], bool]) -> None:
    try:
        pidfd = os.pidfd_open(pid)
    except OSError as error:
        if error.errno in GONE:
            return
        raise
    try:
        if belongs(pid):
            signal.pidfd_send_signal(pidfd, number)
    except (ProcessLookupError, PermissionError):
        pass  # gone; or it has more rights than we, and stays in the tree that isn't empty
    finally:
        os.close(pidfd)


def survivors(pids: list[int]) -> str:
    """Of SIGKILL, each with its state: a D is in the kernel, where nothing ends it.

    A zombie is one only if a debugger has it.
    """
    shown = []
    for pid in dict.fromkeys(pids):
        seen, tracer = process(pid), tracer_of(pid)
        if seen and (seen.is_alive or tracer):
            by = f", traced by pid {tracer}" if tracer else ""
            shown.append(f"pid {pid} ({name_of(pid)}, {seen.state}{by})")
    return f"SIGKILL was sent, and still there: {', '.join(shown[:NAMED])}" if shown else ""


def _is_stopped(pid: int) -> bool:
    seen = process(pid)
    return seen is not None and seen.state == "T"
