"""The cgroup controllers that keep limits for whole trees: memory, cpu, pids.

A controller works in our jobs' cgroups if every folder above passes it on, and a folder that
passes controllers on may hold no process (EBUSY): so the keeper moves to `service` beside them.
Source: "Control Group v2" in the kernel's documentation: No Internal Process Constraint.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from worker.keeper.cgroup import SERVICE, Cgroup
from worker.keeper.log import say
from worker.keeper.messages import Spawn

WANTED: Final = ("memory", "cpu", "pids")
PERIOD_US: Final = 100_000
LEAST_QUOTA_US: Final = 1000


class CannotLimit(Exception):
    """A limit that nothing here keeps for a whole tree."""


def passed_on(jobs: Path) -> frozenset[str]:
    """Those that work in the folders below `jobs`, once they are passed on as far as can be."""
    own = jobs.parent.parent
    given = _words(own / "cgroup.controllers").intersection(WANTED)
    if given and not given <= _words(own / "cgroup.subtree_control"):
        _move_away(own)
    for folder in (own, jobs.parent, jobs):
        for name in sorted(given):
            try:
                (folder / "cgroup.subtree_control").write_text(f"+{name}")
            except OSError as error:
                say(f"no limits by {name}: {folder} can't pass it on: {error.strerror}")
                given -= {name}
    return frozenset(given)


def _move_away(own: Path) -> None:
    """Only ourselves: whoever else is there isn't ours to move."""
    try:
        Cgroup(own / SERVICE)
        (own / SERVICE / "cgroup.procs").write_text(str(os.getpid()))
    except OSError as error:
        say(f"{own / SERVICE} can't be used: {error.strerror}")


def _words(path: Path) -> set[str]:
    try:
        return set(path.read_text().split())
    except OSError:
        return set()


def check(request: Spawn, controllers: frozenset[str]) -> None:
    """Raises CannotLimit, naming the field."""
    asked = {"memory": request.memory, "cpus": request.cpus, "processes": request.processes}
    for (name, value), controller in zip(asked.items(), WANTED, strict=True):
        if value is not None and controller not in controllers:
            raise CannotLimit(
                f"limits.{name} can't be kept here: the cgroup v2 controller {controller} isn't"
                " given to the service (systemd: Delegate=yes)"
            )


def limit(request: Spawn, cgroup: Cgroup) -> None:
    """Before the first process is in it. Raises OSError."""
    for name, value in _files(request):
        path = cgroup.path / name
        if path.exists() or value != "0":  # without swap there is nothing to limit
            path.write_text(value)


def _files(request: Spawn) -> Iterator[tuple[str, str]]:
    if request.memory is not None:
        yield "memory.max", str(request.memory)
        yield "memory.swap.max", "0"
    if request.cpus is not None:
        quota_us = max(LEAST_QUOTA_US, round(request.cpus * PERIOD_US))
        yield "cpu.max", f"{quota_us} {PERIOD_US}"
    if request.processes is not None:
        yield "pids.max", str(request.processes)
