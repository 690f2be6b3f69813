"""A thousand jobs at once: all run, all are seen to end, nothing is left."""

import asyncio
from asyncio import Semaphore
from pathlib import Path

import pytest

from tests.client.test_with_server import client_for
from tests.e2e.service import serving
from worker import Client, Job
from worker.listing import JobFilter
from worker.state import JobState

JOBS = 1000
AT_ONCE = 50  # requests on a connection


@pytest.mark.timeout(240)
async def test_a_thousand_jobs_run_and_end(tmp_path: Path, certificates: Path) -> None:
    room = Semaphore(AT_ONCE)

    async def started(client: Client) -> Job:
        async with room:
            return await client.start("sleep", "600", grace_period=5)

    async def ended(job: Job) -> str | None:
        async with room:
            await job.stop()
            return (await job.wait()).signal

    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            jobs = await asyncio.gather(*(started(client) for _ in range(JOBS)))
            running = JobFilter(states=frozenset({JobState.RUNNING}))
            assert len([status async for status in client.list(running)]) == JOBS
            assert (await (await client.start("sh", "-c", "exit 3")).wait()).exit_code == 3
            await asyncio.to_thread(service.kill_server)
            assert len([status async for status in client.list(running)]) == JOBS
            signals = await asyncio.gather(*(ended(job) for job in jobs))
            assert set(signals) == {"SIGTERM"}
