"""All that a job needs before it runs, taken in order; a failure gives everything back."""

from __future__ import annotations

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from worker.keeper import controllers
from worker.keeper.cgroup import Cgroup
from worker.keeper.child import Program
from worker.keeper.messages import Spawn
from worker.keeper.orphans import Orphans
from worker.keeper.output import pipe, stdin_pipe
from worker.keeper.record import Record, remove
from worker.keeper.records import Kind
from worker.keeper.session import SessionTree
from worker.keeper.spawn import Child, Spawner, program_of
from worker.keeper.tree import CgroupTree


@dataclass(frozen=True, slots=True)
class Begun:
    """A child on its way to execve, and what belongs to it; `pipes` are our ends by stream."""

    request: Spawn
    program: Program
    record: Record
    child: Child
    tree: CgroupTree | SessionTree
    pipes: dict[Kind, int]
    stdin: int | None = None

    def give_back(self) -> None:
        """It can't be run after all: nothing of it stays but its folder."""
        with contextlib.ExitStack() as rest:
            rest.callback(self.record.close)
            rest.callback(self.tree.close)
            for pipe in self.pipes.values():
                rest.callback(os.close, pipe)
            if self.stdin is not None:
                rest.callback(os.close, self.stdin)
            if self.child.report is not None:
                rest.callback(os.close, self.child.report)
            rest.callback(os.close, self.child.pidfd)
            self.tree.kill()
            signal.pidfd_send_signal(self.child.pidfd, signal.SIGKILL)
            os.waitid(os.P_PIDFD, self.child.pidfd, os.WEXITED)


class Place(Protocol):
    """Where jobs are kept on this machine."""

    folder: Path
    cgroups: Path | None
    controllers: frozenset[str]
    spawner: Spawner
    orphans: Orphans


def begin(request: Spawn, place: Place) -> Begun:
    """Raises FileExistsError if the job's folder is claimed already, OSError without room.

    Raises CannotLimit for a limit that nothing here keeps.
    """
    controllers.check(request, place.controllers)
    streams = [Kind.RUN_MERGED] if request.merged else [Kind.RUN_STDOUT, Kind.RUN_STDERR]
    program = program_of(request)
    with contextlib.ExitStack() as undo, contextlib.ExitStack() as given:
        record = Record.claimed(place.folder / request.job, request)
        undo.callback(remove, record.folder)
        undo.callback(record.close)
        pipes, writing = {}, []
        for stream in streams:
            pipes[stream], end = pipe()
            undo.callback(os.close, pipes[stream])
            given.callback(os.close, end)
            writing.append(end)
        outputs = writing[0], writing[-1]
        stdin, reading = None, place.spawner.null
        if request.has_input:
            reading, stdin = stdin_pipe()
            undo.callback(os.close, stdin)
            given.callback(os.close, reading)
            writing.append(reading)
        if request.uid is not None:
            # Or /dev/stderr is denied to it. Who isn't root can't; the child says so better.
            with contextlib.suppress(PermissionError):
                for end in writing:
                    os.fchown(end, request.uid, -1)
        cgroup, tree = None, None
        if place.cgroups:
            cgroup = Cgroup(place.cgroups / request.job)
            undo.callback(cgroup.remove)
            controllers.limit(request, cgroup)
            tree = CgroupTree(cgroup)
            undo.callback(tree.close)
        child = place.spawner.start(program, (reading, *outputs), cgroup)
        undo.pop_all()
        return Begun(
            request,
            program,
            record,
            child,
            tree or SessionTree(child.pid, request.job, place.orphans),
            pipes,
            stdin,
        )
