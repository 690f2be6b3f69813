"""A job's status for people and for programs. Nothing from a job reaches a terminal raw."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from worker.limits import EnforcedLimit
from worker.state import JobStatus, OutputSize


def printable(text: str) -> str:
    """`text` with all escaped that isn't printable.

    That is control characters and line ends, but also marks that turn the direction of writing,
    and bytes that weren't UTF-8.
    """
    return "".join(c if c.isprintable() else escaped(c) for c in text)


def escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def word(text: str) -> str:
    r"""`text` as a shell would take it: plain, 'quoted', or $'with\nescapes'."""
    if text.isprintable():
        return shlex.quote(text)
    plain = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{printable(plain)}'"


def summary(status: JobStatus) -> str:
    """One line for each thing that is known."""
    return "".join(f"{name:<14}{value}\n" for name, value in _lines(status) if value)


def _lines(status: JobStatus) -> Iterator[tuple[str, str]]:
    yield "job", str(status.id)
    yield "command", " ".join(map(word, (status.command, *status.arguments)))
    yield "state", printable(state_of(status))
    yield "exit code", "" if status.exit_code is None else str(status.exit_code)
    yield "signal", printable(status.signal or "")
    yield "cause", printable(status.cause or "")
    yield "reason", printable(status.reason)
    yield "stopped by", printable(status.stopped_by or "")
    yield "owner", printable(status.owner)
    yield "labels", " ".join(word(f"{name}={value}") for name, value in status.labels.items())
    yield "created", _moment(status.created_at)
    yield "started", _moment(status.started_at)
    yield "leader exited", _moment(status.leader_exited_at)
    yield "ended", _moment(status.ended_at)
    yield "limits", " ".join(printable(f"{each.name}={each.value:.15g}") for each in status.limits)
    yield "usage", ", ".join(_used(status))
    yield "output", _sizes(status)


def state_of(status: JobStatus) -> str:
    return f"{status.state} (paused)" if status.paused else str(status.state)


def _used(status: JobStatus) -> Iterator[str]:
    if status.wall_time is not None:
        yield f"ran for {status.wall_time.total_seconds():.3f} s"
    if (usage := status.usage) is not None:
        yield f"{usage.user_cpu.total_seconds():.3f} s of CPU"
        yield f"{usage.system_cpu.total_seconds():.3f} s in the kernel"
        if usage.peak_memory is not None:
            yield f"{usage.peak_memory} bytes of memory at most"


def _moment(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d %H:%M:%S.%f} UTC"


def _sizes(status: JobStatus) -> str:
    size = status.output
    parts = {"stdout": size.stdout, "stderr": size.stderr, "merged": size.merged}
    told = [f"{name} {count}" for name, count in parts.items() if count]
    if size.dropped:
        told.append(f"and {size.dropped} dropped")
    return f"{size.total} bytes" + (f" ({', '.join(told)})" if told else "")


def as_json(status: JobStatus) -> str:
    """One line. The keys are the wire's names; what isn't known has no key.

    Times are ISO 8601, UTC, with µs. ASCII alone, so that any terminal and locale can take it.
    """
    values: dict[str, Any] = {
        "jobID": str(status.id),
        "commandName": status.command,
        "arguments": status.arguments,
        "state": status.state,
        "outcome": status.outcome,
        "exitCode": status.exit_code,
        "signal": status.signal,
        "cause": status.cause,
        "reason": status.reason or None,
        "stoppedBy": status.stopped_by,
        "owner": status.owner or None,
        "labels": dict(status.labels),
        "createdAt": status.created_at,
        "startedAt": status.started_at,
        "leaderExitedAt": status.leader_exited_at,
        "endedAt": status.ended_at,
        "paused": status.paused or None,
        "removed": status.removed or None,
        "usage": _usage(status) or None,
        "limits": [_limit(each) for each in status.limits] or None,
        "revision": status.revision or None,
        "output": _bytes(status.output),
    }
    return one_line(values)


def done_as_json(job_id: UUID) -> str:
    """What `start`, `stop`, `signal`, ... have done it to."""
    return one_line({"jobID": str(job_id)})


def one_line(values: Mapping[str, Any]) -> str:
    """An object without the keys whose value is None."""
    known = {name: value for name, value in values.items() if value is not None}
    return json.dumps(known, default=iso) + "\n"


def _usage(status: JobStatus) -> dict[str, float]:
    """Seconds and bytes."""
    values: dict[str, float] = {}
    if status.wall_time is not None:
        values["wallTime"] = status.wall_time.total_seconds()
    if (usage := status.usage) is not None:
        values["userCpu"] = usage.user_cpu.total_seconds()
        values["systemCpu"] = usage.system_cpu.total_seconds()
        if usage.peak_memory is not None:
            values["peakMemory"] = usage.peak_memory
    return values


def _limit(limit: EnforcedLimit) -> dict[str, Any]:
    value = int(limit.value) if limit.value.is_integer() else limit.value
    values = {"name": limit.name, "value": value, "enforcement": limit.enforcement}
    return {name: value for name, value in values.items() if value is not None}


def _bytes(size: OutputSize) -> dict[str, int]:
    return {
        "bytes": size.total,
        "stdout": size.stdout,
        "stderr": size.stderr,
        "merged": size.merged,
        "dropped": size.dropped,
    }


def iso(time: datetime) -> str:
    return time.isoformat(timespec="microseconds")
