"""The exit statuses: what a script may rely on."""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from cli.descriptors import CannotWrite
from cli.stdin import CannotRead
from worker.errors import (
    InternalError,
    JobError,
    JobNotFound,
    NoRoom,
    PermissionDenied,
    SetupError,
    TimedOut,
    Unauthenticated,
    Unavailable,
)


class ExitStatus(IntEnum):
    DONE = 0
    LOST = 1
    SETUP = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    REFUSED = 5
    UNAVAILABLE = 6
    CANNOT_WRITE = 7
    FAULT = 70
    TIME_IS_UP = 124
    OURS = 125
    INTERRUPTED = 130
    READER_GONE = 141


MEANING: Final = {
    ExitStatus.DONE: "done; for logs: complete, however the job ended",
    ExitStatus.LOST: "logs: how the job ended isn't known (LOST)",
    ExitStatus.SETUP: "the command line, the configuration or a certificate must be mended",
    ExitStatus.NOT_FOUND: "no such job",
    ExitStatus.NOT_ALLOWED: "the server refuses the certificate, or its role doesn't allow it",
    ExitStatus.REFUSED: "the request must be mended: no such command, offset beyond the end, ...",
    ExitStatus.UNAVAILABLE: "not now: no server, no room, or the connection broke; try again",
    ExitStatus.CANNOT_WRITE: "stdout or stderr takes no more: disk full, or closed",
    ExitStatus.FAULT: "a fault of the server's or of this program's own",
    ExitStatus.TIME_IS_UP: "wait: the time is up; run: a time limit made a job end with 0",
    ExitStatus.OURS: "run, wait: any of 1 to 70, said on stderr; all else is the job's own status",
    ExitStatus.INTERRUPTED: "Ctrl-C (only that of run stops a job); run: a stop made it end with 0",
    ExitStatus.READER_GONE: "whoever read our output has gone (| head)",
}

# The class of an error, else the nearest above it.
STATUS: Final[dict[type[BaseException], ExitStatus]] = {
    SetupError: ExitStatus.SETUP,
    JobNotFound: ExitStatus.NOT_FOUND,
    Unauthenticated: ExitStatus.NOT_ALLOWED,
    PermissionDenied: ExitStatus.NOT_ALLOWED,
    NoRoom: ExitStatus.UNAVAILABLE,
    TimedOut: ExitStatus.UNAVAILABLE,
    Unavailable: ExitStatus.UNAVAILABLE,
    InternalError: ExitStatus.FAULT,
    JobError: ExitStatus.REFUSED,
    CannotRead: ExitStatus.SETUP,
    CannotWrite: ExitStatus.CANNOT_WRITE,
}

# Verbs whose status is the job's: there a failure of ours must not look like one of the job.
PASSING_ON: Final = frozenset({"run", "wait"})


def exit_status(error: Exception) -> ExitStatus:
    kinds = type(error).__mro__
    return next((STATUS[kind] for kind in kinds if kind in STATUS), ExitStatus.FAULT)


def as_told_by(verb: str | None, status: ExitStatus) -> ExitStatus:
    """That of a failure of ours."""
    is_mixed_up = verb in PASSING_ON and status is not ExitStatus.READER_GONE
    return ExitStatus.OURS if is_mixed_up else status
