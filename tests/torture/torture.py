"""Clients that start, watch and ask, while the server is killed again and again."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import time
from collections import Counter
from contextlib import AsyncExitStack
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
from worker.jobs.fault import POINTS
from worker.settings import Address

CHANCE_AT_A_POINT = 0.01


@dataclass(frozen=True)
class Report:
    seed: int
    kills: int
    jobs: int
    faults: list[str]
    to_first_answer: list[float]
    descriptors: tuple[int, int]

    def __str__(self) -> str:
        times = sorted(self.to_first_answer) or [0.0]
        middle, late = statistics.median(times), times[int(len(times) * 0.95)]
        before, after = self.descriptors
        faults = len(self.faults)
        return "\n".join(
            (
                f"seed {self.seed}: {self.kills} kills, {self.jobs} jobs, {faults} faults",
                f"kill to first answer: median {middle:.2f} s, 95 % {late:.2f} s",
                f"descriptors of the keeper: {before} before, {after} after",
                *self.faults,
            )
        )


def torture(
    folder: Path, certificates: Path, seed: int, *, kills: int, seconds: float, clients: int
) -> Report:
    """Processes, cgroups and the exit status of the service are checked by `serving`."""
    points = ";".join(f"{name}={CHANCE_AT_A_POINT}" for name in POINTS)
    os.environ["WORKER_FAULT_POINTS"] = points
    try:
        with serving(folder, certificates) as service:
            return asyncio.run(_torture(service, seed, kills, seconds, clients))
    finally:
        del os.environ["WORKER_FAULT_POINTS"]


async def _torture(service: Service, seed: int, kills: int, seconds: float, clients: int) -> Report:
    chance = random.Random(seed)
    starts = service.folder / "starts"
    before = _descriptors(service)
    jobs: list[Known] = []
    faults: list[str] = []
    async with AsyncExitStack() as stack:
        one_for_each = [
            await stack.enter_async_context(_client_of(service)) for _ in range(clients)
        ]
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
            faults += known.faults(
                await until_answered(partial(one_for_each[0].wait, known.id)),
                await watched(one_for_each[0], known.id),
            )
    faults += _started_twice(starts, jobs)
    return Report(
        seed,
        killer.kills,
        len(jobs),
        faults,
        killer.to_first_answer,
        (before, _descriptors(service)),
    )


def _client_of(service: Service) -> Client:
    folder = service.certificates
    address = Address.parsed(service.address)
    return Client(
        ClientConfig(address, folder / "ca.pem", folder / "full.pem", folder / "full.key")
    )


async def _answered(service: Service) -> None:
    async def ask() -> None:
        async with _client_of(service) as client:
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


def _descriptors(service: Service) -> int:
    return len(list(Path(f"/proc/{service.keeper.pid}/fd").iterdir()))
