"""`make bench`: what job-worker costs, as ratios.

Against asyncio's own subprocesses, and with 100,000 ended jobs against none. Nothing here is a
test, and no figure is a limit.
"""

from __future__ import annotations

import asyncio
import tempfile
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from certs.testset import make_test_set
from tests.bench.compare import Peer, compare
from tests.bench.containment import measure_containment
from tests.bench.many_ended import measure_many_ended
from tests.bench.restart import measure_restart
from tests.bench.slow_disk import measure_slow_disk
from tests.bench.without_server import measure_without_server
from tests.client.scripted import client_of
from tests.e2e.service import serving
from worker import Client, Registry
from worker.job import Job
from worker.settings import Address

STARTS = 100
MEGABYTES = 200
Starter = Callable[..., Awaitable[Job]]


async def start_plain() -> None:
    for _ in range(STARTS):
        await (await create_subprocess_exec("true", stdin=DEVNULL)).wait()


async def start_jobs(start: Starter) -> None:
    for _ in range(STARTS):
        await (await start("true")).wait()


async def read_plain() -> None:
    process = await create_subprocess_exec("head", "-c", f"{MEGABYTES}M", "/dev/zero", stdout=PIPE)
    assert process.stdout
    while await process.stdout.read(256 * 1024):
        pass
    await process.wait()


async def read_job(start: Starter) -> None:
    job = await start("head", "-c", f"{MEGABYTES}M", "/dev/zero")
    total = 0
    async for chunk in job.output():
        total += len(chunk.data)
    assert total == MEGABYTES * 2**20


async def measure(address: str, certificates: Path, state: Path) -> None:
    starting, reading = Peer("asyncio", start_plain), Peer("asyncio", read_plain)
    client = Client(client_of(certificates, Address.parsed(address)))
    async with Registry(state) as registry, client:
        for name, start in (("library", registry.start), ("client and server", client.start)):
            starts, reads = partial(start_jobs, start), partial(read_job, start)
            await compare(f"start and wait, {name}", starts, starting, f"{STARTS} jobs")
            await compare(f"output to a reader, {name}", reads, reading, f"{MEGABYTES} MB")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, certificates = Path(name), Path(name) / "certificates"
        make_test_set(certificates, datetime.now(UTC))
        with serving(folder, certificates) as service:
            asyncio.run(measure(service.address, certificates, folder / "library"))
        measure_containment(folder, certificates)
        measure_without_server(folder, certificates)
        measure_restart(folder, certificates)
        measure_slow_disk(folder, certificates)
        measure_many_ended(folder, certificates)


if __name__ == "__main__":
    main()
