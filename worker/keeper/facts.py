"""What a keeper knows of a job that no file tells yet.

It is all in one place because it is handed over when the keeper re-executes itself.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.keeper.child import Failure
from worker.keeper.life import Phase
from worker.keeper.records import SIGNALED, Kind
from worker.keeper.usage import Used


@dataclass(frozen=True, slots=True)
class Exit:
    """Of the leader: `code` or `signal`, never both."""

    code: int | None
    signal: int | None
    at_us: int

    @property
    def value(self) -> int:
        """As the index records it."""
        return self.code if self.code is not None else SIGNALED | (self.signal or 0)


@dataclass(frozen=True, slots=True)
class Stopped:
    """By whom and why: the first that was recorded is the one that is named."""

    by: str | None
    cause: str
    reason: str = ""


@dataclass(slots=True)
class Facts:
    """`grace_s` counts from the entry into ENDING; `due` is the time (monotonic) of its timer.

    `ends_by` (monotonic): its time limit. `accepted`: bytes of input. `stuck`: why it can't be
    ended.
    """

    grace_s: float
    phase: Phase = Phase.STARTING
    started_us: int | None = None
    failure: Failure | None = None
    exit: Exit | None = None
    stopped: Stopped | None = None
    due: float | None = None
    ends_by: float | None = None
    is_paused: bool = False
    accepted: int = 0
    stuck: str = ""
    used: Used | None = None  # told when the tree is empty

    def change(self, *, is_paused: bool | None, stuck: str | None) -> bool:
        """None: as it is. Whether that changes anything."""
        before = self.is_paused, self.stuck
        self.is_paused = self.is_paused if is_paused is None else is_paused
        self.stuck = self.stuck if stuck is None else stuck
        return (self.is_paused, self.stuck) != before


@dataclass(slots=True)
class Counts:
    """Of an output: bytes by stream (RUN kinds), and those that were dropped."""

    size: int = 0
    dropped: int = 0
    sizes: dict[Kind, int] = field(
        default_factory=lambda: dict.fromkeys(
            (Kind.RUN_STDOUT, Kind.RUN_STDERR, Kind.RUN_MERGED), 0
        )
    )


@dataclass(frozen=True, slots=True)
class Gap:
    """The last of one stream: where its record is, before which offset, how much is missing."""

    position: int
    offset: int
    missing: int


@dataclass(slots=True)
class Extent:
    """Of an index: what is written, and what is reserved on the disk."""

    size: int = 0
    reserved: int = 0
    gaps: dict[Kind, Gap] = field(default_factory=dict)
