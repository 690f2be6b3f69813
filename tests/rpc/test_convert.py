"""Values to messages and back, through the bytes of the wire."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

import betterproto
import pytest

from gen import workerservice as wire
from worker.errors import InvalidRequest
from worker.limits import NO_LIMITS, Limits
from worker.rpc.asking import start_request
from worker.rpc.convert import (
    chunk_of,
    end_response,
    is_end,
    output_response,
    status_of,
    status_response,
)
from worker.server.requests import spec_of
from worker.spec import JobSpec, OutputMode
from worker.state import Cause, Chunk, JobState, JobStatus, Outcome, OutputSize, Stream

ID = UUID("00112233-4455-6677-8899-aabbccddeeff")
CREATED = datetime(2026, 11, 25, 2, 30, 0, 1, tzinfo=UTC)
RUNNING = JobStatus(
    id=ID, command="ls", arguments=("-la", ""), state=JobState.RUNNING, created_at=CREATED
)
ENDED = replace(
    RUNNING,
    state=JobState.EXITED,
    owner="alice",
    labels={"team": "blue"},
    started_at=CREATED + timedelta(microseconds=1),
    leader_exited_at=CREATED + timedelta(seconds=1, microseconds=999_999),
    ended_at=CREATED + timedelta(days=400, microseconds=123_457),
    outcome=Outcome.EXITED,
    exit_code=0,
    cause=Cause.OWN_EXIT,
    output=OutputSize(1, 2, 3, 4),
)
KILLED = replace(
    ENDED,
    state=JobState.STOPPED,
    outcome=Outcome.SIGNALED,
    exit_code=137,
    signal="SIGKILL",
    cause=Cause.STOP,
    stopped_by="bob",
    reason="SIGKILL after 10 s of grace",
)
LOST = replace(
    ENDED,
    state=JobState.LOST,
    outcome=Outcome.LOST,
    exit_code=None,
    cause=Cause.LOST,
    ended_at=None,
)
M = TypeVar("M", bound=betterproto.Message)


def over_the_wire(message: M) -> M:
    return type(message)().parse(bytes(message))


@pytest.mark.parametrize(
    "status",
    [
        pytest.param(replace(RUNNING, state=JobState.STARTED), id="started"),
        pytest.param(RUNNING, id="running: no code, and no time that isn't reached"),
        pytest.param(ENDED, id="a success is a code that is there, and times are exact to the µs"),
        pytest.param(KILLED, id="killed"),
        pytest.param(LOST, id="lost: no code"),
        pytest.param(replace(ENDED, exit_code=255), id="255 of an exit isn't lost"),
        pytest.param(
            replace(RUNNING, started_at=datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
            id="before 1970",
        ),
        pytest.param(
            replace(RUNNING, started_at=datetime(1970, 1, 1, tzinfo=UTC)), id="1970 isn't absent"
        ),
        *(pytest.param(replace(ENDED, cause=cause), id=f"cause: {cause}") for cause in Cause),
    ],
)
def test_a_status_comes_back_as_it_was(status: JobStatus) -> None:
    assert status_of(over_the_wire(status_response(status)), ID) == status


@pytest.mark.parametrize(
    ("status", "code", "number"),
    [
        pytest.param(RUNNING, 0, wire.JobStatus.RUNNING, id="unfinished is 0"),
        pytest.param(KILLED, 137, wire.JobStatus.STOPPED, id="a signal is 128 + N"),
        pytest.param(LOST, 255, wire.JobStatus.UNKNOWN, id="lost is 255 and UNKNOWN"),
    ],
)
def test_an_original_client_reads_code_and_state(
    status: JobStatus, code: int, number: wire.JobStatus
) -> None:
    response = over_the_wire(status_response(status))
    assert (response.exit_code, response.job_status) == (code, number)


@pytest.mark.parametrize(
    ("response", "state", "code"),
    [
        pytest.param(
            wire.QueryStatusResponse(exit_code=7, job_status=wire.JobStatus(2)),
            JobState.EXITED,
            7,
            id="exited",
        ),
        pytest.param(
            wire.QueryStatusResponse(exit_code=-1, job_status=wire.JobStatus(1)),
            JobState.RUNNING,
            None,
            id="-1 while it runs",
        ),
        pytest.param(wire.QueryStatusResponse(), JobState.LOST, None, id="nothing at all"),
    ],
)
def test_a_server_of_the_original_contract_is_understood(
    response: wire.QueryStatusResponse, state: JobState, code: int | None
) -> None:
    status = status_of(over_the_wire(response), ID)
    assert (status.id, status.state, status.exit_code) == (ID, state, code)
    assert (status.created_at, status.started_at, status.outcome) == (None, None, None)


def test_numbers_of_a_newer_server_are_shown_as_such() -> None:
    response = wire.QueryStatusResponse(
        exit_code=-1,
        job_status=wire.JobStatus.try_value(99),
        outcome=wire.Outcome.try_value(98),
        cause=wire.Cause.try_value(97),
    )
    unknown_field = bytes([100 << 3 & 0x7F | 0x80, 100 << 3 >> 7, 1])
    status = status_of(wire.QueryStatusResponse().parse(bytes(response) + unknown_field), ID)
    assert [f"{status.state}", f"{status.outcome}", f"{status.cause}"] == [
        "unknown(99)",
        "unknown(98)",
        "unknown(97)",
    ]
    assert not status.is_final
    assert status.exit_code is None
    chunk = chunk_of(wire.GetOutputResponse(output=b"x", stream=wire.Stream.try_value(96)))
    assert chunk.stream == "unknown(96)"


@pytest.mark.parametrize(
    "chunk",
    [
        pytest.param(Chunk(bytes(range(256)), 2**40), id="untagged"),
        pytest.param(Chunk(b"x", 0, Stream.STDERR, CREATED, 7), id="tagged, after a gap"),
        pytest.param(Chunk(b"x", 1, Stream.MERGED, CREATED), id="merged"),
        pytest.param(Chunk(b"", 5, skipped=9), id="a gap at the end"),
    ],
)
def test_a_chunk_comes_back_as_it_was(chunk: Chunk) -> None:
    response = over_the_wire(output_response(chunk))
    assert chunk_of(response) == chunk
    assert not is_end(response)


def test_the_end_is_told_even_where_all_of_it_is_zero() -> None:
    response = over_the_wire(end_response(RUNNING, 0))
    assert is_end(response)
    assert response.end.outcome == wire.Outcome.UNSPECIFIED


def test_the_end_of_a_job_tells_how_it_ended() -> None:
    end = over_the_wire(end_response(KILLED, 6)).end
    assert end == wire.OutputEnd(6, wire.Outcome(2), 137, "SIGKILL")


def test_an_answer_that_ends_before_the_output_does_not_tell_how_the_job_ended() -> None:
    end = over_the_wire(end_response(KILLED, 5)).end
    assert end == wire.OutputEnd(5)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (JobState, wire.JobStatus),
        (Outcome, wire.Outcome),
        (Cause, wire.Cause),
        (Stream, wire.Stream),
        (OutputMode, wire.OutputMode),
    ],
)
def test_our_names_are_the_wires(ours: type[StrEnum], theirs: type[betterproto.Enum]) -> None:
    lost = {"LOST"} if ours is JobState else set()  # which is UNKNOWN there
    assert set(ours.__members__) - lost <= set(theirs.__members__)


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param(NO_LIMITS, id="none"),
        pytest.param(Limits(time=2.5, memory=1, cpus=0.5, nice=0), id="some, and a zero"),
        pytest.param(Limits(1.5, 2, 3.5, 4, 5000, 6, 7, 8), id="all"),
    ],
)
def test_limits_arrive_as_they_were_asked_for(limits: Limits) -> None:
    asked = wire.StartRequest().parse(bytes(start_request(JobSpec("x", limits=limits), ID)))
    assert spec_of(asked).limits == limits


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        pytest.param(JobSpec("\udcff"), "commandName", id="command"),
        pytest.param(JobSpec("x", ("a", "\udcff")), "arguments", id="argument"),
        pytest.param(JobSpec("x", environment={"a": "\udcff"}), "environment", id="environment"),
        pytest.param(JobSpec("x", working_directory="/\udcff"), "workingDirectory", id="directory"),
        pytest.param(JobSpec("x", labels={"\udcff": ""}), "labels", id="label"),
    ],
)
def test_text_that_is_not_utf8_is_refused_before_it_is_sent(spec: JobSpec, field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}.*UTF-8"):
        start_request(spec, ID)
