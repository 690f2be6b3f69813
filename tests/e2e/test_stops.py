"""Stops that race: each other, the start, the end, the births of a tree, a process that can't end.

Each runs through the real server, with cgroups and without.
"""

import asyncio
import re
from contextlib import aclosing
from pathlib import Path
from uuid import uuid4

from tests.client.test_with_server import client_for, text_of
from tests.e2e.hanging import hanging
from tests.e2e.service import Service
from tests.jobs.scripts import wait_for
from worker.errors import JobNotFound
from worker.spec import JobSpec
from worker.state import Cause, JobState, JobStatus

MARK = "98721"  # seconds to sleep: nobody else's argument


async def test_each_child_of_a_leader_that_dies_at_once_is_asked(
    either_way: Service,
) -> None:
    """They come to the keeper between its two signals."""
    child = f"(trap 'echo in-order; exit' TERM; echo up; sleep {MARK} & wait) & "
    async with client_for(either_way) as client:
        for _ in range(15):
            job = await client.start("bash", "-c", f"{child * 4} wait; exec sleep {MARK}")
            seen = b""
            async for chunk in job.output():
                seen += chunk.data
                if seen.count(b"up") == 4:
                    break
            await job.stop()
            await job.wait()
            assert (await text_of(job)).count(b"in-order") == 4


async def test_two_stops_at_once_are_one(either_way: Service) -> None:
    async with client_for(either_way) as client:
        job = await client.start("sleep", MARK)
        await asyncio.gather(job.stop(), job.stop())
        status = await job.wait()
    assert (status.state, status.signal) == (JobState.STOPPED, "SIGTERM")


async def test_a_stop_while_it_starts(either_way: Service) -> None:
    async with client_for(either_way) as client:
        for _ in range(20):
            job_id = uuid4()
            starting = asyncio.create_task(client.submit(JobSpec("sleep", (MARK,)), job_id))
            while True:
                try:
                    await client.stop(job_id)
                except JobNotFound:
                    continue
                break
            await starting
            assert (await client.wait(job_id)).state is JobState.STOPPED


async def test_a_stop_that_races_the_natural_end_is_never_wrong(either_way: Service) -> None:
    async with client_for(either_way) as client:

        async def raced() -> JobStatus:
            job = await client.start("sh", "-c", "exit 9")
            await job.stop()
            return await job.wait()

        for _ in range(20):
            for status in await asyncio.gather(*(raced() for _ in range(25))):
                if status.state is JobState.STOPPED:
                    assert status.cause is Cause.STOP
                else:
                    assert (status.exit_code, status.cause) == (9, Cause.OWN_EXIT)


async def test_fifty_stops_at_once_and_others_are_answered(either_way: Service) -> None:
    script = f"trap '' TERM; echo up; sleep {MARK}; sleep {MARK}"
    async with client_for(either_way) as client:
        jobs = await asyncio.gather(*(client.start("bash", "-c", script) for _ in range(50)))
        await asyncio.gather(*(wait_for(job, b"up") for job in jobs))
        await asyncio.gather(*(job.stop(grace_period=3600) for job in jobs))
        assert (await (await client.start("sh", "-c", "exit 3")).wait()).exit_code == 3
        assert not any([(await job.status()).is_final for job in jobs])
        await asyncio.gather(*(job.stop(grace_period=2) for job in jobs))
        ended = await asyncio.gather(*(job.wait() for job in jobs))
    assert {status.signal for status in ended} == {"SIGKILL"}
    spans = [s.ended_at - s.created_at for s in ended if s.ended_at and s.created_at]
    assert max(spans).total_seconds() < 30


async def test_one_in_uninterruptible_sleep_is_named_and_holds_up_nobody(
    either_way: Service, tmp_path: Path
) -> None:
    with hanging(tmp_path / "mounted", either_way.keeper.pid) as files:
        async with client_for(either_way) as client:
            job = await client.start("cat", str(tmp_path / "mounted" / "x"), grace_period=0.2)
            assert files.stdout
            assert await asyncio.to_thread(files.stdout.readline) == b"reading\n"
            await job.stop()
            async with aclosing(client.watch(job.id)) as statuses:
                named = await anext(status async for status in statuses if status.reason)
            assert not named.is_final
            assert re.fullmatch(
                r"SIGKILL was sent, and still there: pid \d+ \(cat, D\)", named.reason
            )
            others = await asyncio.gather(*(client.start("sh", "-c", "exit 3") for _ in range(10)))
            ended = await asyncio.gather(*(other.wait() for other in others))
            assert [status.exit_code for status in ended] == [3] * 10
            assert not (await job.status()).is_final
            files.kill()  # what was read can't come any more
            status = await job.wait()
    assert (status.state, status.signal, status.reason) == (JobState.STOPPED, "SIGTERM", "")
