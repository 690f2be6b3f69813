"""What a client asks for, as the messages that ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from uuid import UUID

from gen import workerservice as wire
from worker.errors import InvalidRequest
from worker.limits import Limits
from worker.listing import JobFilter
from worker.rpc.convert import wires
from worker.selection import Selection
from worker.spec import DEFAULT_STOP_SIGNAL, JobSpec
from worker.state import Stream


def start_request(spec: JobSpec, job_id: UUID) -> wire.StartRequest:
    """Raises InvalidRequest for text that isn't UTF-8: the wire can't carry it."""
    _check_text("commandName", spec.command)
    _check_text("arguments", *spec.arguments)
    _check_texts("environment", spec.environment)
    _check_text("workingDirectory", spec.working_directory or "")
    _check_texts("labels", spec.labels)
    _check_text("user", spec.user or "")
    _check_text("stopSignal", spec.stop_signal)
    return wire.StartRequest(
        command_name=spec.command,
        arguments=list(spec.arguments),
        job_id=job_id.bytes,
        environment=dict(spec.environment),
        working_directory=spec.working_directory or "",
        output_mode=wire.OutputMode[spec.output_mode.name],
        grace_period=timedelta(seconds=spec.grace_period),
        labels=dict(spec.labels),
        user=spec.user or "",
        input=spec.input,
        stop_signal="" if spec.stop_signal == DEFAULT_STOP_SIGNAL else spec.stop_signal,
        limits=_limits_asked(spec.limits),
    )


def _limits_asked(limits: Limits) -> wire.Limits:
    time = None if limits.time is None else timedelta(seconds=limits.time)
    return wire.Limits(**asdict(limits) | {"time": time})


def list_request(which: JobFilter, limit: int, token: str) -> wire.ListRequest:
    _check_texts("labels", which.labels)
    _check_text("owner", which.owner)
    return wire.ListRequest(
        states=[wires(wire.JobStatus, state) for state in which.states],
        labels=dict(which.labels),
        owner=which.owner,
        id_prefix=which.id_prefix,
        limit=limit,
        page_token=token,
    )


def signal_request(job_id: UUID, name: str, *, leader_only: bool) -> wire.SignalRequest:
    _check_text("signal", name)
    return wire.SignalRequest(job_id=job_id.bytes, signal=name, leader_only=leader_only)


def output_request(job_id: UUID, selection: Selection) -> wire.GetOutputRequest:
    return wire.GetOutputRequest(
        job_id=job_id.bytes,
        offset=selection.offset,
        stream=wires(wire.Stream, None if selection.stream is Stream.ALL else selection.stream),
        no_follow=not selection.follow,
        tail_bytes=selection.tail_bytes,
        tail_lines=selection.tail_lines,
        tagged=selection.tagged,
    )


def _check_texts(name: str, texts: Mapping[str, str]) -> None:
    _check_text(name, *texts)
    for key, text in texts.items():
        _check_text(f"{name}: {key}", text)


def _check_text(name: str, *texts: str) -> None:
    for text in texts:
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidRequest(
                f"{name}: {text!r} isn't UTF-8, and a request can carry nothing else"
            ) from None
