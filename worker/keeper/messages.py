"""What the keeper and whoever uses it say to each other. frames.py puts it on the socket."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, get_args

PROTOCOL: Final = 2


class Refusal(StrEnum):
    CANNOT_EXECUTE = "cannot execute"
    NO_ROOM = "no room"
    DISK_FULL = "disk full"
    EXISTS = "exists"
    NOT_FOUND = "not found"
    LEAVING = "leaving"
    NOT_NOW = "not now"
    OUT_OF_RANGE = "out of range"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame of each side; `epoch` (of the keeper) tells one keeper from the next."""

    protocol: int
    epoch: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The server serves; `grace_s` is what its configuration gives the jobs at the end of all."""

    grace_s: float


@dataclass(frozen=True, slots=True)
class List:
    """Asks for all jobs; the keeper tells nothing before it was asked."""


@dataclass(frozen=True, slots=True)
class Spawn:
    """Answered when execve(2) has succeeded or failed. `path` is searched for the command.

    `uid` None: as the keeper. Limits: `time_s` from execve on, `memory` and `core` in bytes,
    `memory`, `cpus` and `processes` for the whole tree, the others for each process.
    """

    ask: int
    job: str
    command: str
    arguments: list[str]
    environment: dict[str, str]
    path: str
    directory: str
    merged: bool
    grace_s: float
    output_cap: int
    owner: str
    labels: dict[str, str]
    created_us: int
    user: str = ""
    uid: int | None = None
    gid: int | None = None
    groups: list[int] = field(default_factory=list)
    stop_signal: int = 15
    has_input: bool = False
    time_s: float | None = None
    memory: int | None = None
    cpus: float | None = None
    processes: int | None = None
    open_files: int | None = None
    core: int | None = None
    nice: int | None = None
    digest: str = ""  # of what the client asked for


@dataclass(frozen=True, slots=True)
class Stop:
    """Answered when it is recorded and SIGTERM is sent. `grace_s` None: what the job asked for."""

    ask: int
    job: str
    by: str
    grace_s: float | None


@dataclass(frozen=True, slots=True)
class Signal:
    """`number` to each process of the tree, or to the leader alone. SIGSTOP to all pauses."""

    ask: int
    job: str
    number: int
    leader_only: bool


@dataclass(frozen=True, slots=True)
class Input:
    """The frame's raw bytes are for the job's stdin, at `offset` of all that was ever sent.

    Answered by Accepted once its pipe has taken them, by Refused where another Input takes their
    place; what is below the total already is skipped. `end`: nothing follows.
    """

    ask: int
    job: str
    offset: int
    end: bool


@dataclass(frozen=True, slots=True)
class Tell:
    """Asks for one Grown when the output is longer than `beyond` bytes."""

    job: str
    beyond: int


@dataclass(frozen=True, slots=True)
class Leave:
    """To the keeper: end all jobs and go. To the server: drain, the keeper is going."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A job that is not final; `started_us` is None while it is starting."""

    job: str
    size: int
    started_us: int | None
    is_paused: bool
    reason: str


@dataclass(frozen=True, slots=True)
class ListEnd:
    refused: list[str]  # jobs that it was asked for and didn't start, of late


@dataclass(frozen=True, slots=True)
class Done:
    ask: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """Bytes of input in total; a Done for an Input."""

    ask: int
    total: int


@dataclass(frozen=True, slots=True)
class Refused:
    ask: int
    refusal: str
    text: str


@dataclass(frozen=True, slots=True)
class Running:
    job: str
    started_us: int


@dataclass(frozen=True, slots=True)
class Changed:
    """Of a job that runs: it is paused or not any more, or can't be ended, for that reason."""

    job: str
    is_paused: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Grown:
    job: str
    size: int


@dataclass(frozen=True, slots=True)
class Ended:
    """Its tree is empty, its output complete, its `ended` written: all else stands there."""

    job: str


Message = (
    Hello
    | Ready
    | List
    | Spawn
    | Stop
    | Signal
    | Input
    | Tell
    | Leave
    | Listed
    | ListEnd
    | Done
    | Accepted
    | Refused
    | Running
    | Changed
    | Grown
    | Ended
)
CLASSES: Final[dict[str, type[Message]]] = {kind.__name__: kind for kind in get_args(Message)}
