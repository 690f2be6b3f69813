"""What a client asks for, as the keeper is asked for it."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Final
from uuid import UUID

from worker.errors import InvalidRequest
from worker.jobs.environment import User
from worker.keeper.frames import MAX_JSON, to_json, values_of
from worker.keeper.messages import Spawn
from worker.spec import JobSpec, OutputMode

_OWN: Final = ("ask", "created_us", "output_cap")  # not the client's
_ROOM: Final = 1024  # for what the frame adds


def spawn_of(spec: JobSpec, job_id: UUID, owner: str, user: User, output_cap: int) -> Spawn:
    """Raises InvalidRequest for one that no frame can carry."""
    environment = user.environment(spec, job_id)
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
        output_cap=output_cap,
        owner=owner,
        labels=dict(spec.labels),
        created_us=time.time_ns() // 1000,
    )
    if len(to_json(request)) > MAX_JSON - _ROOM:
        raise InvalidRequest("command, arguments and environment are longer than 2 MiB together")
    return request


def digest_of(request: Spawn) -> bytes:
    """Equal for equal requests: it tells a retry from another job under the same id.

    Made of what the keeper is asked for, not of the client's message, because that stands in
    the job's folder too: a table rebuilt from the folders knows its retries.
    """
    said = {name: value for name, value in values_of(request).items() if name not in _OWN}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()
