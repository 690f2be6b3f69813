"""What a client asks for, as the keeper is asked for it."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import fields
from typing import Final
from uuid import UUID

from worker.errors import InvalidRequest
from worker.jobs.environment import User
from worker.jobs.signals import signal_number
from worker.keeper.frames import MAX_JSON, to_json
from worker.keeper.messages import Spawn
from worker.limits import NO_LIMITS, EnforcedLimit, Limits, enforced
from worker.spec import JobSpec, OutputMode

OUTPUT_CAP: Final = 2**30
LIMITS: Final = {  # by their names in a JobSpec: those in a Spawn
    field.name: {"time": "time_s", "output": "output_cap"}.get(field.name, field.name)
    for field in fields(Limits)
}
_ROOM: Final = 1024  # for what the frame adds
UNSAID: Final = JobSpec("-")


def spawn_of(spec: JobSpec, job_id: UUID, owner: str, user: User, defaults: Limits) -> Spawn:
    """`defaults`: its limits where `spec` has none. Raises InvalidRequest if it fits no frame."""
    environment, limits = user.environment(spec, job_id), spec.limits.or_else(defaults)
    request = Spawn(
        ask=0,
        job=str(job_id),
        command=spec.command,
        arguments=list(spec.arguments),
        environment=environment,
        path=environment["PATH"],
        directory=user.directory(spec),
        merged=spec.output_mode is OutputMode.MERGED,
        grace_s=float(spec.grace_period),
        output_cap=OUTPUT_CAP if limits.output is None else limits.output,
        owner=owner,
        labels=dict(spec.labels),
        created_us=time.time_ns() // 1000,
        user=spec.user or "",
        uid=user.uid,
        gid=user.gid,
        groups=list(user.groups),
        stop_signal=signal_number(spec.stop_signal, "stopSignal"),
        has_input=spec.input,
        time_s=limits.time and float(limits.time),
        memory=limits.memory,
        cpus=limits.cpus and float(limits.cpus),
        processes=limits.processes,
        open_files=limits.open_files,
        core=limits.core,
        nice=limits.nice,
        digest=digest_of(spec, owner),
    )
    if len(to_json(request)) > MAX_JSON - _ROOM:
        raise InvalidRequest("command, arguments and environment are longer than 2 MiB together")
    return request


def digest_of(spec: JobSpec, owner: str) -> str:
    """Equal for equal requests: it tells a retry from another job under the same id.

    Of the client's words alone: what they stand for here, a home or a limit of ours, may change
    between a start and its retry.
    """
    said = _said(spec, UNSAID) | {
        "owner": owner,
        "limits": _said(spec.limits, NO_LIMITS),
        "stop_signal": signal_number(spec.stop_signal, "stopSignal"),
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _said(value: JobSpec | Limits, unsaid: JobSpec | Limits) -> dict[str, object]:
    """By field; without what isn't said, so that a field which is new changes no digest."""
    said = {field.name: getattr(value, field.name) for field in fields(value)}
    return {name: _plain(each) for name, each in said.items() if each != getattr(unsaid, name)}


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    return float(value) if isinstance(value, int | float) else value


def digest_in(request: Spawn) -> bytes:
    """As it is kept; a folder may hold anything, or none: then it equals no other's."""
    return request.digest.encode(errors="replace") or b"unknown"


def enforced_in(request: Spawn) -> tuple[EnforcedLimit, ...]:
    return enforced({name: getattr(request, field) for name, field in LIMITS.items()})
