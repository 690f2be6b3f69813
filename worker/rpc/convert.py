"""The messages of the wire and the values of the library, in both directions.

What a message leaves out is None in the value, never a zero. A number that only a newer
server knows becomes `unknown(99)`. Our enums bear the names of the wire's, but for LOST, which
the original contract calls UNKNOWN. (What a request asks for is read by `worker.server.requests`.)
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeVar
from uuid import UUID

import betterproto

from gen import workerservice as wire
from worker.errors import InternalError
from worker.limits import EnforcedLimit, Enforcement
from worker.state import Cause, Chunk, JobState, JobStatus, Outcome, OutputSize, Stream, Usage

EXIT_CODE_OF_LOST: Final = 255

OurEnum = TypeVar("OurEnum", bound=StrEnum)
WireEnum = TypeVar("WireEnum", bound=betterproto.Enum)


def status_response(status: JobStatus) -> wire.QueryStatusResponse:
    size = status.output
    return wire.QueryStatusResponse(
        exit_code=_exit_code(status),
        command_name=status.command,
        arguments=list(status.arguments),
        job_status=wires(wire.JobStatus, status.state),
        job_id=status.id.bytes,
        outcome=wires(wire.Outcome, status.outcome),
        signal=status.signal or "",
        cause=wires(wire.Cause, status.cause),
        reason=status.reason,
        stopped_by=status.stopped_by or "",
        owner=status.owner,
        created_at=status.created_at,
        started_at=status.started_at,
        leader_exited_at=status.leader_exited_at,
        ended_at=status.ended_at,
        output=wire.OutputSize(size.total, size.stdout, size.stderr, size.merged, size.dropped),
        labels=dict(status.labels),
        usage=_usage_response(status.usage),
        limits=[
            wire.EnforcedLimit(limit.name, limit.value, wires(wire.Enforcement, limit.enforcement))
            for limit in status.limits
        ],
        revision=status.revision,
        removed=status.removed,
        paused=status.paused,
    )


def _usage_response(usage: Usage | None) -> wire.Usage | None:
    if usage is None:
        return None
    return wire.Usage(usage.user_cpu, usage.system_cpu, usage.peak_memory)


def status_of(response: wire.QueryStatusResponse, asked: UUID) -> JobStatus:
    """`asked` names the job: a server that knows only the original fields doesn't."""
    state = _ours(JobState, response.job_status) or JobState.LOST
    outcome = _ours(Outcome, response.outcome)
    size = response.output
    return JobStatus(
        id=asked,
        command=response.command_name,
        arguments=tuple(response.arguments),
        state=state,
        owner=response.owner,
        labels=response.labels,
        created_at=response.created_at,
        started_at=response.started_at,
        leader_exited_at=response.leader_exited_at,
        ended_at=response.ended_at,
        outcome=outcome,
        exit_code=response.exit_code if _tells_exit_code(state, outcome) else None,
        signal=response.signal or None,
        cause=_ours(Cause, response.cause),
        reason=response.reason,
        stopped_by=response.stopped_by or None,
        output=OutputSize(size.stdout, size.stderr, size.merged, size.dropped),
        usage=_usage_of(response.usage),
        limits=tuple(
            EnforcedLimit(limit.name, limit.value, _ours(Enforcement, limit.enforcement))
            for limit in response.limits
        ),
        revision=response.revision,
        removed=response.removed,
        paused=response.paused,
    )


def id_in(answer: wire.StartResponse | wire.QueryStatusResponse) -> UUID:
    """Raises InternalError where the server names no job by it."""
    try:
        return UUID(bytes=answer.job_id)
    except ValueError:
        what = f"the server's {type(answer).__name__} bears the job id {answer.job_id!r}"
        raise InternalError(what) from None


def _usage_of(usage: wire.Usage | None) -> Usage | None:
    if usage is None:
        return None
    return Usage(usage.user_cpu, usage.system_cpu, usage.peak_memory)


def _exit_code(status: JobStatus) -> int:
    if status.state is JobState.LOST:
        return EXIT_CODE_OF_LOST
    return status.exit_code or 0  # 0 while unfinished: `outcome` tells it from a success


def _tells_exit_code(state: JobState, outcome: Outcome | None) -> bool:
    if outcome is None:  # unfinished, or a server that knows only the original fields
        return state in (JobState.EXITED, JobState.STOPPED)
    return outcome in (Outcome.EXITED, Outcome.SIGNALED)


def output_response(chunk: Chunk) -> wire.GetOutputResponse:
    return wire.GetOutputResponse(
        output=chunk.data,
        offset=chunk.offset,
        stream=wire.Stream[chunk.stream.name],
        time=chunk.time,
        skipped=chunk.skipped,
    )


def end_response(status: JobStatus, total: int) -> wire.GetOutputResponse:
    """The last message of a complete answer, which ends at the offset `total`.

    It tells how the job ended only where the answer reaches the end of the output: without
    following, the job may have printed more since.
    """
    end = wire.OutputEnd(total)
    if status.is_final and total >= status.output.total:
        outcome = wires(wire.Outcome, status.outcome)
        end = wire.OutputEnd(total, outcome, _exit_code(status), status.signal or "")
    return wire.GetOutputResponse(offset=total, end=end)


def is_end(response: wire.GetOutputResponse) -> bool:
    """Is it the last message of a complete answer? It bears no output."""
    return betterproto.serialized_on_wire(response.end)


def chunk_of(response: wire.GetOutputResponse) -> Chunk:
    stream = _ours(Stream, response.stream) or Stream.ALL
    return Chunk(response.output, response.offset, stream, response.time, response.skipped)


def wires(kind: type[WireEnum], value: StrEnum | None) -> WireEnum:
    name = "UNSPECIFIED" if value is None else value.name
    number: WireEnum = kind.try_value() if value is JobState.LOST else kind[name]
    return number


def _ours(kind: type[OurEnum], number: betterproto.Enum) -> OurEnum | None:
    """None for the zero of a kind (UNSPECIFIED, UNKNOWN)."""
    if number.name is None:
        return kind(f"unknown({int(number)})")
    return kind.__members__.get(number.name)
