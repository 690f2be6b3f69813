"""`make bench`: what job-worker costs, as ratios against asyncio's own subprocesses.

Both sides of a row take turns in the same run, so a noisy machine disturbs both; the median of
the rounds is printed. Nothing here is a test, and no figure is a limit.
"""

# ruff: noqa: T201 - a benchmark prints

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from asyncio.subprocess import DEVNULL, PIPE, create_subprocess_exec
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

from certs.testset import make_test_set
from tests.e2e.service import serving
from worker import Client, Registry
from worker.client import ClientConfig
from worker.job import Job
from worker.settings import Address

ROUNDS = 5
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


async def timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def compare(
    what: str, ours: Callable[[], Awaitable[None]], peer: Callable[[], Awaitable[None]], amount: str
) -> None:
    pairs = [(await timed(ours), await timed(peer)) for _ in range(ROUNDS)]
    seconds, plain = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(mine / other for mine, other in pairs)
    print(f"{what:36} {amount:>11}  {seconds:7.3f} s  asyncio {plain:7.3f} s  ratio {ratio:5.2f}")


async def measure(address: str, certificates: Path, state: Path) -> None:
    config = ClientConfig(
        server_address=Address.parsed(address),
        server_ca=certificates / "ca.pem",
        client_certificate=certificates / "full.pem",
        client_key=certificates / "full.key",
    )
    async with Registry(state) as registry, Client(config) as client:
        for name, start in (("library", registry.start), ("client and server", client.start)):
            starts, reads = (lambda s=start: start_jobs(s)), (lambda s=start: read_job(s))
            await compare(f"start and wait, {name}", starts, start_plain, f"{STARTS} jobs")
            await compare(f"output to a reader, {name}", reads, read_plain, f"{MEGABYTES} MB")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, certificates = Path(name), Path(name) / "certificates"
        make_test_set(certificates, datetime.now(UTC))
        with serving(folder, certificates) as service:
            asyncio.run(measure(service.address, certificates, folder / "library"))


if __name__ == "__main__":
    main()
