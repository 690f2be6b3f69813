"""What can be said about a job: values for library, server and client alike; any OS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final
from uuid import UUID

from worker.limits import EnforcedLimit
from worker.open_enum import OpenEnum


class JobState(OpenEnum):
    STARTED = "started"  # accepted, not executed yet
    RUNNING = "running"  # until its tree is empty and its output complete
    EXITED = "exited"
    STOPPED = "stopped"
    LOST = "lost"


LIVE: Final = frozenset({JobState.STARTED, JobState.RUNNING})
FINAL: Final = frozenset({JobState.EXITED, JobState.STOPPED, JobState.LOST})

NEXT: Final[Mapping[JobState, frozenset[JobState]]] = MappingProxyType(
    {
        # A server that was down while the job ran sees only the end.
        JobState.STARTED: FINAL | {JobState.RUNNING},
        JobState.RUNNING: FINAL,
        **dict.fromkeys(FINAL, frozenset()),
    }
)


class Outcome(OpenEnum):
    """How the leader ended."""

    EXITED = "exited"
    SIGNALED = "signaled"
    LOST = "lost"


class Cause(OpenEnum):
    """Why the job ended."""

    OWN_EXIT = "own exit"
    STOP = "stop"
    TIME_LIMIT = "time limit"
    MEMORY_LIMIT = "memory limit"
    SHUTDOWN = "shutdown"
    LOST = "lost"


class Stream(OpenEnum):
    ALL = "all"
    STDOUT = "stdout"
    STDERR = "stderr"
    MERGED = "merged"


@dataclass(frozen=True, slots=True)
class OutputSize:
    """Bytes by stream; what was dropped is in none of them."""

    stdout: int = 0
    stderr: int = 0
    merged: int = 0
    dropped: int = 0

    @property
    def total(self) -> int:
        """What can be read."""
        return self.stdout + self.stderr + self.merged


@dataclass(frozen=True, slots=True)
class Usage:
    """Of all processes of a job; its wall time is JobStatus.wall_time.

    What isn't known is None: `peak_memory` (bytes) needs a cgroup.
    """

    user_cpu: timedelta
    system_cpu: timedelta
    peak_memory: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """A job at one moment. What isn't known, or not yet, is None. Times are UTC.

    `exit_code` is the leader's code, or 128 + N where signal N ended it (`outcome` tells).
    `revision` grows with each change, over all jobs.
    """

    id: UUID
    command: str
    arguments: tuple[str, ...]
    state: JobState
    owner: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    created_at: datetime | None  # None: the server knows only the original fields
    started_at: datetime | None = None
    leader_exited_at: datetime | None = None
    ended_at: datetime | None = None
    outcome: Outcome | None = None
    exit_code: int | None = None
    signal: str | None = None
    cause: Cause | None = None
    reason: str = ""
    stopped_by: str | None = None
    output: OutputSize = OutputSize()
    usage: Usage | None = None
    limits: tuple[EnforcedLimit, ...] = ()
    revision: int = 0
    removed: bool = False
    paused: bool = False

    @property
    def is_final(self) -> bool:
        return self.state in FINAL

    @property
    def wall_time(self) -> timedelta | None:
        """From execve(2) until no process of it was left; None before that."""
        if self.started_at is None or self.ended_at is None:
            return None
        return self.ended_at - self.started_at


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive bytes of a job's output.

    `offset` is the position of the first byte; the next to ask for is `offset + len(data)`.
    `stream` and `time` (UTC) are told only where tagged chunks were asked for.
    `skipped` bytes were dropped just before.
    """

    data: bytes
    offset: int
    stream: Stream = Stream.ALL
    time: datetime | None = None
    skipped: int = 0
