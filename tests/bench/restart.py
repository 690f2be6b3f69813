"""A killed server until the next one answers, against a Python that only imports its modules."""

# ruff: noqa: T201 - a benchmark prints

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path
from uuid import UUID

from tests.bench.many_ended import client_for
from tests.e2e.service import Service, serving
from worker import Client
from worker.keeper.serving import STEADY_S

ROUNDS = 10
IMPORT = [sys.executable, "-I", "-c", "import worker.server.serve"]


def measure_restart(folder: Path, certificates: Path) -> None:
    home = folder / "restart"
    home.mkdir()
    with serving(home, certificates) as service:
        answered, imported = asyncio.run(restarts(service))
    what, mine = "kill to the first answer", statistics.median(answered)
    ratio = mine / statistics.median(imported)
    print(f"{what:36} {ROUNDS:>6} kills  {mine:7.3f} s  ratio {ratio:5.2f}")


async def restarts(service: Service) -> tuple[list[float], list[float]]:
    """Seconds of each, by turns."""
    answered, imported = [], []
    async with client_for(service) as client:
        job = await client.start("sleep", "600")
        for _ in range(ROUNDS):
            began = time.perf_counter()
            await asyncio.to_thread(subprocess.run, IMPORT, check=True)
            imported.append(time.perf_counter() - began)
            await asyncio.sleep(STEADY_S)  # else the keeper pauses before it starts another
            answered.append(await restart(service, client, job.id))
    return answered, imported


async def restart(service: Service, client: Client, job_id: UUID) -> float:
    began = time.perf_counter()
    os.kill(service.server_pid, signal.SIGKILL)
    await client.status(job_id)
    took = time.perf_counter() - began
    assert (await asyncio.to_thread(service.line)).startswith("listening on ")
    return took
