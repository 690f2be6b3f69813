"""Everything that can go wrong, as one tree; `worker.rpc.statuses` gives each answer its code.

WorkerError
├── SetupError               nothing could be asked yet: mend the file that it names
│   ├── BadConfig            a configuration, certificate or key
│   ├── BadState             a state directory that can't be used (rights, a newer version)
│   └── StateInUse           another server or Registry owns the state directory
└── JobError                 the answer to a request
    ├── InvalidRequest       mend the request
    │   └── CannotExecute    ... its command: no file, no right, no interpreter, no directory
    ├── JobNotFound          no such job (any more)
    ├── JobExists            that id belongs to another request: choose a new one
    ├── NotNow               the job's state doesn't allow it
    ├── OutOfRange           an offset beyond the output of a final job
    ├── NoRoom               disk, descriptors, processes, memory: try again later
    ├── NotBuilt             this server doesn't know that RPC or field
    ├── Unauthenticated      present a certificate
    ├── PermissionDenied     present a certificate with another role
    ├── TimedOut             the caller's own deadline ran out
    ├── Unavailable          not reachable, or leaving: try again
    │   ├── KeeperLost       the keeper ended: open a new Registry
    │   └── Incomplete       the output broke off before its end: ask again from the next offset
    └── InternalError        a fault of ours: it is in the server's log
"""

from __future__ import annotations


class WorkerError(Exception):
    """Root of the tree. The message is one sentence that says what was wrong and what to do."""


class SetupError(WorkerError):
    """Nothing could be asked yet."""


class BadConfig(SetupError):
    """A configuration, certificate or key that can't be used; the message names the file."""


class BadState(SetupError):
    """A state directory that can't be used: rights, or written by a newer version."""


class StateInUse(SetupError):
    """Another server or Registry owns the state directory; the message names its pid."""


class JobError(WorkerError):
    """The answer to a request that was not done."""


class InvalidRequest(JobError):
    """A request that can't be done as it is; the message names the field."""


class CannotExecute(InvalidRequest):
    """A command that can't be executed; the message names the path and the reason."""


class JobNotFound(JobError):
    """No job has that id; it may have been removed."""


class JobExists(JobError):
    """Another request was started under that id."""


class NotNow(JobError):
    """The state of the job doesn't allow it."""


class OutOfRange(JobError):
    """An offset beyond the output of a job that is final."""


class NoRoom(JobError):
    """Not enough disk, descriptors, processes or memory at the moment."""


class NotBuilt(JobError):
    """An RPC or a field of a request that this server doesn't know."""


class Unauthenticated(JobError):
    """The client presented no certificate."""


class PermissionDenied(JobError):
    """The client's role doesn't allow it; the message names the role that does."""


class TimedOut(JobError):
    """The deadline that the caller set ran out."""


class Unavailable(JobError):
    """The server can't be reached, or is leaving."""


class KeeperLost(Unavailable):
    """The keeper ended; its jobs are LOST once the state directory is opened again."""


class Incomplete(Unavailable):
    """The output broke off before its end message."""


class InternalError(JobError):
    """A fault of the server's own."""
