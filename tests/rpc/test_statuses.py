from __future__ import annotations

import asyncio
import errno
import ssl
from collections.abc import Iterator

import grpclib.exceptions
import h2.exceptions
import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError, StreamTerminatedError

from worker.errors import (
    CannotExecute,
    Incomplete,
    InternalError,
    JobError,
    JobNotFound,
    KeeperLost,
    TimedOut,
    Unavailable,
)
from worker.rpc.statuses import CODE, KIND, code_of, error_of, translated


def below(kind: type[JobError]) -> Iterator[type[JobError]]:
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


@pytest.mark.parametrize("kind", list(below(JobError)))
def test_every_answer_has_a_code_of_its_own_or_its_parents(kind: type[JobError]) -> None:
    assert code_of(kind("text")) in {CODE[parent] for parent in kind.__mro__ if parent in CODE}


@pytest.mark.parametrize("status", CODE.values(), ids=lambda status: status.name)
def test_code_to_error_to_code_is_the_same(status: Status) -> None:
    assert code_of(error_of(status, "text")) is status


def test_no_two_errors_share_a_code() -> None:
    assert len(set(CODE.values())) == len(CODE)


@pytest.mark.parametrize("status", [each for each in Status if each is not Status.OK])
def test_every_status_that_a_server_may_answer_has_an_error(status: Status) -> None:
    assert status in KIND


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(CannotExecute("x"), Status.INVALID_ARGUMENT, id="CannotExecute as its parent"),
        pytest.param(KeeperLost("x"), Status.UNAVAILABLE, id="KeeperLost as its parent"),
        pytest.param(Incomplete("x"), Status.UNAVAILABLE, id="Incomplete as its parent"),
    ],
)
def test_a_child_without_a_code_answers_its_parents(error: JobError, status: Status) -> None:
    assert code_of(error) is status


def test_the_servers_words_are_the_errors() -> None:
    with pytest.raises(JobNotFound, match=r"^no job 7$"), translated():
        raise GRPCError(Status.NOT_FOUND, "no job 7")


def test_an_answer_without_words_says_its_status() -> None:
    with pytest.raises(InternalError, match="UNKNOWN"), translated():
        raise GRPCError(Status.UNKNOWN)


@pytest.mark.parametrize(
    ("lower", "kind"),
    [
        pytest.param(StreamTerminatedError("reset"), Unavailable, id="a stream that was reset"),
        pytest.param(h2.exceptions.StreamClosedError(1), Unavailable, id="a closed stream"),
        pytest.param(h2.exceptions.ProtocolError("x"), Unavailable, id="a closed connection"),
        pytest.param(ConnectionRefusedError(111, "refused"), Unavailable, id="nobody listens"),
        pytest.param(ConnectionResetError(), Unavailable, id="a reset connection"),
        pytest.param(ssl.SSLError(1, "handshake failure"), Unavailable, id="a failed handshake"),
        pytest.param(TimeoutError(errno.ETIMEDOUT, "x"), Unavailable, id="the network's time-out"),
        pytest.param(TimeoutError("Deadline exceeded"), TimedOut, id="a deadline of ours"),
    ],
)
def test_errors_of_lower_layers_are_translated(lower: Exception, kind: type[JobError]) -> None:
    with pytest.raises(kind) as caught, translated():
        raise lower
    assert caught.value.__cause__ is lower


def test_no_error_that_grpclib_raises_for_the_other_side_is_left_out() -> None:
    left_out = {"ProtocolError"}  # a fault of the calling code: it must be seen as such
    kinds = {
        name
        for name, kind in vars(grpclib.exceptions).items()
        if isinstance(kind, type) and issubclass(kind, Exception)
    }
    assert kinds - left_out == {"GRPCError", "StreamTerminatedError"}


@pytest.mark.parametrize("passing", [asyncio.CancelledError(), KeyError("x"), JobNotFound("x")])
def test_what_is_not_of_the_wire_passes(passing: BaseException) -> None:
    with pytest.raises(type(passing)) as caught, translated():
        raise passing
    assert caught.value is passing
