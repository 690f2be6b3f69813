"""Out of descriptors, only what is new is refused; watchers that vanish leave none behind."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from tests.client.test_with_server import client_for
from tests.e2e.service import Service, serving
from worker import Client, Job
from worker.errors import NoRoom

FEW = ["prlimit", "--nofile=256:256"]
WATCHERS = 2000
AT_ONCE = 100
SPREAD = 3 * 2**20  # bytes, of what lies between live objects: 3 KiB of each watcher
GIVEN_BACK_S = 30
ROOT = Path(__file__).parents[2]
WATCH = """
import asyncio, sys
from pathlib import Path
from uuid import UUID
from tests.client.scripted import client_of
from worker import Client
from worker.settings import Address

async def main(certificates, address, job, count):
    async with Client(client_of(Path(certificates), Address.parsed(address))) as client:
        outputs = [client.output(UUID(job)) for _ in range(int(count))]
        await asyncio.gather(*map(anext, outputs))
        print("watching", flush=True)
        await asyncio.gather(*map(anext, outputs))

asyncio.run(main(*sys.argv[1:]))
"""


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - how many


def memory(pid: int) -> int:
    """Bytes of it that are resident: proc(5)."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


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
            with pytest.raises(NoRoom) as refused:
                await start_sleepers(client, jobs)
            limit = "the service's limit of open files (systemd: LimitNOFILE=)"
            text = f"{limit} allows no more jobs than the {len(jobs)} that run"
            assert text in str(refused.value)
            assert len(jobs) > 10
            assert not any([(await job.status()).is_final for job in jobs])
            half = jobs[::2]
            await asyncio.gather(*(job.stop() for job in half))
            await asyncio.gather(*(job.wait() for job in half))
            again = [await client.start("sleep", "600") for _ in half]
            assert not any([(await job.status()).is_final for job in (*jobs[1::2], *again)])


@pytest.mark.timeout(180)
async def test_watchers_that_vanish_leave_nothing(tmp_path: Path, certificates: Path) -> None:
    """Killed in the middle, with all their connections; each watched a silent job."""
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            job = await client.start("sh", "-c", "echo up; exec sleep 600")
            await vanished(service, job)  # what is loaded once isn't counted
            before = {pid: descriptors(pid) for pid in (service.server_pid, service.keeper.pid)}
            held = []
            for _ in range(2):
                for _ in range(WATCHERS // 2 // AT_ONCE):
                    await vanished(service, job)
                while any(descriptors(pid) > count for pid, count in before.items()):
                    await client.status(job.id)
                held.append(memory(service.server_pid))
            async with asyncio.timeout(GIVEN_BACK_S):
                while memory(service.server_pid) > held[0] + SPREAD:
                    await client.status(job.id)
            assert not (await job.status()).is_final


async def vanished(service: Service, job: Job) -> None:
    """AT_ONCE watchers in a process that is killed once each of them has got its first bytes."""
    watching = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", WATCH, str(service.certificates), service.address, str(job.id), str(AT_ONCE)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    assert watching.stdout
    assert await watching.stdout.readline() == b"watching\n"
    watching.kill()
    await watching.wait()
