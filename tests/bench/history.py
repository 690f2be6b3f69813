"""Ended jobs as a keeper leaves them, by the hundred thousand: their folders, without a table."""

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from uuid import uuid4

from worker.jobs.environment import User
from worker.jobs.request import spawn_of
from worker.keeper.record import ENDED_SIZE
from worker.keeper.records import FILE_VERSION, INDEX_MAGIC, OFFSET_BITS, RECORD, EndRecord, Kind
from worker.limits import Limits
from worker.spec import JobSpec

OUTPUT = b"hello world\n"
US = 10**6


def make_history(state: Path, count: int) -> None:
    """In `state`, which is made; the jobs ended one a second, the last one just now."""
    (state / "jobs").mkdir(0o700, parents=True)
    state.chmod(0o700)
    spec = JobSpec("sh", ("-c", "echo hello world; exit 3"), labels={"team": "blue"})
    request = spawn_of(spec, uuid4(), "alice", User.current(), Limits(output=2**30))
    for number in range(count):
        job = str(uuid4())
        began_us = request.created_us - (count - number) * US
        environment = request.environment | {"WORKER_JOB_ID": job}
        spawn = replace(request, job=job, environment=environment, created_us=began_us)
        _write(state / "jobs" / job, asdict(spawn), asdict(_end(began_us)))


def _end(began_us: int) -> EndRecord:
    return EndRecord(
        code=3,
        signal=None,
        cause="own exit",
        stopped_by=None,
        reason="",
        started_us=began_us + 1000,
        leader_exited_us=began_us + 2000,
        ended_us=began_us + 3000,
        stdout=len(OUTPUT),
        stderr=0,
        merged=0,
        dropped=0,
    )


def _write(folder: Path, request: dict[str, object], ended: dict[str, object]) -> None:
    index = b"".join(
        RECORD.pack(kind << OFFSET_BITS | offset, value)
        for kind, offset, value in (
            (Kind.HEADER, FILE_VERSION, INDEX_MAGIC),
            (Kind.RUN_STDOUT, 0, 1_700_000_000_000_000),
            (Kind.EXIT, len(OUTPUT), 3),
        )
    )
    folder.mkdir(0o700)
    _fill(folder / "request", _versioned(request))
    _fill(folder / "output", OUTPUT)
    _fill(folder / "index", index)
    _fill(folder / "ended", _versioned(ended).ljust(ENDED_SIZE))


def _fill(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o600)
    os.write(descriptor, content)
    os.close(descriptor)


def _versioned(content: dict[str, object]) -> bytes:
    return json.dumps({"version": FILE_VERSION, "content": content}).encode()
