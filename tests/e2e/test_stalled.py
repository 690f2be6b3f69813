"""Who stops reading costs little, and holds up nobody: neither the job, nor other watchers."""

import asyncio
import hashlib
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.client.test_with_server import client_for
from tests.e2e.service import Service, serving
from tests.e2e.test_descriptors import descriptors
from worker import Client, Job

WATCHERS = 40
KIB_EACH = 512
SLACK_KIB = 4096
ROOT = Path(__file__).parents[2]
# Each watcher has a connection of its own. They begin, are stopped, and go on after SIGCONT.
WATCH = """
import asyncio, hashlib, os, signal, sys
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID
from tests.client.scripted import client_of
from worker import Client
from worker.settings import Address

async def rest_of(output, digest):
    async for chunk in output:
        digest.update(chunk.data)
    return digest.hexdigest()

async def main(certificates, address, job, count):
    config = client_of(Path(certificates), Address.parsed(address))
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(config)) for _ in range(int(count))]
        outputs = [client.output(UUID(job)) for client in clients]
        digests = [hashlib.sha256((await anext(output)).data) for output in outputs]
        os.kill(os.getpid(), signal.SIGSTOP)
        print(*await asyncio.gather(*map(rest_of, outputs, digests)))

asyncio.run(main(*sys.argv[1:]))
"""


@asynccontextmanager
async def stalled(
    service: Service, job: Job, count: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A stopped process with so many watchers; it is killed if it isn't ended."""
    watching = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-c", WATCH, str(service.certificates), service.address, str(job.id), str(count)),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        how = os.WSTOPPED | os.WEXITED | os.WNOWAIT
        seen = await asyncio.to_thread(os.waitid, os.P_PID, watching.pid, how)
        assert seen
        assert seen.si_code == os.CLD_STOPPED
        yield watching
    finally:
        if watching.returncode is None:
            watching.kill()
        await watching.wait()


def memory_kib(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


async def most_memory_kib(client: Client, job: Job, pid: int) -> int:
    """While it has time to send whatever it will."""
    seen = []
    for _ in range(100):
        await client.status(job.id)
        seen.append(memory_kib(pid))
    return max(seen)


@pytest.mark.timeout(120)
async def test_a_stalled_watcher_costs_one_descriptor_and_little_memory_which_is_given_back(
    tmp_path: Path, certificates: Path
) -> None:
    with serving(tmp_path, certificates) as service:
        pid = service.server_pid
        async with client_for(service) as client:
            job = await client.start("sh", "-c", "head -c 50M /dev/zero; exec sleep 600")
            opened = descriptors(pid)
            async with stalled(service, job, WATCHERS):  # what is loaded once isn't counted
                await most_memory_kib(client, job, pid)
            while descriptors(pid) > opened:
                await client.status(job.id)
            memory = memory_kib(pid)
            for _ in range(2):
                async with stalled(service, job, WATCHERS):
                    while descriptors(pid) > opened + WATCHERS:  # a read's own is soon closed
                        await client.status(job.id)
                    most = await most_memory_kib(client, job, pid)
                    assert most - memory <= WATCHERS * KIB_EACH
                while descriptors(pid) > opened or memory_kib(pid) > memory + SLACK_KIB:
                    await client.status(job.id)


@pytest.mark.timeout(120)
async def test_neither_the_job_nor_another_watcher_waits_for_one_that_is_stalled(
    tmp_path: Path, certificates: Path
) -> None:
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            job = await client.start("sh", "-c", "seq 3000000; read go; seq 3000000", input=True)
            async with stalled(service, job, 2) as watching:
                await job.send_input(b"go\n", end=True)
                assert (await job.wait()).exit_code == 0
                digest = hashlib.sha256()
                async for chunk in client.output(job.id):
                    digest.update(chunk.data)
                another = await client.start("sh", "-c", "seq 3000000; exec sleep 600")
                await another.stop()
                assert (await another.wait()).is_final
                watching.send_signal(signal.SIGCONT)
                assert watching.stdout
                told = (await watching.stdout.read()).decode().split()
                assert told == [digest.hexdigest()] * 2
