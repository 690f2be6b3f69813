"""Out of descriptors, only what is new is refused; watchers that vanish leave none behind."""

import asyncio
import os
from contextlib import aclosing, suppress
from pathlib import Path

import pytest

from tests.client.test_with_server import client_for
from tests.e2e.service import serving
from worker import Client, Job
from worker.errors import NoRoom

FEW = ["prlimit", "--nofile=256:256"]
WATCHERS = 2000
AT_ONCE = 50


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - how many


async def start_sleepers(client: Client, jobs: list[Job]) -> None:
    """Until one is refused."""
    while True:
        jobs.append(await client.start("sleep", "600"))


async def test_at_the_limit_the_others_are_unharmed_and_room_is_used_again(
    tmp_path: Path, certificates: Path
) -> None:
    with serving(tmp_path, certificates, before=FEW) as service:
        async with client_for(service) as client:
            jobs: list[Job] = []
            with pytest.raises(NoRoom, match="open files"):
                await start_sleepers(client, jobs)
            assert len(jobs) > 10
            assert not any([(await job.status()).is_final for job in jobs])
            half = jobs[::2]
            await asyncio.gather(*(job.stop() for job in half))
            await asyncio.gather(*(job.wait() for job in half))
            again = [await client.start("sleep", "600") for _ in half]
            assert not any([(await job.status()).is_final for job in (*jobs[1::2], *again)])


@pytest.mark.timeout(180)
async def test_watchers_that_vanish_leave_nothing(tmp_path: Path, certificates: Path) -> None:
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            job = await client.start("sh", "-c", "echo up; exec sleep 600")
            await watched_once(service_client := client_for(service), job)
            del service_client
            pids = service.server_pid, service.keeper.pid
            before = [descriptors(pid) for pid in pids]
            for _ in range(WATCHERS // AT_ONCE):
                async with client_for(service) as watching:
                    await asyncio.gather(*(vanishing(watching, job) for _ in range(AT_ONCE)))
            await client.status(job.id)
            while [descriptors(pid) for pid in pids] > before:
                await client.status(job.id)
            assert not (await job.status()).is_final


async def vanishing(client: Client, job: Job) -> None:
    """A watcher that leaves a silent job in the middle."""
    async with aclosing(client.output(job.id)) as chunks:
        with suppress(StopAsyncIteration):
            await anext(chunks)


async def watched_once(client: Client, job: Job) -> None:
    async with client:
        await vanishing(client, job)
