"""What 100,000 ended jobs cost: at the start, at each request, in memory."""

# ruff: noqa: T201 - a benchmark prints

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from uuid import UUID

from tests.bench.compare import Peer, compare
from tests.bench.history import make_history
from tests.client.scripted import client_of
from tests.e2e.service import Service, read, serving
from worker import Client, Registry, Retention
from worker.listing import JobFilter
from worker.settings import Address
from worker.state import JobState

ENDED = 100_000
STARTS = 100
QUESTIONS = 500
LISTS = 20
PAGE = 100
RUNNING = JobFilter(states=frozenset({JobState.STARTED, JobState.RUNNING}))
FAR = 10 * ENDED  # a limit that isn't met


def measure_many_ended(folder: Path, certificates: Path) -> None:
    state = folder / "many" / "state"
    (folder / "none").mkdir()
    make_history(state, ENDED)
    asyncio.run(rebuild(state))
    for limit in (FAR, ENDED):
        with ExitStack() as stack:
            many, none = (
                stack.enter_context(started(folder / name, certificates, kept))
                for name, kept in (("many", limit), ("none", FAR))
            )
            what = f"{ENDED} ended" if limit is FAR else "at the limit"
            ids = [UUID(path.name) for path in islice((state / "jobs").iterdir(), QUESTIONS)]
            asyncio.run(ask(many, none, what, ids if limit is FAR else []))
            for name, pids in (
                ("keeper", (many.keeper.pid, none.keeper.pid)),
                ("server", (many.server_pid, none.server_pid)),
            ):
                mine, other = map(megabytes, pids)
                print(f"memory of the {name}, {what}: {mine} MB, none {other} MB")


async def rebuild(state: Path) -> None:
    began = time.perf_counter()
    async with Registry(state, retention=Retention(jobs=FAR)):
        print(f"jobs.db made from {ENDED} folders in {time.perf_counter() - began:.1f} s")


@contextmanager
def started(folder: Path, certificates: Path, kept: int) -> Iterator[Service]:
    began = time.perf_counter()
    with serving(folder, certificates, also=f"retentionJobs: {kept}\n") as service:
        print(f"{folder.name} ended: serving after {time.perf_counter() - began:.2f} s")
        yield service


async def ask(many: Service, none: Service, what: str, ids: Sequence[UUID]) -> None:
    """Of `ids`, jobs of `many`; of one job of `none`."""
    async with client_for(many) as client, client_for(none) as other:
        job = await other.start("true")
        starts = partial(start_jobs, client), Peer("none", partial(start_jobs, other))
        await compare(f"start and wait, {what}", *starts, f"{STARTS} jobs")
        if ids:
            peer = Peer("none", partial(query, other, [job.id] * QUESTIONS))
            await compare(
                f"status, {what}", partial(query, client, ids), peer, f"{QUESTIONS} times"
            )
            for _ in range(PAGE):
                await (await other.start("true")).wait()
            for name, which in (("first page", JobFilter()), ("running", RUNNING)):
                lists = partial(list_page, client, which), partial(list_page, other, which)
                peer = Peer("none", lists[1])
                await compare(f"list, {name}, {what}", lists[0], peer, f"{LISTS} times")


def client_for(service: Service) -> Client:
    return Client(client_of(service.certificates, Address.parsed(service.address)))


async def start_jobs(client: Client) -> None:
    for _ in range(STARTS):
        await (await client.start("true")).wait()


async def query(client: Client, ids: Sequence[UUID]) -> None:
    for job_id in ids:
        await client.status(job_id)


async def list_page(client: Client, which: JobFilter) -> None:
    for _ in range(LISTS):
        await client.page(which, limit=PAGE)


def megabytes(pid: int) -> int:
    pages = read(Path(f"/proc/{pid}/statm")).split()[1]
    return int(pages) * 4096 // 2**20
