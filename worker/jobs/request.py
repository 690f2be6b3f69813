"""What a client asks for, as the keeper is asked for it."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import MISSING, fields
from typing import Final
from uuid import UUID

from worker.errors import InvalidRequest
from worker.jobs.environment import User
from worker.jobs.signals import signal_number
from worker.keeper.frames import MAX_JSON, to_json, values_of
from worker.keeper.messages import Spawn
from worker.limits import Limits
from worker.spec import JobSpec, OutputMode

# Not the client's: what a name stands for may change between a start and its retry.
_OWN: Final = frozenset({"ask", "created_us", "uid", "gid", "groups", "defaulted"})
OUTPUT_CAP: Final = 2**30
LIMITS: Final = {  # by their names in a JobSpec: those in a Spawn
    field.name: {"time": "time_s", "output": "output_cap"}.get(field.name, field.name)
    for field in fields(Limits)
}
_ROOM: Final = 1024  # for what the frame adds

_ALWAYS: Final = object()
_UNSAID: Final = {
    field.name: field.default for field in fields(Spawn) if field.default is not MISSING
}


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
        defaulted=[name for name in LIMITS if getattr(spec.limits, name) is None],
    )
    if len(to_json(request)) > MAX_JSON - _ROOM:
        raise InvalidRequest("command, arguments and environment are longer than 2 MiB together")
    return request


def digest_of(request: Spawn) -> bytes:
    """Equal for equal requests: it tells a retry from another job under the same id.

    Made of what the keeper is asked for, not of the client's message, because that stands in
    the job's folder too: a table rebuilt from the folders knows its retries. What is as if it were
    not asked for is left out, so that a field which is new doesn't change it.
    """
    ours = {LIMITS[name] for name in request.defaulted} | _OWN
    said = {
        name: value
        for name, value in values_of(request).items()
        if name not in ours and value != _UNSAID.get(name, _ALWAYS)
    }
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()


def limits_of(request: Spawn) -> Limits:
    return Limits(
        time=request.time_s,
        memory=request.memory,
        cpus=request.cpus,
        processes=request.processes,
        output=request.output_cap,
        open_files=request.open_files,
        core=request.core,
        nice=request.nice,
    )
