"""A state directory that is copied while it is in use opens elsewhere, and tells the truth."""

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.client.test_with_server import client_for
from tests.e2e.service import serving
from worker import Registry
from worker.state import JobState

COPIES = 10


async def test_ended_jobs_are_whole_and_running_ones_are_lost(
    tmp_path: Path, certificates: Path
) -> None:
    with serving(tmp_path, certificates) as service:
        async with client_for(service) as client:
            ended = await client.start("sh", "-c", "echo kept; exit 3")
            before = await ended.wait()
            running = await client.start("sh", "-c", "while :; do echo more; done")
            busy = asyncio.create_task(start_and_end(client_for(service)))
            for number in range(COPIES):
                copy = tmp_path / f"copy-{number}"
                await asyncio.to_thread(copied, tmp_path / "state", copy)
                async with Registry(copy) as registry:
                    status = await registry.status(ended.id)
                    assert (status.state, status.exit_code) == (before.state, 3)
                    assert [c.data async for c in registry.output(ended.id)] == [b"kept\n"]
                    lost = await registry.status(running.id)
                    assert lost.state is JobState.LOST
                    output = [c.data async for c in registry.output(running.id)]
                    assert b"".join(output).startswith(b"more\n")
                    async for status in registry.list():
                        assert status.is_final
            busy.cancel()
            with pytest.raises(asyncio.CancelledError):
                await busy
            assert (await running.status()).state is JobState.RUNNING


async def start_and_end(client: object) -> None:
    async with client as connected:  # type: ignore[attr-defined]
        while True:
            await (await connected.start("true")).wait()


def copied(state: Path, copy: Path) -> None:
    """As `cp -r` does: one file after the other, and what goes meanwhile is left out."""

    def copy_file(source: str, target: str) -> str:
        try:
            return shutil.copy2(source, target)
        except FileNotFoundError:
            return target

    shutil.copytree(state, copy, copy_function=copy_file)
    (copy / "lock").unlink()
