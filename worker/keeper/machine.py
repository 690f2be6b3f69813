"""What this machine lets the keeper do: found out by doing it, and said in one line."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import resource
from pathlib import Path
from typing import Final

from worker.keeper.cgroup import Cgroup, folder_for, sweep
from worker.keeper.child import Surroundings
from worker.keeper.log import say
from worker.keeper.spawn import Spawner

PR_SET_DUMPABLE: Final = 4
PR_SET_CHILD_SUBREAPER: Final = 36
OOM_SCORE: Final = Path("/proc/self/oom_score_adj")
LOWERED: Final = "-500"


def own_descriptors() -> None:
    """0 to 2 are open, and no job inherits any other."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - names are what it is about
        if int(name) > 2:  # noqa: PLR2004
            with contextlib.suppress(OSError):  # the one that this listing was read from
                fcntl.fcntl(int(name), fcntl.F_SETFD, fcntl.FD_CLOEXEC)


def become_parent() -> None:
    """Orphans come to us, and nobody looks into our memory. Lost by an exec: prctl(2)."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def raised_limit() -> tuple[int, int]:
    """What we were given of open files; from now on the soft limit is the hard one."""
    given = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (given[1], given[1]))
    return given


def lowered_oom_score() -> str | None:
    """What it was, for the jobs; None if it could not be lowered."""
    try:
        before = OOM_SCORE.read_text()
        OOM_SCORE.write_text(LOWERED)
    except OSError:
        return None
    return before


def ways(state: Path, around: Surroundings) -> tuple[Path | None, Spawner]:
    """The folder for the jobs' cgroups, or None, and how children are made."""
    with_clone3 = Spawner(around, has_clone3=True)
    with_fork = Spawner(around, has_clone3=False)
    cgroups = _swept_cgroups(state)
    if cgroups:
        probe = Cgroup(cgroups / "probe")
        try:
            for spawner, name in ((with_clone3, "clone3"), (with_fork, "fork")):
                if spawner.works(probe):
                    say(f"jobs start by {name} in cgroups below {cgroups}")
                    return cgroups, spawner
        finally:
            probe.remove()
    name, spawner = ("clone3", with_clone3) if with_clone3.works(None) else ("fork", with_fork)
    say(f"jobs start by {name}, without cgroups: only their session is contained")
    return None, spawner


def _swept_cgroups(state: Path) -> Path | None:
    try:
        folder = folder_for(state)
        if folder is None:
            return None
        jobs = Cgroup(folder / "jobs")
        left = sweep(jobs)
    except OSError as error:
        say(f"no cgroups: {error}")
        return None
    if left:
        say(f"{left} processes that an earlier keeper left were ended")
    return jobs.path if jobs.can_kill else None


def leave_cgroups(cgroups: Path) -> None:
    with contextlib.suppress(OSError):  # what could not be ended keeps its folder
        Cgroup(cgroups).remove()
        cgroups.parent.rmdir()
