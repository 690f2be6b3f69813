"""Keeper and server killed together, in the middle of starts, again and again."""

import asyncio
import os
import signal
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from uuid import UUID

import pytest

from tests.client.scripted import client_of
from tests.e2e.service import Service, serving
from worker import Client
from worker.errors import WorkerError
from worker.settings import Address
from worker.state import JobState

KILLS = 20
CLIENTS = 4


def client_for(service: Service) -> Client:
    """One that gives up at once."""
    address = Address.parsed(service.address)
    return Client(client_of(service.certificates, address), patience=0)


async def start_jobs(client: Client, acknowledged: list[UUID], count: asyncio.Semaphore) -> None:
    with suppress(WorkerError):  # killed
        while True:
            job = await client.start("sh", "-c", "exit 3")
            acknowledged.append(job.id)
            count.release()


def kill_all(service: Service) -> None:
    service.keeper.send_signal(signal.SIGSTOP)  # or it starts another server meanwhile
    os.kill(service.server_pid, signal.SIGKILL)
    service.kill_keeper()


@pytest.mark.timeout(120)
async def test_every_job_that_was_acknowledged_is_known_and_the_table_is_whole(
    tmp_path: Path, certificates: Path
) -> None:
    acknowledged: list[UUID] = []
    for number in range(KILLS):
        with serving(tmp_path, certificates) as service:
            async with client_for(service) as client, asyncio.TaskGroup() as tasks:
                count = asyncio.Semaphore(0)
                for _ in range(CLIENTS):
                    tasks.create_task(start_jobs(client, acknowledged, count))
                for _ in range(1 + number % 7):
                    await count.acquire()
                await asyncio.to_thread(kill_all, service)
        with closing(sqlite3.connect(tmp_path / "state" / "jobs.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert len(acknowledged) >= KILLS
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            for job_id in acknowledged:
                status = await client.status(job_id)
                assert (status.state, status.exit_code) in (
                    (JobState.EXITED, 3),
                    (JobState.LOST, None),
                )
