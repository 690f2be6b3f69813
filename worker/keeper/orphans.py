"""Processes that came to us, a subreaper, when their parents ended: whose they are, and their end.

Each is judged once: its pid is its own until we reap it. Every process of a job whose leader is
gone is one of these or descends from one, so that without cgroups they tell whether any is left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

from worker.keeper.log import say
from worker.keeper.processes import children_of, has_threads, mark_of, name_of, process, tracer_of

ROUNDS: Final = 20  # of one look
NAMED: Final = 10  # strays at once, then one a second: a job may make any number


class Leader(Protocol):
    pid: int


class Led(Protocol):
    @property
    def leader(self) -> Leader: ...


class Orphans:
    """`jobs` are those that run, by id; `others` are children of ours that aren't theirs."""

    def __init__(self, jobs: Mapping[str, Led], others: set[int], *, have_cgroups: bool) -> None:
        self._jobs, self._others, self._have_cgroups = jobs, others, have_cgroups
        self._job_of: dict[int, str | None] = {}  # of children of ours, alive or not reaped yet
        self._budget, self._named_at = float(NAMED), 0.0

    @property
    def judged(self) -> dict[int, str | None]:
        return self._job_of

    def take_over(self, judged: Mapping[int, str | None]) -> None:
        """What was found before a re-exec: a session may have been left since."""
        self._job_of.update(judged)

    def of(self, job: str) -> list[int]:
        return [pid for pid, its in self._job_of.items() if its == job]

    def job_of(self, pid: int) -> str | None:
        """Of a child of ours, which may have come this moment."""
        if pid not in self._job_of:
            self.look()
        return self._job_of.get(pid)

    def look(self) -> bool:
        """Reap the dead, judge the new. False: whoever died while we looked may have left us more.

        SIGCHLD comes for each that dies, and with it the next look.
        """
        return any(self._is_whole() for _ in range(ROUNDS))

    def _is_whole(self) -> bool:
        leaders = {job.leader.pid: name for name, job in self._jobs.items()}
        here = children_of(os.getpid()) - leaders.keys() - self._others
        self._job_of = {pid: job for pid, job in self._job_of.items() if pid in here}
        are_alive = True
        for pid in here:
            if _is_reaped(pid):
                self._job_of.pop(pid, None)
                are_alive = False
            elif pid not in self._job_of:
                job = self._judged(pid, leaders)
                seen = process(pid)
                if seen and (not seen.is_exiting or has_threads(pid)):
                    self._job_of[pid] = job
                    if job is None:
                        self._name(pid)
                elif _may_leave_children(pid):
                    are_alive = False
        return are_alive

    def _judged(self, pid: int, leaders: Mapping[int, str]) -> str | None:
        if self._have_cgroups:
            return _cgroup_among(self._jobs, pid)
        seen = process(pid)
        job = leaders.get(seen.session) if seen else None
        mark = mark_of(pid)
        return job or (mark if mark in self._jobs else None)

    def _name(self, pid: int) -> None:
        now = time.monotonic()
        self._budget = min(NAMED, self._budget + now - self._named_at)
        self._named_at = now
        if self._budget >= 1:
            self._budget -= 1
            say(f"stray process {pid} ({name_of(pid)}): no job that runs has started it")


def _may_leave_children(pid: int) -> bool:
    """One that is exiting: its environment is gone before itself, and it makes no more of them."""
    has_some, seen = bool(children_of(pid)), process(pid)
    return has_some or seen is None or not (seen.is_alive or tracer_of(pid))


def _is_reaped(pid: int) -> bool:
    try:
        return os.waitpid(pid, os.WNOHANG)[0] != 0
    except ChildProcessError:
        return True


def _cgroup_among(jobs: Mapping[str, Led], pid: int) -> str | None:
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return None
    return next((part for part in text.replace("\n", "/").split("/") if part in jobs), None)
