"""The keeper replaces its own code without a job noticing: one table, passed over an exec.

The process stays the same, and so do its children, their pipes, and the deadlines, which are
monotonic. All else is opened again. Nobody is connected meanwhile: the server has gone before.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from worker.keeper.begin import Begun, Place
from worker.keeper.cgroup import Cgroup
from worker.keeper.child import Failure, Stage
from worker.keeper.facts import Counts, Exit, Extent, Facts, Gap, Stopped
from worker.keeper.job import Job
from worker.keeper.life import Phase
from worker.keeper.record import Record, request_in
from worker.keeper.records import Kind
from worker.keeper.session import SessionTree
from worker.keeper.spawn import Child, program_of
from worker.keeper.tree import CgroupTree

VERSION: Final = 1
LARGEST: Final = 64 * 1024 * 1024


class OtherVersion(Exception):
    """A table that this code doesn't know."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One job: what no file tells, and the descriptors that stay open."""

    job: str
    child: Child  # its pidfd is opened again: until it is reaped its pid is its own
    pipes: Mapping[Kind, int]
    stdin: int | None
    is_contained: bool
    facts: Facts
    counts: Counts
    extent: Extent

    @classmethod
    def of(cls, job: Job) -> Self:
        begun = job.begun
        child = Child(job.leader.pid, -1, job.leader.pending_report)
        output = job.streams.output
        is_contained = isinstance(begun.tree, CgroupTree)
        extent = begun.record.index.extent
        return cls(
            job=job.id,
            child=child,
            pipes=dict(begun.pipes),
            stdin=job.stdin.pipe,
            is_contained=is_contained,
            facts=job.facts,
            counts=output.counts,
            extent=extent,
        )

    @property
    def descriptors(self) -> list[int]:
        some = [fd for fd in (self.child.report, self.stdin) if fd is not None]
        return [*some, *self.pipes.values()]

    def end(self, cgroups: Path | None) -> None:
        """It can't be gone on with: nothing of it may run on unobserved."""
        for fd in self.descriptors:
            with contextlib.suppress(OSError):  # closed by who gave it back
                os.close(fd)
        with contextlib.suppress(OSError):
            if self.is_contained and cgroups:
                Cgroup(cgroups / self.job).kill()
            os.kill(self.child.pid, signal.SIGKILL)  # our child, and not reaped: its pid is its own

    def begun(self, place: Place) -> Begun:
        """As it was before. Raises OSError where a file of it is gone."""
        record = Record(place.folder / self.job, self.extent)
        request = request_in(record.folder)
        pid = self.child.pid
        tree: CgroupTree | SessionTree = SessionTree(pid, self.job, place.orphans)
        if self.is_contained and place.cgroups:
            tree = CgroupTree(Cgroup(place.cgroups / self.job))
        child = Child(pid, os.pidfd_open(pid), self.child.report)
        program = program_of(request)
        return Begun(request, program, record, child, tree, dict(self.pipes), self.stdin)


@dataclass(frozen=True, slots=True)
class Table:
    """What a keeper knows: of the machine, and of its jobs."""

    nofile: tuple[int, int]
    oom_score: str | None
    cgroups: str | None
    has_clone3: bool
    grace_s: float
    jobs: list[Kept]
    refused: list[str] = field(default_factory=list)
    orphans: dict[int, str | None] = field(default_factory=dict)

    def write(self) -> int:
        """The descriptor of a file that is nowhere."""
        fd = os.memfd_create("keeper")
        os.write(fd, json.dumps({"version": VERSION, **asdict(self)}, default=_plain).encode())
        return fd

    def check(self, folder: Path) -> None:
        """Raises where a job's files can't be read by this code."""
        for job in self.jobs:
            request_in(folder / job.job)

    @classmethod
    def read(cls, fd: int) -> Self:
        """Raises OtherVersion, and whatever nonsense makes json and the constructors raise."""
        values = json.loads(os.pread(fd, LARGEST, 0))
        if values.pop("version") != VERSION:
            raise OtherVersion(f"the running keeper's table is not of version {VERSION}")
        values["nofile"] = tuple(values["nofile"])
        values["jobs"] = [_kept(job) for job in values["jobs"]]
        values["orphans"] = {int(pid): job for pid, job in values.get("orphans", {}).items()}
        return cls(**values)


def _plain(value: object) -> object:
    if isinstance(value, Phase):
        return value.name
    raise TypeError(type(value).__name__)


def _kept(values: dict[str, Any]) -> Kept:
    facts, counts, extent = values["facts"], values["counts"], values["extent"]
    failure, seen, stopped = facts["failure"], facts["exit"], facts["stopped"]
    return Kept(
        job=values["job"],
        child=Child(**values["child"]),
        pipes=_by_kind(values["pipes"]),
        stdin=values.get("stdin"),
        is_contained=values["is_contained"],
        facts=Facts(
            grace_s=facts["grace_s"],
            phase=Phase[facts["phase"]],
            started_us=facts["started_us"],
            failure=failure and Failure(**{**failure, "stage": Stage(failure["stage"])}),
            exit=seen and Exit(**seen),
            stopped=stopped and Stopped(**stopped),
            due=facts["due"],
            ends_by=facts.get("ends_by"),
            is_paused=facts.get("is_paused", False),
            accepted=facts.get("accepted", 0),
            stuck=facts.get("stuck", ""),
        ),
        counts=Counts(counts["size"], counts["dropped"], _by_kind(counts["sizes"])),
        extent=Extent(
            extent["size"],
            extent["reserved"],
            {kind: Gap(**gap) for kind, gap in _by_kind(extent["gaps"]).items()},
        ),
    )


def _by_kind(values: dict[str, Any]) -> dict[Kind, Any]:
    """JSON makes text of every key."""
    return {Kind(int(kind)): value for kind, value in values.items()}
