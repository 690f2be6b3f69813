"""Many jobs leave nothing, and kills under load lose nothing."""

import asyncio
from pathlib import Path

import grpc
import pytest

from tests.e2e.foreign import Foreign, Stubs
from tests.e2e.service import Service, cgroups_of, processes_of

JOBS = 300
EXPECTED = b"".join(b"%d\n" % number for number in range(1, 2001))
MEMORY_PER_JOB_KB = 20  # of the server: the row's copy, and what its history keeps


def used(pid: int) -> tuple[int, int]:
    """Descriptors, and resident memory in KB."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return len(list(Path(f"/proc/{pid}/fd").iterdir())), int(line.split()[1])


async def run(client: Foreign, number: int) -> int:
    """The exit code of a short job whose output was read."""
    job = await client.start("sh", "-c", f"echo {number}; exit {number % 100}")
    assert await client.output(job) == b"%d\n" % number
    code: int = (await client.query(job)).exitCode
    return code


async def test_three_hundred_short_jobs_leave_nothing(server: Service, stubs: Stubs) -> None:
    pids = (server.keeper.pid, server.server_pid)
    async with Foreign(server, stubs, "full") as client:
        await asyncio.gather(*(run(client, number) for number in range(50)))  # to warm up
        before = [used(pid) for pid in pids]
        folders = cgroup_folders(server)
        codes = await asyncio.gather(*(run(client, number) for number in range(JOBS)))
        assert codes == [number % 100 for number in range(JOBS)]
        after = [used(pid) for pid in pids]
    assert set(processes_of(server.folder)) == set(pids)
    assert cgroup_folders(server) == folders
    for (fds_before, kb_before), (fds_after, kb_after) in zip(before, after, strict=True):
        assert fds_after <= fds_before
        assert kb_after - kb_before < JOBS * MEMORY_PER_JOB_KB


def cgroup_folders(service: Service) -> list[Path]:
    return [folder for top in cgroups_of(service.folder) for folder in top.rglob("*/")]


@pytest.mark.parametrize("time", ["once", "twice"])  # the keeper's pause doubles: five are enough
async def test_five_kills_of_the_server_under_load_lose_nothing(
    server: Service, stubs: Stubs, time: str
) -> None:
    """Each job that was acknowledged is there, with its code and every byte of its output."""
    async with Foreign(server, stubs, "full") as client:
        long = await client.start("sleep", "600")
        load = Load(client)
        loads = [asyncio.create_task(load.start_jobs(number)) for number in range(4)]
        for _ in range(5):
            await load.wait_acknowledged(10)
            await asyncio.to_thread(server.kill_server)
        await load.wait_acknowledged(10)
        load.is_over = True
        await asyncio.gather(*loads)
        for job, code in load.jobs.items():
            assert await client.whole_output(job) == EXPECTED
            status = await client.query(job)
            assert (status.JobStatus, status.exitCode) == (client.messages.EXITED, code)
        assert (await client.query(long)).JobStatus == client.messages.RUNNING, time
        await client.stop(long)


class Load:
    def __init__(self, client: Foreign) -> None:
        self.jobs: dict[bytes, int] = {}  # the code that each must end with
        self.is_over = False
        self._client = client
        self._acknowledged = asyncio.Semaphore(0)

    async def start_jobs(self, code: int) -> None:
        while not self.is_over:
            try:
                job = await self._client.start("sh", "-c", f"seq 1 2000; exit {code}")
            except grpc.aio.AioRpcError as error:
                if error.code() != grpc.StatusCode.UNAVAILABLE:
                    raise
                await self._client.wait_ready()
            else:
                self.jobs[job] = code
                self._acknowledged.release()

    async def wait_acknowledged(self, number: int) -> None:
        for _ in range(number):
            await self._acknowledged.acquire()
