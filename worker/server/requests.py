"""What a request asks for, as values.

Raises InvalidRequest for what can't be meant, and NotBuilt, naming the field, for what this
server doesn't know yet: nothing that a client asks for is silently ignored.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

from gen import workerservice as wire
from worker.errors import InvalidRequest, NotBuilt
from worker.limits import Limits
from worker.listing import JobFilter
from worker.selection import Selection
from worker.spec import (
    DEFAULT_GRACE_PERIOD,
    DEFAULT_STOP_SIGNAL,
    JobSpec,
    OutputMode,
    checked_grace_period,
)
from worker.state import JobState, Stream

JOB_ID_SIZE: Final = 16


def spec_of(request: wire.StartRequest) -> JobSpec:
    grace = request.grace_period
    return JobSpec(
        command=request.command_name,
        arguments=tuple(request.arguments),
        environment=request.environment,
        working_directory=request.working_directory or None,
        output_mode=output_mode_of(request.output_mode),
        grace_period=DEFAULT_GRACE_PERIOD if grace is None else grace.total_seconds(),
        labels=request.labels,
        user=request.user or None,
        input=request.input,
        stop_signal=request.stop_signal or DEFAULT_STOP_SIGNAL,
        limits=_limits_of(request.limits),
    )


def _limits_of(asked: wire.Limits) -> Limits:
    time = None if asked.time is None else asked.time.total_seconds()
    return Limits(**asdict(asked) | {"time": time})


def output_mode_of(number: wire.OutputMode) -> OutputMode:
    match number.name:
        case "UNSPECIFIED" | "SEPARATE":
            return OutputMode.SEPARATE
        case "MERGED":
            return OutputMode.MERGED
        case "TERMINAL":
            raise NotBuilt("outputMode TERMINAL isn't built yet: use SEPARATE or MERGED")
        case _:
            raise InvalidRequest(f"outputMode: {int(number)} is no output mode")


def selection_of(request: wire.GetOutputRequest) -> Selection:
    return Selection(
        offset=request.offset,
        stream=_stream_of(request.stream),
        tail_bytes=request.tail_bytes,
        tail_lines=request.tail_lines,
        follow=not request.no_follow,
        tagged=request.tagged,
    )


def _stream_of(number: wire.Stream) -> Stream:
    match number.name:
        case "UNSPECIFIED" | "ALL":
            return Stream.ALL
        case "STDOUT" | "STDERR":
            return Stream[number.name]
        case _:
            raise InvalidRequest(f"stream: {int(number)} can't be asked for")


def job_id_of(value: bytes) -> UUID:
    if len(value) != JOB_ID_SIZE:
        raise InvalidRequest(f"jobID is {len(value)} bytes long; it must be the 16 bytes of a UUID")
    return UUID(bytes=value)


def new_job_id(value: bytes) -> UUID:
    """The one that the client has chosen, else one of ours."""
    return job_id_of(value) if value else uuid4()


def stop_grace_of(request: wire.StopRequest) -> float | None:
    """Seconds; None: what the job was started with."""
    grace = request.grace_period
    return None if grace is None else checked_grace_period(grace.total_seconds())


def filter_of(request: wire.ListRequest) -> JobFilter:
    return JobFilter(
        states=frozenset(map(state_of, request.states)),
        labels=request.labels,
        owner=request.owner,
        id_prefix=request.id_prefix,
    )


def state_of(number: wire.JobStatus) -> JobState:
    if number.name is None:
        raise InvalidRequest(f"states: {int(number)} is no state")
    return JobState.LOST if number == wire.JobStatus.UNKNOWN else JobState[number.name]


def timeout_of(request: wire.WaitRequest) -> float | None:
    """Seconds; None: for ever."""
    if request.timeout is None:
        return None
    if request.timeout < timedelta(0):
        raise InvalidRequest("timeout must not be negative")
    return request.timeout.total_seconds()
