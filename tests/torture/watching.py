"""A client that doesn't give up: every call is repeated until it is answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from tests.torture.jobs import Known
from worker import Client, JobStatus
from worker.errors import JobExists, JobNotFound, Unavailable
from worker.state import Stream

T = TypeVar("T")
PATIENCE_S = 120


async def until_answered(ask: Callable[[], Awaitable[T]]) -> T:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await ask()
        except Unavailable:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.02)


async def watched(client: Client, job_id: UUID) -> dict[Stream, bytes]:
    """Both streams, over as many servers as it takes; each byte is taken once."""
    output: dict[Stream, bytearray] = {Stream.STDOUT: bytearray(), Stream.STDERR: bytearray()}
    offset = 0

    async def read() -> None:
        nonlocal offset
        async for chunk in client.output(job_id, offset=offset, tagged=True):
            if chunk.offset != offset or chunk.skipped:
                raise AssertionError(f"{job_id}: chunk at {chunk.offset} instead of {offset}")
            if chunk.data:
                output[chunk.stream] += chunk.data
            offset += len(chunk.data)

    await until_answered(read)
    return {stream: bytes(data) for stream, data in output.items()}


async def run_one(client: Client, known: Known, starts: Path) -> list[str]:
    """The faults of one job, started, watched and asked by one client."""

    async def start() -> None:
        await client.submit(known.spec(starts), known.id)

    async def wait() -> JobStatus:
        return await client.wait(known.id)

    await until_answered(start)
    output = await watched(client, known.id)
    found = known.faults(await until_answered(wait), output)
    if known.is_to_be_removed:
        await removed(client, known.id)
        with suppress(JobExists):
            await until_answered(start)
            found.append(f"{known.id}: started once more after it was removed")
    return found


async def removed(client: Client, job_id: UUID) -> None:
    async def remove() -> None:
        with suppress(JobNotFound):  # by a request whose answer was lost
            await client.remove(job_id)

    await until_answered(remove)
