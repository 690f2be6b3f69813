"""Clients that start, watch and ask, while the server is killed again and again."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from uuid import uuid4

from tests.e2e.service import Service, serving
from tests.torture.jobs import Known
from tests.torture.killer import Killer
from tests.torture.watching import run_one, until_answered, watched
from worker import Client
from worker.client import ClientConfig
from worker.errors import JobNotFound
from worker.jobs.fault import (
    BETWEEN_RENAME_AND_DELETION,
    BETWEEN_TOMBSTONE_AND_RENAME,
    POINTS,
    WHILE_FOLLOWING,
)
from worker.settings import Address

# Most are passed once by each job, but one by each chunk of output, and two by few jobs.
CHANCE_AT = dict.fromkeys(POINTS, 0.1) | {
    WHILE_FOLLOWING: 0.002,
    BETWEEN_TOMBSTONE_AND_RENAME: 0.3,
    BETWEEN_RENAME_AND_DELETION: 0.3,
}
FILES = {"request", "output", "index", "ended"}


@dataclass(frozen=True)
class Report:
    seed: int
    kills: int
    at_points: dict[str, int]  # of the kills
    jobs: int
    faults: list[str]
    to_first_answer: list[float]
    descriptors: tuple[int, int]

    @property
    def is_good(self) -> bool:
        before, after = self.descriptors
        return not self.faults and before == after and all(self.at_points.values())

    def __str__(self) -> str:
        times = sorted(self.to_first_answer) or [0.0]
        middle, late = statistics.median(times), times[int(len(times) * 0.95)]
        before, after = self.descriptors
        faults = len(self.faults)
        return "\n".join(
            (
                f"seed {self.seed}: {self.kills} kills, {self.jobs} jobs, {faults} faults",
                *(f"  {count:5} kills {name}" for name, count in self.at_points.items()),
                f"kill to first answer: median {middle:.2f} s, 95 % {late:.2f} s",
                f"descriptors of the keeper: {before} before, {after} after",
                *self.faults,
            )
        )


def torture(
    folder: Path, certificates: Path, seed: int, *, kills: int, seconds: float, clients: int
) -> Report:
    """Processes, cgroups and the exit status of the service are checked by `serving`."""
    jobs: list[Known] = []
    with fault_points(CHANCE_AT), serving(folder, certificates) as service:
        report = asyncio.run(_torture(service, jobs, seed, kills, seconds, clients))
    report.faults.extend(_wrong_files(folder / "state", jobs))
    return report


@contextmanager
def fault_points(chances: Mapping[str, float]) -> Iterator[None]:
    """For the services that are started meanwhile."""
    os.environ["WORKER_FAULT_POINTS"] = ";".join(
        f"{name}={chance}" for name, chance in chances.items()
    )
    try:
        yield
    finally:
        del os.environ["WORKER_FAULT_POINTS"]


async def _torture(
    service: Service, jobs: list[Known], seed: int, kills: int, seconds: float, clients: int
) -> Report:
    chance = random.Random(seed)
    starts = service.folder / "starts"
    before = _descriptors(service)
    faults: list[str] = []
    async with AsyncExitStack() as stack:
        one_for_each = [await stack.enter_async_context(client_of(service)) for _ in range(clients)]
        killer = Killer(service, chance, lambda: _answered(service))
        killing = asyncio.create_task(killer.run(kills, time.monotonic() + seconds))

        async def go_on(client: Client) -> None:
            while not killing.done():
                known = Known.drawn(chance)
                jobs.append(known)
                faults.extend(await run_one(client, known, starts))

        async with asyncio.TaskGroup() as tasks:
            for client in one_for_each:
                tasks.create_task(go_on(client))
        await killing
        for known in jobs:  # once more, from the files, by a server that wasn't there
            faults += await _faults_later(one_for_each[0], known)
    faults += _started_twice(starts, jobs)
    return Report(
        seed,
        killer.kills,
        killer.at_points,
        len(jobs),
        faults,
        killer.to_first_answer,
        (before, _descriptors(service)),
    )


async def _faults_later(client: Client, known: Known) -> list[str]:
    waiting = until_answered(partial(client.wait, known.id))
    if not known.is_to_be_removed:
        return known.faults(await waiting, await watched(client, known.id))
    with suppress(JobNotFound):
        await waiting
        return [f"{known.id}: was removed, and is there"]
    return []


def client_of(service: Service) -> Client:
    folder = service.certificates
    address = Address.parsed(service.address)
    return Client(
        ClientConfig(address, folder / "ca.pem", folder / "full.pem", folder / "full.key")
    )


async def _answered(service: Service) -> None:
    async def ask() -> None:
        async with client_of(service) as client:
            try:
                await client.status(uuid4())
            except JobNotFound:
                return

    await until_answered(ask)


def _started_twice(starts: Path, jobs: list[Known]) -> list[str]:
    counted = Counter(starts.read_text().split())
    return [
        f"{known.id}: started {counted[str(known.id)]} times"
        for known in jobs
        if counted[str(known.id)] != 1
    ]


def _wrong_files(state: Path, jobs: list[Known]) -> list[str]:
    """Of the whole directory, once nobody serves."""
    due = {str(known.id): FILES for known in jobs if not known.is_to_be_removed}
    there = {folder.name: _names(folder) for folder in (state / "jobs").iterdir()}
    found = [
        f"{name}: {there.get(name)}" for name in {*due, *there} if there.get(name) != due.get(name)
    ]
    return found + [
        f"{name} is left" for name in _names(state) - {"jobs", "jobs.db", "lock", "reserve"}
    ]


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _descriptors(service: Service) -> int:
    return len(list(Path(f"/proc/{service.keeper.pid}/fd").iterdir()))
