"""A full disk, and one without inodes: only what has no room suffers, until there is some."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from tests.client.scripted import client_of
from tests.e2e.service import Service, reloaded, serving
from worker import Client, Job
from worker.errors import NoRoom
from worker.jobs.folder import MAKE_ROOM
from worker.listing import JobFilter
from worker.settings import Address
from worker.state import JobState

DISK = 16 * 2**20
PRINTED = 40_000_000


@contextmanager
def disk(state: Path, options: str) -> Iterator[Path]:
    """A small one, mounted as the state directory."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "tmpfs", str(state)]
    subprocess.run(mount, check=True)
    try:
        yield state
    finally:
        subprocess.run(["umount", state], check=True)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with disk(tmp_path / "state", f"size={DISK}") as state:
        yield state


def client_for(service: Service) -> Client:
    return Client(client_of(service.certificates, Address.parsed(service.address)))


def fill(filler: Path) -> None:
    """Until not one more page has room."""
    with filler.open("ab", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass


async def read(job: Job) -> tuple[bytes, int]:
    """The output, and what is missing in it."""
    chunks = [chunk async for chunk in job.output()]
    return b"".join(chunk.data for chunk in chunks), sum(chunk.skipped for chunk in chunks)


async def start_sleepers(client: Client, jobs: list[Job]) -> None:
    """Until one is refused."""
    while True:
        jobs.append(await client.start("sleep", "600"))


def is_intact(state: Path) -> bool:
    with closing(sqlite3.connect(state / "jobs.db")) as rows:
        [(found,)] = rows.execute("PRAGMA integrity_check").fetchall()
    return bool(found == "ok")


async def test_on_a_full_disk_only_output_and_new_jobs_suffer(
    small: Path, tmp_path: Path, certificates: Path
) -> None:
    filler = small / "filler"
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            quiet = await client.start("sh", "-c", "echo before; exec sleep 600")
            script = f"head -c {PRINTED} /dev/zero; echo THE-END >&2; exit 5"
            loud = await client.start("sh", "-c", script)
            status = await loud.wait()
            assert (status.state, status.exit_code) == (JobState.EXITED, 5)
            fill(filler)
            output, skipped = await read(loud)
            assert 0 < len(output) < DISK
            assert skipped == status.output.dropped
            assert len(output) + skipped == PRINTED + len("THE-END\n")
            assert (await quiet.status()).state is JobState.RUNNING
            with pytest.raises(NoRoom, match=f"(full|space.*): {MAKE_ROOM}"):
                await client.start("true")
            await quiet.stop()
            assert (await quiet.wait()).state is JobState.STOPPED
            assert await read(quiet) == (b"before\n", 0)
            filler.unlink()
            await loud.remove()
            while [*(small / "jobs").glob(f"{loud.id}*")]:  # its bytes are given back soon after
                await quiet.status()
            assert (await (await client.start("true")).wait()).exit_code == 0
        assert await asyncio.to_thread(service.end) == 0
    assert is_intact(small)


async def test_a_disk_that_jobs_have_filled_is_emptied_by_removing_them(
    tmp_path: Path, certificates: Path
) -> None:
    """Though the database's log of changes has taken most of it."""
    with ExitStack() as stack:
        stack.enter_context(disk(tmp_path / "state", "size=3m"))
        service = stack.enter_context(serving(tmp_path, certificates))
        async with client_for(service) as client:
            jobs: list[Job] = []
            with pytest.raises(NoRoom):
                await start_sleepers(client, jobs)
            listed = (await client.page(JobFilter(), limit=1000)).jobs
            assert {each.id for each in listed} == {job.id for job in jobs}  # not what was refused
            for job in jobs:
                await job.stop(grace_period=0)
                await job.wait()
                await job.remove()
            assert (await client.page(JobFilter())).jobs == ()
            assert (await (await client.start("true")).wait()).exit_code == 0


async def test_jobs_are_removed_while_others_take_whatever_is_free(
    small: Path, tmp_path: Path, certificates: Path
) -> None:
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            jobs = [await client.start("echo", "x") for _ in range(30)]
            for job in jobs:
                await job.wait()
            loud = await client.start("yes")
            fill(small / "filler")
            for job in jobs:
                await job.remove()
            await loud.stop()
            await loud.wait()
        assert await asyncio.to_thread(service.end) == 0
    assert is_intact(small)


@pytest.mark.parametrize("how", ["SIGHUP", "kill -9"])
async def test_a_server_that_starts_on_a_full_disk_serves(
    small: Path, tmp_path: Path, certificates: Path, how: str
) -> None:
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            ended = await client.start("sh", "-c", "echo kept; exit 3")
            await ended.wait()
            loud = await client.start("yes")
            fill(small / "filler")
            await asyncio.to_thread(reloaded if how == "SIGHUP" else Service.kill_server, service)
            assert await read(ended) == (b"kept\n", 0)
            assert (await ended.status()).exit_code == 3
            with pytest.raises(NoRoom):
                await client.start("true")
            await ended.remove()
            await loud.stop()
            status = await loud.wait()
            assert (status.state, status.output.dropped > 0) == (JobState.STOPPED, True)
            (small / "filler").unlink()
            assert (await (await client.start("true")).wait()).exit_code == 0
        assert await asyncio.to_thread(service.end) == 0
    assert is_intact(small)


async def test_a_service_that_starts_on_a_full_disk_serves_what_is_there(
    small: Path, tmp_path: Path, certificates: Path
) -> None:
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            ended = await client.start("sh", "-c", "echo kept; exit 3")
            await ended.wait()
        assert await asyncio.to_thread(service.end) == 0
    fill(small / "filler")
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            again = Job(ended.id, client)
            assert await read(again) == (b"kept\n", 0)
            assert (await again.status()).exit_code == 3
            with pytest.raises(NoRoom):
                await client.start("true")
            (small / "filler").unlink()
            assert (await (await client.start("true")).wait()).exit_code == 0
        assert await asyncio.to_thread(service.end) == 0


async def test_without_inodes_a_start_is_refused_and_room_is_used_again(
    tmp_path: Path, certificates: Path
) -> None:
    with ExitStack() as stack:
        state = stack.enter_context(disk(tmp_path / "state", "size=64m,nr_inodes=60"))
        service = stack.enter_context(serving(tmp_path, certificates))
        async with client_for(service) as client:
            jobs: list[Job] = []
            with pytest.raises(NoRoom, match=f"{state}.*: {MAKE_ROOM}"):
                await start_sleepers(client, jobs)
            assert len(jobs) > 5
            folders = {entry.name for entry in (state / "jobs").iterdir()}
            assert folders == {str(job.id) for job in jobs}
            for job in jobs[:2]:
                await job.stop(grace_period=0)
                await job.wait()
                await job.remove()
            await client.start("sleep", "600")
        assert await asyncio.to_thread(service.end) == 0
        assert is_intact(state)
