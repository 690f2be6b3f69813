"""Which error is which gRPC status: one table, read both ways.

The server answers `code_of(error)`; the client raises what `translated()` makes of an answer,
and nothing else in it names the errors of the layers below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError
from h2.exceptions import H2Error

from worker.errors import (
    ConnectionLost,
    DataLost,
    InternalError,
    InvalidRequest,
    JobError,
    JobExists,
    JobNotFound,
    NoRoom,
    NotBuilt,
    NotNow,
    NotTaken,
    OutOfRange,
    PermissionDenied,
    TimedOut,
    Unauthenticated,
    Unavailable,
)

LEAVING: Final = "the server is leaving"  # it says so, by GOAWAY

CODE: Final[Mapping[type[JobError], Status]] = {
    InvalidRequest: Status.INVALID_ARGUMENT,  # and CannotExecute, its child
    JobNotFound: Status.NOT_FOUND,
    JobExists: Status.ALREADY_EXISTS,
    NotNow: Status.FAILED_PRECONDITION,
    OutOfRange: Status.OUT_OF_RANGE,
    NoRoom: Status.RESOURCE_EXHAUSTED,
    NotBuilt: Status.UNIMPLEMENTED,
    Unauthenticated: Status.UNAUTHENTICATED,
    PermissionDenied: Status.PERMISSION_DENIED,
    TimedOut: Status.DEADLINE_EXCEEDED,
    Unavailable: Status.UNAVAILABLE,  # and its children
    InternalError: Status.INTERNAL,
    DataLost: Status.DATA_LOSS,
}

KIND: Final[Mapping[Status, type[JobError]]] = {
    # Never our server's answers: a proxy's, or those of a gRPC library below it.
    Status.CANCELLED: Unavailable,
    Status.ABORTED: Unavailable,
    Status.UNKNOWN: InternalError,
    **{code: kind for kind, code in CODE.items()},
}


class NotBegun(StreamTerminatedError):
    """The other side says of a request that it has not begun with it."""


def code_of(error: JobError) -> Status:
    """The status of its class, else of the nearest class above that has one."""
    return next((CODE[kind] for kind in type(error).__mro__ if kind in CODE), Status.INTERNAL)


def error_of(status: Status, message: str | None) -> JobError:
    """The error that an answer with `status` stands for. Every status but OK has one."""
    kind = KIND.get(status, InternalError)
    return kind(message or f"the server answered {status.name} without a word")


@contextmanager
def translated() -> Iterator[None]:
    """Raise our errors for those of gRPC, HTTP/2, TLS and sockets, of a request under way."""
    try:
        yield
    except GRPCError as error:
        raise error_of(error.status, error.message) from error
    except TimeoutError as error:
        if error.errno is None:  # a deadline of ours; ETIMEDOUT comes from the network
            raise TimedOut("the deadline ran out before the server answered") from error
        raise _broken(error) from error
    except (StreamTerminatedError, H2Error, OSError) as error:
        raise _broken(error) from error


def _broken(error: Exception) -> Unavailable:
    said = error.strerror if isinstance(error, OSError) else str(error)
    kind = NotTaken if isinstance(error, NotBegun) else ConnectionLost
    if said == LEAVING:
        return kind(f"{said}: try again")
    known = said and said not in ("Connection lost", "Connection closed")
    return kind(f"the connection broke{f' ({said})' if known else ''}: try again")
