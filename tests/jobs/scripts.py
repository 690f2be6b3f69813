"""Jobs of the shell, and what they print."""

import os
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

import pytest

from worker import Chunk, Job, Registry
from worker.state import JobStatus

IGNORES_TERM: Final = 'trap "" TERM; echo ready; while :; do sleep 1; done'


async def read(chunks: AsyncIterator[Chunk]) -> bytes:
    return b"".join([chunk.data async for chunk in chunks])


async def all_of(statuses: AsyncIterator[JobStatus]) -> list[JobStatus]:
    return [status async for status in statuses]


async def shell(registry: Registry, script: str) -> Job:
    return await registry.start("sh", "-c", script)


async def wait_for(job: Job, text: bytes) -> None:
    """Until the job has printed `text`."""
    seen = b""
    async with aclosing(job.output()) as chunks:
        async for chunk in chunks:
            seen += chunk.data
            if text in seen:
                return
    pytest.fail(f"{text!r} was never printed, but {seen!r}")


async def gate(registry: Registry, path: Path, script: str) -> Job:
    """A job that goes on to `script` once somebody opens `path` for writing."""
    os.mkfifo(path)
    return await shell(registry, f"read x < {path}; {script}")
