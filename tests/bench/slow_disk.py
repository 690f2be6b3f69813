"""Are requests answered while a job prints more than its disk takes? Skips where it can't tell."""

# ruff: noqa: T201 - a benchmark prints

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

from tests.bench.many_ended import client_for
from tests.e2e.service import Service, serving
from worker import Client

MEGABYTES = 40
BYTES_A_SECOND = 8 * 2**20
BLKIO = Path("/sys/fs/cgroup/blkio")
INTO = 'echo $$ > "$0"/cgroup.procs; exec "$@"'


def measure_slow_disk(folder: Path, certificates: Path) -> None:
    if os.geteuid() != 0 or not BLKIO.exists():
        print("slow disk: skipped, it needs root and the cgroup v1 controller blkio")
        return
    home = folder / "slow"
    (home / "state").mkdir(parents=True, mode=0o700)
    with slow_disk(home / "state", folder / "disk.img") as group:
        before = ["sh", "-c", INTO, str(group)]
        with serving(home, certificates, before=before) as service:
            asyncio.run(ask(service))


@contextmanager
def slow_disk(state: Path, image: Path) -> Iterator[Path]:
    """Mounted at `state`. A cgroup: whoever is in it waits for each of its writes to that disk."""
    with image.open("wb") as file:
        file.truncate(400 * 2**20)
    with ExitStack() as undo:
        device = said_by("losetup", "--find", "--show", str(image))
        undo.callback(said_by, "losetup", "--detach", device)
        said_by("mkfs.ext4", "-q", device)
        said_by("mount", "-o", "sync", device, str(state))
        undo.callback(said_by, "umount", str(state))
        state.chmod(0o700)
        group = BLKIO / f"job-worker-bench-{os.getpid()}"
        group.mkdir()
        undo.callback(group.rmdir)
        number = Path(device).stat().st_rdev
        limit = f"{os.major(number)}:{os.minor(number)} {BYTES_A_SECOND}"
        (group / "blkio.throttle.write_bps_device").write_text(limit)
        yield group


async def ask(service: Service) -> None:
    async with client_for(service) as client:
        idle = await client.start("sleep", "600")
        calm = [await answer(client, idle.id) for _ in range(200)]
        printing = await client.start("head", "-c", f"{MEGABYTES}M", "/dev/zero")
        waiting = asyncio.create_task(printing.wait())
        busy = []
        while not waiting.done():
            busy.append(await answer(client, idle.id))
        status = await waiting
        assert status.output.total == MEGABYTES * 2**20
        assert status.ended_at
        assert status.started_at
        took = (status.ended_at - status.started_at).total_seconds()
    print(f"a disk of {BYTES_A_SECOND // 2**20} MB/s took {MEGABYTES} MB of output in {took:.1f} s")
    late = sorted(busy)[int(len(busy) * 0.99)]
    mine, ratio = statistics.median(busy), statistics.median(busy) / statistics.median(calm)
    what = "status meanwhile"
    print(
        f"{what:36} {len(busy):>5} times  {mine:7.4f} s  99 % {late:.4f} s"
        f"  most {max(busy):.4f} s  ratio {ratio:5.2f}"
    )


async def answer(client: Client, job_id: UUID) -> float:
    began = time.perf_counter()
    await client.status(job_id)
    return time.perf_counter() - began


def said_by(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
