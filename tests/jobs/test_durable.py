"""While a job runs its output is made durable, piece by piece."""

import asyncio
import os
import threading
from pathlib import Path

import pytest

from tests.jobs.scripts import shell
from worker import Registry
from worker.jobs import durable, folder


async def test_each_piece_is_synced_once_while_the_job_runs(
    registry: Registry, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durable, "SYNC_EVERY", 100_000)
    synced: list[tuple[str, int]] = []
    both = threading.Event()
    real = folder.sync

    def seen(path: Path) -> None:
        synced.append((path.name, path.stat().st_size))
        real(path)
        if path.name == "index":
            both.set()

    monkeypatch.setattr(durable, "sync", seen)
    os.mkfifo(state / "go")
    job = await shell(registry, f"head -c 150000 /dev/zero; read x < {state}/go")
    async for chunk in job.output():
        if chunk.offset + len(chunk.data) == 150_000:
            await asyncio.to_thread(both.wait, timeout=10)
            (state / "go").write_text("\n")
    await job.wait()
    assert [name for name, _ in synced] == ["output", "index"]
    assert synced[0][1] >= 100_000
