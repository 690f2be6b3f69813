"""Processes that no job can be told to have started, or that a keeper which was killed has left.

Without cgroups that is what forked twice with an environment of its own; with them, what root
moved out of its cgroup. They are ended when the keeper ends, or at the next one's start.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from worker.keeper.log import say
from worker.keeper.processes import Process, children_of, descent, mark_of, process
from worker.keeper.tree import signal_if

ROUNDS: Final = 100  # each ends a generation: its children come to us
ROUND_S: Final = 0.02
Seen = Mapping[int, Process]


def end_strays() -> None:
    """When all jobs and the server are over: whoever is left below us is ended, and reaped."""
    for _ in range(ROUNDS):
        rest = descent(children_of(os.getpid()))
        if not rest:
            return
        for pid in rest:
            signal_if(pid, signal.SIGKILL, _is_below_us)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                continue
        time.sleep(ROUND_S)  # nothing else is left to be done
    say(f"{len(rest)} processes can't be ended: {sorted(rest)[:5]}")


def _is_below_us(pid: int) -> bool:
    seen = process(pid)
    while seen and seen.parent != os.getpid():
        seen = process(seen.parent)
    return seen is not None


def end_marked(jobs: Path) -> int:
    """What a keeper that was killed has left of jobs without `ended`, by their environment.

    Where there are no cgroups. Orphans and who descends from them: one that somebody else has
    given such a mark still has its parent, in its own session. A daemon with it dies, too; but
    never who has started us, a job that restarts the service.
    """
    unfinished = {job.name for job in jobs.iterdir() if not (job / "ended").exists()}
    if not unfinished:
        return 0
    pids = (int(name) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208 - names
    seen = {pid: each for pid in pids if (each := process(pid))}
    ours = _above(os.getpid(), seen)
    left = [
        pid
        for pid, each in seen.items()
        if pid not in ours and _is_orphan(each, seen) and mark_of(pid) in unfinished
    ]
    for pid in _below(left, seen) - ours:
        signal_if(pid, signal.SIGKILL, lambda pid: _began(pid) == seen[pid].began)
    return len(left)


def _began(pid: int) -> int | None:
    seen = process(pid)
    return seen and seen.began


def _is_orphan(process: Process, seen: Seen) -> bool:
    """It has come to init or another subreaper, whose session is another. So has who leads one."""
    parent = seen.get(process.parent)
    return parent is None or parent.session != process.session


def _above(pid: int, seen: Seen) -> set[int]:
    """It descends from them, and itself."""
    found = set()
    while pid in seen and pid not in found:
        found.add(pid)
        pid = seen[pid].parent
    return found


def _below(roots: Iterable[int], seen: Seen) -> set[int]:
    """Their descent at that moment."""
    children: dict[int, list[int]] = {}
    for pid, each in seen.items():
        children.setdefault(each.parent, []).append(pid)
    found: set[int] = set()
    todo = list(roots)
    while todo:
        pid = todo.pop()
        if pid not in found:  # what wasn't seen at one moment may be a circle
            found.add(pid)
            todo += children.get(pid, [])
    return found
